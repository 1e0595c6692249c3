"""The types a policy value can have, and what "stricter" means for each: a lattice, so merging has no order.

`combine(a, b)` gives the strictest value that satisfies both; it is idempotent, commutative and associative, and
never looser than either. `looser(a, floor)` asks whether `a` gives up anything that `floor` promises. This module
must not know controls, policies or files.
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..document import Item
from ..errors import did_you_mean

Json = dict[str, Any]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_TRUE = frozenset({"on", "yes", "true"})
_FALSE = frozenset({"off", "no", "false"})


class Unfit(ValueError):
    """A value that its type does not take; `mend` says what it takes."""

    def __init__(self, message: str, mend: str, code: str = "wrong-type") -> None:
        super().__init__(message)
        self.message, self.mend, self.code = message, mend, code


class Conflict(ValueError):
    """Two pinned values that differ: nothing satisfies both."""


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


class ValueType(ABC):
    """A type of policy value. `parse` reads a file's item; the rest works on what it gave."""

    ordered = True

    @abstractmethod
    def parse(self, item: Item) -> Any:
        """The value in `item`; raises `Unfit`."""

    @abstractmethod
    def combine(self, one: Any, other: Any) -> Any:
        """The strictest value that keeps what both promise; raises `Conflict` if there is none."""

    @abstractmethod
    def schema(self) -> Json:
        """The JSON Schema of what a person may write."""

    @property
    @abstractmethod
    def advice(self) -> str:
        """How a value is written, in a few words."""

    def looser(self, value: Any, floor: Any) -> bool:
        """Whether `value` gives up something that `floor` promises."""
        if not self.ordered:
            return False
        try:
            return bool(self.combine(value, floor) != value)
        except Conflict:
            return True

    def within(self, floor: Any) -> str:
        """What a person may choose under `floor`, for an error's mend."""
        return f"choose {show(floor)}"


def show(value: Any) -> str:
    """A value as a person writes it.

    >>> show(()), show(("a", "b")), show(True)
    ('[]', '[a, b]', 'on')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"[{', '.join(show(part) for part in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {show(part)}' for key, part in value.items())}}}"
    return str(value)


def data(value: Any) -> Any:
    """A value as plain data for JSON and YAML."""
    if isinstance(value, Duration):
        return value.spelled
    if isinstance(value, tuple):
        return [data(part) for part in value]
    if isinstance(value, Mapping):
        return {key: data(part) for key, part in value.items()}
    return value


def _text(item: Item, advice: str) -> str:
    if item.text is None:
        raise Unfit(f"{item.described} stands where a single value is needed", advice)
    return item.text


@dataclass(frozen=True)
class DurationType(ValueType):
    """A span of time between `at_least` and `at_most`."""

    stricter: Literal["shorter", "longer"] = "shorter"
    at_least: str = "none"
    at_most: str = "forever"
    words: Mapping[str, str] = field(default_factory=dict)

    def parse(self, item: Item) -> Duration:
        value = parse_duration(_text(item, self.advice), self.words)
        low, high = parse_duration(self.at_least), parse_duration(self.at_most)
        if not low <= value <= high:
            side = f"shorter than {low}" if value < low else f"longer than {high}"
            raise Unfit(f"{value} is {side}, which this setting cannot keep", self.advice, "out-of-range")
        return value

    def combine(self, one: Duration, other: Duration) -> Duration:
        return min(one, other) if self.stricter == "shorter" else max(one, other)

    def schema(self) -> Json:
        words = [word for word in ("none", "forever", *self.words) if self._takes(word)]
        return {"anyOf": [{"type": "string", "pattern": "^[1-9][0-9]*[smhdw]$"}, {"enum": words}]}

    def _takes(self, word: str) -> bool:
        low, high = parse_duration(self.at_least), parse_duration(self.at_most)
        return low <= parse_duration(word, self.words) <= high

    @property
    def advice(self) -> str:
        also = "".join(f", or {word}" for word in self.words)
        return f"write a span such as 15m, 24h or 7d, from {self.at_least} to {self.at_most}{also}"

    def within(self, floor: Duration) -> str:
        return f"choose {floor} or {self.stricter}"


@dataclass(frozen=True)
class ChoiceType(ValueType):
    """One of `options`, weakest first."""

    options: tuple[str, ...]

    def parse(self, item: Item) -> str:
        text = _text(item, self.advice)
        if text not in self.options:
            raise Unfit(
                f"{item.described} is not one of the choices", did_you_mean(text, self.options), "unknown-choice"
            )
        return text

    def combine(self, one: str, other: str) -> str:
        return max(one, other, key=self.options.index)

    def schema(self) -> Json:
        # unquoted, an editor reads `on` and `off` as booleans
        also = [flag for word, flag in (("on", True), ("off", False)) if word in self.options]
        return {"enum": [*self.options, *also]}

    @property
    def advice(self) -> str:
        return f"write one of: {', '.join(self.options)}"

    def within(self, floor: str) -> str:
        return f"choose {' or '.join(self.options[self.options.index(floor) :])}"


@dataclass(frozen=True)
class SwitchType(ValueType):
    """On or off, one of which is safe."""

    safe: bool

    def parse(self, item: Item) -> bool:
        text = _text(item, self.advice).lower()
        if text not in _TRUE | _FALSE:
            raise Unfit(f"{item.described} is neither on nor off", self.advice)
        return text in _TRUE

    def combine(self, one: bool, other: bool) -> bool:
        return self.safe if self.safe in (one, other) else not self.safe

    def schema(self) -> Json:
        return {"enum": ["on", "off", True, False]}

    @property
    def advice(self) -> str:
        return "write on or off"


def _login(text: str) -> str:
    if not _LOGIN.fullmatch(text):
        raise Unfit(f"{text[:40]!r} is not a login name", "use lower-case letters, digits, dots, dashes (32 at most)")
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise Unfit(f"{text[:60]!r} is not a network", "write it like 192.0.2.0/24 or 2001:db8::/64") from None


def _ipp_address(text: str) -> str:
    if not re.fullmatch(r"ipps?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/%-]*)?", text):
        raise Unfit(
            f"{text[:60]!r} is not the address of an IPP printer", "write it like ipp://copier.example/ipp/print"
        )
    return text


MEMBERS: Mapping[str, Callable[[str], str]] = {"login": _login, "network": _network, "ipp-address": _ipp_address}


@dataclass(frozen=True)
class ListType(ValueType):
    """A set of `member`s. An allow-list is stricter with fewer of them, a deny-list with more."""

    member: str
    allows: bool

    def parse(self, item: Item) -> tuple[str, ...]:
        if item.items is None:
            raise Unfit(f"{item.described} stands where a list is needed", self.advice)
        read = MEMBERS[self.member]
        return tuple(sorted({read(_text(part, self.advice)) for part in item.items}))

    def combine(self, one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        both = set(one) & set(other) if self.allows else set(one) | set(other)
        return tuple(sorted(both))

    def schema(self) -> Json:
        return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}

    @property
    def advice(self) -> str:
        return f"write a list of {self.member}s: [one, another]"

    def within(self, floor: tuple[str, ...]) -> str:
        return f"{'take only from' if self.allows else 'include all of'} {show(floor)}"


@dataclass(frozen=True)
class PinnedType(ValueType):
    """A value on which all layers must agree."""

    member: str

    def parse(self, item: Item) -> str:
        return MEMBERS[self.member](_text(item, self.advice))

    def combine(self, one: str, other: str) -> str:
        if one != other:
            raise Conflict(f"{one} and {other}")
        return one

    def schema(self) -> Json:
        return {"type": "string"}

    @property
    def advice(self) -> str:
        return f"write one {self.member}"


@dataclass(frozen=True)
class FreeType(ValueType):
    """The member's own affair: no value is stricter than another, and a later layer simply says it anew."""

    shape: str
    ordered = False

    def parse(self, item: Item) -> Any:
        return SHAPES[self.shape][0](item)

    def combine(self, one: Any, other: Any) -> Any:
        raise Conflict("a free value has no order")

    def schema(self) -> Json:
        return dict(SHAPES[self.shape][1])

    @property
    def advice(self) -> str:
        return _ADVICE[self.shape]


