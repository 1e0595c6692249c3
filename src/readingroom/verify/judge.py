"""From what tests saw to a verdict. Pure: the same outcomes and promise give the same verdict in any order.

Must not know how outcomes came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from .evidence import ControlEvidence, Verdict
from .job import Outcome

# What keeps a promise from being kept although nothing is broken, the worst first.
_GAPS: tuple[Literal["not-tested"], Literal["unsupported"]] = ("not-tested", "unsupported")

NOBODY_CHECKS = "no check exists for this promise yet"
NO_ANSWER = "the check gave no result; the log of this machine says more"


def judge(
    expected: Mapping[str, Any], outcomes: Sequence[Outcome], *, at: str, today: date, missing: str = NO_ANSWER
) -> ControlEvidence:
    """The verdict on one control of one machine.

    `expected` is the control's entry in `expectations.json`; `missing` says why there may be no outcomes at all.
    """
    verdict, observed, reason = _found(outcomes, missing)
    waiver = expected.get("waiver")
    if not expected["applies"]:
        verdict, observed, reason = "not-applicable", "", "this promise is not made for machines of this class"
    elif expected.get("held"):
        verdict, observed, reason = "waived", "", "a legal hold pauses this promise"
    elif waiver and date.fromisoformat(waiver["until"]) < today:
        verdict, reason = "broken", f"waiver {waiver['id']} ended on {waiver['until']}"
    elif waiver and verdict == "kept":
        verdict, reason = "waived", f"waiver {waiver['id']} until {waiver['until']}"
    return ControlEvidence(
        verdict=verdict, statement=expected["statement"], role=expected["role"], observed=observed, reason=reason, at=at
    )


def is_tested(expected: Mapping[str, Any]) -> bool:
    """Whether there is anything to test: the promise is made for this machine and not on hold."""
    return bool(expected["applies"]) and not expected.get("held")


def _found(outcomes: Sequence[Outcome], missing: str) -> tuple[Verdict, str, str | None]:
    """The worst of what was found, where not tested is worse than not supported. No outcome at all is never kept.

    What is not on the machine counts only when there is nothing else to look at.
    """
    ordered = sorted(outcomes, key=lambda one: one.order)

    def words(result: str) -> str:
        return "; ".join(dict.fromkeys(one.words for one in ordered if one.result == result and one.words))

    if any(one.result == "failed" for one in ordered):
        return "broken", words("failed"), None
    if not ordered:
        return "not-tested", "", missing
    for gap in _GAPS:
        if any(one.result == gap for one in ordered):
            return gap, words("passed"), "; ".join(filter(None, (words(also) for also in _GAPS)))
    if all(one.result == "not-applicable" for one in ordered):
        return "not-applicable", "", words("not-applicable")
    return "kept", words("passed") or "checked; its author left no words for what was seen", None
