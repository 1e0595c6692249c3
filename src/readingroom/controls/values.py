"""The types a policy value can have, and what "stricter" means for each: a lattice, so merging has no order.

`combine(a, b)` gives the strictest value that satisfies both; it is idempotent, commutative and associative, and
never looser than either. `looser(a, floor)` asks whether `a` gives up anything that `floor` promises. This module
must not know controls, policies or files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..document import Item
from ..errors import did_you_mean
from .durations import Duration, Unfit, parse_duration
from .shapes import SHAPES
from .singles import ADVICE, MEMBERS, Json, text_of

_TRUE = frozenset({"on", "yes", "true"})
_FALSE = frozenset({"off", "no", "false"})


class Conflict(ValueError):
    """Two pinned values that differ: nothing satisfies both."""


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

    def weakest(self, value: Any) -> Any:
        """The value that promises nothing; `value` itself for a type that has none."""
        return value

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


@dataclass(frozen=True)
class DurationType(ValueType):
    """A span of time between `at_least` and `at_most`."""

    stricter: Literal["shorter", "longer"] = "shorter"
    at_least: str = "none"
    at_most: str = "forever"
    words: Mapping[str, str] = field(default_factory=dict)

    def parse(self, item: Item) -> Duration:
        value = parse_duration(text_of(item, self.advice), self.words)
        low, high = parse_duration(self.at_least), parse_duration(self.at_most)
        if not low <= value <= high:
            side = f"shorter than {low}" if value < low else f"longer than {high}"
            raise Unfit(f"{value} is {side}, which this setting cannot keep", self.advice, "out-of-range")
        return value

    def weakest(self, value: Duration) -> Duration:
        return parse_duration(self.at_most if self.stricter == "shorter" else self.at_least)

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
        text = text_of(item, self.advice)
        if text not in self.options:
            raise Unfit(
                f"{item.described} is not one of the choices", did_you_mean(text, self.options), "unknown-choice"
            )
        return text

    def weakest(self, value: str) -> str:
        return self.options[0]

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
        text = text_of(item, self.advice).lower()
        if text not in _TRUE | _FALSE:
            raise Unfit(f"{item.described} is neither on nor off", self.advice)
        return text in _TRUE

    def weakest(self, value: bool) -> bool:
        return not self.safe

    def combine(self, one: bool, other: bool) -> bool:
        return self.safe if self.safe in (one, other) else not self.safe

    def schema(self) -> Json:
        return {"enum": ["on", "off", True, False]}

    @property
    def advice(self) -> str:
        return "write on or off"


@dataclass(frozen=True)
class ListType(ValueType):
    """A set of `member`s. An allow-list is stricter with fewer of them, a deny-list with more."""

    member: str
    allows: bool

    def parse(self, item: Item) -> tuple[Any, ...]:
        if item.items is None:
            raise Unfit(f"{item.described} stands where a list is needed", self.advice)
        read = MEMBERS[self.member]
        return tuple(sorted({read(text_of(part, self.advice)) for part in item.items}))

    def weakest(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return value if self.allows else ()

    def combine(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
        both = set(one) & set(other) if self.allows else set(one) | set(other)
        return tuple(sorted(both))

    def schema(self) -> Json:
        return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}

    @property
    def advice(self) -> str:
        return ADVICE.get(self.member, f"write a list of {self.member}s: [one, another]")

    def within(self, floor: tuple[Any, ...]) -> str:
        return f"{'take only from' if self.allows else 'include all of'} {show(floor)}"


@dataclass(frozen=True)
class PinnedType(ValueType):
    """A value on which all layers must agree."""

    member: str

    def parse(self, item: Item) -> Any:
        return MEMBERS[self.member](text_of(item, self.advice))

    def combine(self, one: Any, other: Any) -> Any:
        if one != other:
            raise Conflict(f"{one} and {other}")
        return one

    def schema(self) -> Json:
        return {"type": "string"}

    @property
    def advice(self) -> str:
        return ADVICE.get(self.member, f"write one {self.member}")


@dataclass(frozen=True)
class FreeType(ValueType):
    """The member's own affair: no value is stricter than another, and a later layer simply says it anew."""

    shape: str
    ordered = False

    def parse(self, item: Item) -> Any:
        return SHAPES[self.shape].parse(item)

    def combine(self, one: Any, other: Any) -> Any:
        raise Conflict("a free value has no order")

    def schema(self) -> Json:
        return dict(SHAPES[self.shape].schema)

    @property
    def advice(self) -> str:
        return SHAPES[self.shape].advice