def _people(item: Item) -> tuple[Mapping[str, Any], ...]:
    advice = _ADVICE["people"]
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of people is needed", advice)
    people = [_person(entry, advice) for entry in item.items]
    logins = [person["login"] for person in people]
    if len(set(logins)) < len(logins):
        raise Unfit("two people have the same login", "give each person a login of their own", "shared-login")
    return tuple(people)


def _person(entry: Item, advice: str) -> Mapping[str, Any]:
    fields = entry.entries or {}
    unknown = sorted(set(fields) - {"login", "keys"})
    if "login" not in fields or unknown:
        raise Unfit(f"{unknown[0]} is not known here" if unknown else "a person needs a login", advice)
    keys = fields["keys"].items or () if "keys" in fields else ()
    lines = tuple(_text(key, advice).strip() for key in keys)
    bad = [
        line
        for line in lines
        if not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]{16,}( [^\n\"']*)?", line)
    ]
    if bad:
        raise Unfit("this is not an SSH public key", "paste the whole line of the .pub file", "bad-key")
    return {"login": _login(_text(fields["login"], advice)), "keys": lines}


def _hold_areas(item: Item) -> tuple[str, ...]:
    advice = _ADVICE["hold-areas"]
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list is needed", advice)
    areas = tuple(sorted({_text(part, advice) for part in item.items}))
    if unknown := [area for area in areas if area not in HOLD_AREAS]:
        raise Unfit(f"{unknown[0]} is not an area", did_you_mean(unknown[0], HOLD_AREAS), "unknown-choice")
    return areas


_ADVICE = {
    "login": "write one login name",
    "people": "write a list of people: [{login: ada, keys: [ssh-ed25519 …]}]",
    "hold-areas": "write the areas whose deletion pauses: [logs], [printing] or both",
}
HOLD_AREAS = ("logs", "printing")
_PEOPLE_SCHEMA: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["login"],
        "additionalProperties": False,
        "properties": {"login": {"type": "string"}, "keys": {"type": "array", "items": {"type": "string"}}},
    },
}
SHAPES: Mapping[str, tuple[Callable[[Item], Any], Json]] = {
    "login": (lambda item: _login(_text(item, _ADVICE["login"])), {"type": "string"}),
    "people": (_people, _PEOPLE_SCHEMA),
    "hold-areas": (_hold_areas, {"type": "array", "items": {"enum": list(HOLD_AREAS)}, "uniqueItems": True}),
}
