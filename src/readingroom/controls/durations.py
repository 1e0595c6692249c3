"""Spans of time as a policy spells them, ordered by length. This module must not know what a span is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import Place

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")


class Unfit(ValueError):
    """A value that its type does not take; `mend` says what it takes, `place` where in the value the fault is, if known."""

    def __init__(self, message: str, mend: str, code: str = "wrong-type", place: Place | None = None) -> None:
        super().__init__(message)
        self.message, self.mend, self.code, self.place = message, mend, code, place


@dataclass(frozen=True, order=True, slots=True)
class Duration:
    """A span of time, ordered by length; `seconds` is None for `forever`, 0 for `none`.

    A named span such as `nightly` is a little shorter than the plain span of its length: it ends at a fixed hour,
    so nothing waits longer, and most things wait less.
    """

    rank: tuple[float, int]
    spelled: str = field(compare=False)

    @property
    def seconds(self) -> int | None:
        return None if self.rank[0] == float("inf") else int(self.rank[0])

    def __str__(self) -> str:
        return self.spelled

    @property
    def in_words(self) -> str:
        """The span for a patron.

        >>> parse_duration("90m").in_words, parse_duration("7d").in_words
        ('90 minutes', '7 days')
        """
        if self.spelled in ("none", "forever"):
            return "no time" if self.spelled == "none" else "an unlimited time"
        found = _DURATION.fullmatch(self.spelled)
        if found is None:
            return f"one night ({parse_duration(f'{self.seconds}s').in_words})"
        number, unit = int(found[1]), {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}[found[2]]
        return f"{number} {unit}{'' if number == 1 else 's'}"


def parse_duration(text: str, words: Mapping[str, str] | None = None) -> Duration:
    """`15m`, `24h`, `7d`, `none`, `forever`, or one of `words`; `Unfit` for anything else.

    >>> parse_duration("1d") == parse_duration("24h") < parse_duration("forever")
    True
    """
    if text == "none":
        return Duration((0, 1), text)
    if text == "forever":
        return Duration((float("inf"), 1), text)
    if words and text in words:
        return Duration((parse_duration(words[text]).rank[0], 0), text)
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        also = f", {', '.join(words)}" if words else ""
        spell = "; spell zero as `none`" if found or text == "0" else ""
        raise Unfit(
            f"{text!r} is not a span of time",
            f"write it like 15m, 24h or 7d, or none, forever{also}{spell}",
            "bad-duration",
        )
    seconds = int(found[1]) * _UNITS[found[2]]
    return Duration((seconds, 1), _spell(seconds))


def _spell(seconds: int) -> str:
    """One spelling per length: the largest unit that fits whole, but a day is `24h`, as library policies write it."""
    for unit in ("d", "h", "m"):
        if seconds % _UNITS[unit] == 0 and seconds != 86_400 * (unit == "d"):
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"
