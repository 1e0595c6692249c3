"""What a run tells while it goes on, and what it leaves behind: plain frozen records.

Both engines speak in these; nothing here knows either of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Engine = Literal["ansible", "pyinfra"]
Status = Literal["ok", "failed", "unreachable"]
Kind = Literal["begin", "task", "changed", "failed", "unreachable", "done", "note"]
# What a change does to its subject: a path, packages (one a line), a unit, or nothing that has a name.
Act = Literal["write", "directory", "remove", "install", "unit", "restart", "step"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `detail` is a diff, a few words, or the reason of a failure.

    `act` and `subject` say what a change is to a program, in the same words for both engines.
    """

    kind: Kind
    machine: str = ""
    role: str = ""
    what: str = ""
    detail: str = ""
    act: Act = "step"
    subject: str = ""

    def as_json(self) -> dict[str, str]:
        """For one line of an engine's output."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        """Read an engine's line; unknown keys are left out, so that an engine may say more."""
        return cls(**{key: data[key] for key in cls.__slots__ if key in data})


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change that was made, or in a dry run would be."""

    role: str
    what: str
    detail: str = ""
    act: Act = "step"
    subject: str = ""


@dataclass(frozen=True, slots=True)
class MachineResult:
    """How one machine fared. `undone` names the roles that were asked for and not finished; `notes` are what a
    person should look at, and no change."""

    status: Status
    changes: tuple[Change, ...] = ()
    message: str = ""
    undone: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """How a run went. `interrupted` when a person stopped it."""

    engine: Engine
    check: bool
    machines: Mapping[str, MachineResult] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Every machine finished, and nobody stopped the run."""
        return not self.interrupted and all(result.status == "ok" for result in self.machines.values())
