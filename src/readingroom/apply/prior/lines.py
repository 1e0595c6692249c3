"""Lines that a role switches off in files of others: they stay where they are, behind a mark of ours.

Nothing has to be kept of them, and whatever else is changed in such a file meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import paths
from .store import State

MARK = b"#readingroom# "
Restore = Callable[[str, State, Callable[[str], bytes]], "str | None"]


def marked(pattern: str) -> list[str]:
    """The files that `pattern` names and that hold lines behind the mark."""
    files = [path for path in sorted(Path("/").glob(pattern[1:])) if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if _switched_on(content := path.read_bytes()) != content]


def switch_on(path: str, restore: Restore) -> str | None:
    """Switch them on again; a word for the person where that cannot be."""
    content = _switched_on(Path(path).read_bytes())
    state = paths.look(path, paths.digest)
    return restore(path, {**state, "content": paths.digest(content)}, lambda digest: content)


def _switched_on(content: bytes) -> bytes:
    return b"".join(line.removeprefix(MARK) for line in content.splitlines(keepends=True))
