"""Profiles in /usr/share/pam-configs, from which `pam-auth-update` writes /etc/pam.d/common-*.

A profile that was not there before us is taken out by that tool before its file goes, so that the lines which other
packages have brought meanwhile stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .tools import run

PROFILES = "/usr/share/pam-configs/"
WRITTEN = Path("/etc/pam.d")


def take_out(names: Sequence[str]) -> str | None:
    """Take the profiles called `names` out; a word for the person where the tool leaves the files alone."""
    calls = {line for name in names for line in Path(PROFILES, name).read_text().splitlines() if ".so" in line}
    run("pam-auth-update", "--package", "--remove", *names)
    left = [path.name for path in sorted(WRITTEN.glob("common-*")) if _calls(path) & _words(calls)]
    if left:
        return (
            f"{', '.join(left)} in {WRITTEN} stay as they are: somebody changed them by hand. Take the lines out that "
            f"{', '.join(names)} brought."
        )
    return None


def _calls(path: Path) -> set[tuple[str, ...]]:
    return _words(set(path.read_text(errors="replace").splitlines()))


def _words(lines: set[str]) -> set[tuple[str, ...]]:
    """The module of each line and what it is told; what comes before it differs between profile and file."""
    found = set()
    for line in lines:
        words = line.split("#")[0].split()
        at = next((number for number, word in enumerate(words) if word.endswith(".so")), None)
        if at is not None:
            found.add(tuple(words[at:]))
    return found
