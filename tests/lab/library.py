"""A library that begins with Reading Room: two machines, its own checkout, and what somebody types there."""

from __future__ import annotations

from dataclasses import dataclass

from checkout import Checkout, Ran
from readingroom.verify import Evidence

MACHINES = ("public-1", "staff-1")
# CUPS rewrites its own record of the queues whenever it likes.
LOOK = [
    "sh", "-c", "find /etc /usr/local /var/lib/readingroom ! -path '/etc/cups*' -printf '%p %m %u %T@ %s\\n' | sort",
]  # fmt: skip


@dataclass
class Library(Checkout):
    """Two machines, and the checkout of a library that begins."""

    def evidence(self, part: str = "") -> Evidence:
        """What was verified last."""
        return Evidence.read(self.home / "build" / "elm" / f"evidence{part}.json")


@dataclass(frozen=True)
class FirstDay:
    """Fresh machines, planned and hardened by the commands of the README; what was seen on the way."""

    library: Library
    planned: Ran
    touched: bool
    hardened: Ran
    evidence: Evidence

    @property
    def not_kept(self) -> str:
        """What an assertion says first: a whole report is cut in the middle by whoever shows it."""
        return not_kept(self.evidence)


def not_kept(evidence: Evidence) -> str:
    """The promises that are broken or could not be tested, each with what was seen."""
    return "\n".join(
        f"{machine}: {control} is {found.verdict}: {found.reason or found.observed}"
        for machine, control, found in evidence.verdicts()
        if found.verdict in ("broken", "not-tested")
    )
