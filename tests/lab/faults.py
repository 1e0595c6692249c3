"""The table of faults that were tried on live machines, and what became of each. Must not know how a fault is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable

PROPERTY = "fault"
Record = Callable[[str, object], None]


def tell(
    record: Record, what: str, fault: str, engine: str, *, reachable: bool, state: str, converged: bool, seconds: float
) -> None:
    """Record one with its test: what was being changed, the trouble, and how the machine was found after it."""
    outcome, then = "reachable" if reachable else "LOST", "new" if converged else "NOT CONVERGED"
    record(PROPERTY, f"{what:<9} {fault:<58} {engine:<8} {outcome}, {state}, then {then} {seconds:5.1f} s")


def table(properties: Iterable[tuple[str, object]]) -> str:
    """A line for each fault that these tests recorded, and how many machines were lost; empty without any."""
    lines = [str(value) for name, value in properties if name == PROPERTY]
    lost = sum("LOST" in line for line in lines)
    return "\n".join([*lines, f"{len(lines)} faults tried, machines lost: {lost}"]) if lines else ""
