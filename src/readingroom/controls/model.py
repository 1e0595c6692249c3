"""What a control file says: one promise, declared once.

Everything else about the promise (the policy's schema, role argument specs, expectations, tables, notices) derives
from these models. This module must not know where the files lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from .durations import Duration
from .shapes import SHAPES
from .values import (
    ChoiceType,
    DurationType,
    FreeType,
    ListType,
    PinnedType,
    SwitchType,
    ValueType,
    data,
    show,
)

Kind = Literal["public", "staff", "gateway"]
Transform = Literal["seconds", "value"] | Mapping[Literal["is", "contains"], str]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Key(_Strict):
    """A policy key: its type, the value that silence means, and the role variables it sets."""

    key: str = Field(pattern=r"^[a-z]+\.[a-z][a-z_]*$")
    about: str = ""
    type: ValueType
    silent: Any
    sets: Mapping[str, Transform]
    scope: Literal["class", "library"] = "class"

    @field_validator("type", mode="before")
    @classmethod
    def _type(cls, written: Any) -> ValueType:
        return value_type(written)

    def variables(self, value: Any) -> dict[str, Any]:
        """The role variables that carry `value`, as plain data; a span without end is -1 seconds."""
        return {name: _transformed(value, how) for name, how in self.sets.items()}


class Control(Key):
    """A promise: its sentence, why it is made, its key, and the role that keeps it.

    `worded` names the role variable that receives what patrons read about it, by language.
    """

    id: str = Field(pattern=r"^[a-z]+(\.[a-z0-9]+(-[a-z0-9]+)*)$")
    title: str
    statement: str | Mapping[str, str]
    why: str
    catalogue: str
    applies_to: tuple[Kind, ...] = Field(min_length=1)
    role: str
    inputs: tuple[Key, ...] = ()
    held_by: str | None = None
    worded: str | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    conflicts: tuple[str, ...] = ()
    reversal: str

    @property
    def keys(self) -> tuple[Key, ...]:
        """The promise's own key, then its further inputs."""
        return (self, *self.inputs)

    def sentence(self, value: Any) -> str:
        """The promise in plain words, for this value."""
        words = value.in_words if isinstance(value, Duration) else _listed(value)
        if isinstance(self.statement, str):
            return self.statement.format(value=words)
        word = "empty" if value == () else show(value)
        return self.statement.get(word, self.statement.get("otherwise", "")).format(value=words)


def role_of(variable: str, roles: Iterable[str]) -> str | None:
    """The role that a variable belongs to, by its name; None when it is nobody's.

    >>> role_of("vpn_gateway_port", ["vpn", "vpn_gateway"]), role_of("vpn_gateways", ["vpn", "vpn_gateway"])
    ('vpn_gateway', 'vpn')
    """
    return max((role for role in roles if variable.startswith(f"{role}_")), key=len, default=None)


def _listed(value: Any) -> str:
    if not isinstance(value, tuple):
        return show(value)
    return ", ".join(part.in_words if isinstance(part, Duration) else str(part) for part in value)


def _seconds(span: Duration) -> int:
    return -1 if span.seconds is None else span.seconds


def _transformed(value: Any, how: Transform) -> Any:
    if how == "seconds":
        return [_seconds(part) for part in value] if isinstance(value, tuple) else _seconds(value)
    if how == "value":
        return data(value)
    (test, word), *_ = dict(how).items()
    return show(value) == word if test == "is" else word in value


def value_type(written: Any) -> ValueType:
    """The type that a control file describes, such as `{choice: [weak, strong]}`; `ValueError` for anything else."""
    if not isinstance(written, Mapping) or len(written) != 1:
        raise ValueError("write one type, such as {choice: [weak, strong]}")
    (name, detail), *_ = written.items()
    match name:
        case "duration" if isinstance(detail, Mapping):
            return DurationType(**detail)
        case "choice" if isinstance(detail, list) and len(set(detail)) == len(detail) > 1:
            return ChoiceType(tuple(detail))
        case "switch" if isinstance(detail, Mapping) and detail.get("safe") in ("on", "off"):
            return SwitchType(detail["safe"] == "on")
        case "allow-list" | "deny-list" if isinstance(detail, str):
            return ListType(detail, allows=name == "allow-list")
        case "pinned" if isinstance(detail, str):
            return PinnedType(detail)
        case "free" if detail in SHAPES:
            return FreeType(detail)
    raise ValueError(f"{name} is not a type, or lacks what the type needs")
