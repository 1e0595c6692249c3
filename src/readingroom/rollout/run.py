"""A rollout: ring after ring, each verified, hardened, verified again if it changed, and judged at its gate.

What is done to a ring is handed in, so that the order of things can be tested without a machine. Must not print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..apply import ApplyResult
from ..fleet import Ring
from ..verify import Evidence
from .gate import Gate, gate
from .record import Record

Verify = Callable[[Ring, str], Evidence]
Apply = Callable[[Ring], ApplyResult]


@dataclass
class RingResult:
    """How one ring fared, as far as it came."""

    ring: Ring
    before: Evidence | None = None
    applied: ApplyResult | None = None
    after: Evidence | None = None
    gate: Gate | None = None


@dataclass
class Rollout:
    """How a rollout went. `not_begun` rings were not touched; `skipped` machines were proved by an earlier run."""

    results: list[RingResult] = field(default_factory=list)
    not_begun: tuple[Ring, ...] = ()
    skipped: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def before(self) -> Evidence | None:
        """What was found on all rings beforehand."""
        return _together([result.before for result in self.results])

    @property
    def after(self) -> Evidence | None:
        """What was found on all rings afterwards."""
        return _together([result.after for result in self.results])

    @property
    def unchanged(self) -> bool:
        """Whether nothing was changed anywhere, so that what was found beforehand still stands."""
        return all(result.after is result.before for result in self.results)


def roll_out(
    rings: Sequence[Ring],
    *,
    verify: Verify,
    apply: Apply,
    on_ring: Callable[[Ring], None],
    on_applied: Callable[[ApplyResult], None],
    record: Record,
    build: Path | None,
    resume: bool = False,
) -> Rollout:
    """Harden `rings` in order, until one of them does not pass its gate or somebody stops it.

    With `resume`, machines that `record` calls proved are left alone. `build` is where the record is kept; None when
    only a part of the roles is applied, which proves nothing about the whole.
    """
    skipped = frozenset(record.proved) if resume else frozenset[str]()
    left = [Ring(ring.name, tuple(name for name in ring.machines if name not in skipped)) for ring in rings]
    left = [ring for ring in left if ring.machines]
    rollout = Rollout(skipped=tuple(name for ring in rings for name in ring.machines if name in skipped))
    for number, ring in enumerate(left):
        rollout.not_begun = tuple(left[number + 1 :])
        result = RingResult(ring)
        rollout.results.append(result)
        on_ring(ring)
        try:
            result.before = verify(ring, "before")
            record = record.without(ring.machines)
            if build:
                record.write(build)
            result.applied = apply(ring)
            on_applied(result.applied)
            if not result.applied.interrupted:
                result.after = verify(ring, "after") if _changed(result.applied) else result.before
        except KeyboardInterrupt:
            rollout.interrupted = True
            return rollout
        rollout.interrupted = result.applied.interrupted
        result.gate = gate(result.applied, result.after)
        record = record.with_proved(result.gate.proved)
        if build:
            record.write(build)
        if not result.gate.is_open:
            return rollout
    return rollout


def _changed(applied: ApplyResult) -> bool:
    """Whether something was changed, or may have been by a run that did not go through."""
    return not applied.ok or any(machine.changes for machine in applied.machines.values())


def _together(parts: Sequence[Evidence | None]) -> Evidence | None:
    """Evidence of several rings as one; complete only if somebody says so for the whole."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    machines = {name: machine for part in found for name, machine in part.machines.items()}
    return found[-1].model_copy(update={"machines": dict(sorted(machines.items())), "complete": False})
