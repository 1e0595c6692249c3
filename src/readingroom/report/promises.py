"""The table of promises as data, and as plain text for pipes, logs and people without a terminal.

Must not know how evidence is gathered, nor colours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..verify.evidence import Evidence, Verdict

# One word for each verdict, as people say it.
WORDS: dict[Verdict, str] = {
    "kept": "kept",
    "broken": "BROKEN",
    "waived": "waived",
    "unsupported": "not supported",
    "not-tested": "not tested",
    "not-applicable": "–",
}
# The verdicts in the order of `Summary`.
_COUNTED: tuple[Verdict, ...] = ("kept", "broken", "waived", "unsupported", "not-tested")
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One promise on one machine: how it was before (None: not looked at) and how it is now."""

    machine: str
    control: str
    statement: str
    before: Verdict | None
    after: Verdict
    note: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The ratio that is always printed: of the promises made here, how many are kept, and what the rest is."""

    made: int
    kept: int
    broken: int
    waived: int
    unsupported: int
    not_tested: int

    def __str__(self) -> str:
        rest = [("broken", self.broken), ("waived", self.waived), ("not supported", self.unsupported),
                ("not tested", self.not_tested)]  # fmt: skip
        tail = "".join(f", {count} {word}" for word, count in rest if count)
        return f"{self.kept} of {self.made} promises kept{tail}"


def rows(after: Evidence, before: Evidence | None = None) -> tuple[Row, ...]:
    """The promises made for each machine, in the evidence's order; those not made for its class are left out."""
    earlier = {(machine, control): found.verdict for machine, control, found in before.verdicts()} if before else {}
    made = []
    for machine, control, found in after.verdicts():
        if found.verdict != "not-applicable":
            note = "; ".join(filter(None, (found.reason, found.observed)))
            was = earlier.get((machine, control))
            made.append(Row(machine, control, found.statement, was, found.verdict, note))
    return tuple(made)


def summary(table: Sequence[Row]) -> Summary:
    """Count the rows; only what is plainly kept is kept."""

    def count(verdict: Verdict) -> int:
        return sum(row.after == verdict for row in table)

    return Summary(len(table), *map(count, _COUNTED))


def plain(table: Sequence[Row]) -> str:
    """The table as text: a line for each promise, and what was seen under each that is not kept."""
    names = max((len(row.control) for row in table), default=0)
    lines: list[str] = []
    for machine, group in groupby(table, key=lambda row: row.machine):
        lines += ["", machine] if lines else [machine]
        for row in group:
            words = f"{WORDS[row.before]} → {WORDS[row.after]}" if row.before else WORDS[row.after]
            lines.append(f"  {words:<24}{row.control:<{names}}  {row.statement}".rstrip())
            if row.after != "kept" and row.note:
                lines += textwrap.wrap(row.note, _WIDTH, initial_indent=" " * 26, subsequent_indent=" " * 26)
    return "\n".join([*lines, "", str(summary(table))])
