"""Looks for what a session left, everywhere on the machine: words, files of its account, programs, shared memory.

Must not know any promise, nor what was planted.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

from readingroom.verify import probe

_SCRIPT = Path(__file__).with_name("on_machine") / "search.py"


@dataclass(frozen=True)
class Found:
    """What one search found; paths are for telling places apart and never for a report."""

    hits: tuple[tuple[str, str, str], ...]  # word; "disk", "memory" or "journal"; path
    owned: tuple[tuple[str, str], ...]  # "disk" or "memory"; path
    processes: tuple[str, ...]
    ipc: tuple[str, ...]

    def words(self, *media: str, below: str = "", outside: Iterable[str] = ()) -> set[str]:
        """The words that were found, in these media (all when none is named), in this folder or out of those."""
        return {
            word
            for word, medium, path in self.hits
            if (not media or medium in media) and _within(path, below, tuple(outside))
        }

    def files(self, *media: str, below: str = "", outside: Iterable[str] = ()) -> int:
        """How many files of the account were touched since the search began."""
        return sum(
            (not media or medium in media) and _within(path, below, tuple(outside)) for medium, path in self.owned
        )


def _within(path: str, below: str, outside: tuple[str, ...]) -> bool:
    def inside(folder: str) -> bool:
        return path == folder or path.startswith(folder + "/")

    return (not below or inside(below)) and not any(map(inside, outside))


@dataclass(frozen=True)
class Search:
    """A search that looks at what was touched since it was begun."""

    host: Host
    uid: int
    folder: str

    def look(self, words: Iterable[str] = ()) -> Found:
        """Look now."""
        script = shlex.quote(_SCRIPT.read_text())
        command = f"python3 - {self.uid} {self.folder}/began $under {' '.join(words)}"
        said = probe.run(
            self.host,
            f"under=$(mktemp -d {self.folder}/under.XXXXXX)\n"
            f"printf %s {script} | unshare --mount --propagation private {command}; rm -rf --one-file-system $under",
        )
        found = json.loads(said)
        return Found(
            *(tuple(map(tuple, found[key])) for key in ("hits", "owned")),
            *(tuple(found[key]) for key in ("processes", "ipc")),
        )


@contextmanager
def begun(host: Host, uid: int) -> Iterator[Search]:
    """Begin a search: from now on, what is touched on the machine is looked at."""
    with probe.folder(host) as folder:
        probe.run(host, f": >{folder}/began")
        yield Search(host, uid, folder)
