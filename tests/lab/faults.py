"""The table of faults that were tried on live machines, and what became of each. Must not know how a fault is made."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Faults:
    """One line for each fault; suites that try some write them down, and all are printed together at the end."""

    lines: list[str] = field(default_factory=list)

    def add(
        self, what: str, fault: str, engine: str, *, reachable: bool, state: str, converged: bool, seconds: float
    ) -> None:
        """Write down one: what was being changed, the trouble, and how the machine was found after it."""
        outcome, then = "reachable" if reachable else "LOST", "new" if converged else "NOT CONVERGED"
        self.lines.append(f"{what:<9} {fault:<58} {engine:<8} {outcome}, {state}, then {then} {seconds:5.1f} s")

    def tried(self, what: str) -> bool:
        """Was there a fault already while this was being changed?"""
        return any(line.startswith(f"{what} ") for line in self.lines)

    def __str__(self) -> str:
        lost = sum("LOST" in line for line in self.lines)
        return "\n".join(["", *self.lines, f"{len(self.lines)} faults tried, machines lost: {lost}"])
