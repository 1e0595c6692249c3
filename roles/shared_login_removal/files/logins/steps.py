"""A step: what would be done, in words a person can read in a plan, and the doing of it.

Planning makes steps and changes nothing; applying does the same steps. So a plan cannot say anything else than what
happens. It must not know any particular step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from logins.machine import Machine
from logins.record import Record


@dataclass(frozen=True)
class Step:
    """One change: `say` it, or `do` it."""

    say: str
    do: Callable[[Record], None]


@dataclass(frozen=True)
class Refusal:
    """A change that we will not make: what, why, and how to mend it."""

    what: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n  why      {self.why}\n  to mend  {self.mend}"


@dataclass
class Plan:
    """Everything a run would do, would not do, and wants to tell."""

    steps: list[Step] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Policy:
    """The policy's answers, as the role's variables bring them."""

    action: str
    logins: tuple[str, ...]
    people: Mapping[str, tuple[str, ...]]
    administrators: tuple[str, ...]
    passwords: str
    remote_root: str
    patron_login: str
    patron_remote_login: bool
    admin_groups: tuple[str, ...]
    generic_names: tuple[str, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """Take the answers out of the plain data that arrived."""
        return cls(
            action=settings["action"],
            logins=tuple(dict.fromkeys(settings["logins"])),
            people={one["login"]: tuple(one.get("keys") or ()) for one in settings["people"]},
            administrators=tuple(dict.fromkeys(settings["administrators"])),
            passwords=settings["passwords"],
            remote_root=settings["remote_root"],
            patron_login=settings["patron_login"],
            patron_remote_login=settings["patron_remote_login"],
            admin_groups=tuple(settings["admin_groups"]),
            generic_names=tuple(settings["generic_names"]),
        )

    @property
    def takes_away(self) -> bool:
        """Are shared logins locked or removed, and not only looked at?"""
        return self.action in ("locked", "removed")


@dataclass(frozen=True)
class CameIn:
    """How this run reached the machine: the login, and from which address if it was over the network."""

    login: str
    address: str | None


@dataclass(frozen=True)
class Situation:
    """What every planner looks at."""

    policy: Policy
    machine: Machine
    came_in: CameIn
