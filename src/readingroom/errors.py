"""What can be wrong with what a person gave us, said so that they can mend it.

A `Problem` is one fault with its place and its mend; a `Refused` carries all the problems of one run. This
module must not know what a policy or a machine is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """A point in a file; lines and columns count from 1, and 0 means the file as a whole."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    @property
    def short(self) -> str:
        """`file name:line`, for a mention inside another message."""
        name = Path(self.path).name
        return f"{name}:{self.line}" if self.line else name


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: its place, what it is, a stable code, facts in `label → text` form, and the mend."""

    place: Place
    message: str
    code: str
    facts: tuple[tuple[str, str], ...] = ()
    mend: str = ""

    def __post_init__(self) -> None:
        # what a person wrote may hold line breaks and control characters; a message is one line on a terminal
        object.__setattr__(self, "message", one_line(self.message))
        object.__setattr__(self, "facts", tuple((label, one_line(text)) for label, text in self.facts))
        object.__setattr__(self, "mend", one_line(self.mend))

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}   [{self.code}]"
        rows = [*self.facts, *([("to mend", self.mend)] if self.mend else [])]
        width = max((len(label) for label, _ in rows), default=0)
        return "\n".join([head, *(f"  {label:<{width}}  {text}" for label, text in rows)])


def one_line(text: str) -> str:
    """`text` without line breaks and control characters.

    >>> one_line("a\\n  b\\x1b[31m")
    'a b?[31m'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


class ReadingRoomError(Exception):
    """A fault that is explained to the person, never shown as a traceback."""


class Refused(ReadingRoomError):
    """Input that cannot be used; `problems` lists everything wrong with it, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.place, p.code, p.message)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(slots=True)
class Problems:
    """Collects problems, so that one run reports all of them."""

    found: list[Problem] = field(default_factory=list)

    def add(
        self, place: Place, message: str, code: str, *, mend: str = "", facts: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Note one problem."""
        self.found.append(Problem(place, message, code, tuple(facts), mend))

    def refuse_if_any(self) -> None:
        """Raise `Refused` with everything found, if anything was."""
        if self.found:
            raise Refused(self.found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest known one, or all of them if they are few.

    >>> did_you_mean("unclaimed_job", ["unclaimed_jobs", "listen"])
    'did you mean unclaimed_jobs?'
    >>> did_you_mean("zzz", ["a", "b"])
    'use one of: a, b'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"use one of: {', '.join(names)}" if len(names) <= 12 else ""
