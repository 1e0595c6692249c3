"""A waiver asked for: the YAML to paste into the policy, and what it still lacks.

Asking changes nothing. Approval is the policy file itself: whoever approves policies approves waivers, and the loader
refuses one without a reason, an owner, somebody else's approval or an end. This module must not know files or machines.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from ..controls import Control
from ..controls.durations import Unfit
from ..controls.values import show
from ..document import parse
from ..errors import ReadingRoomError, did_you_mean
from .effective import Policy
from .layer import LONGEST_WAIVER


@dataclass(frozen=True)
class Request:
    """What somebody asks for; an empty text is what they have not said yet."""

    control: Control
    machines: tuple[str, ...]
    value: str
    reason: str = ""
    owner: str = ""
    until: str = ""


@dataclass(frozen=True)
class Answer:
    """The entry for `waivers:` as text, and what is missing from it, in words."""

    entry: str
    missing: tuple[str, ...]


def answer(request: Request, policy: Policy, today: dt.date) -> Answer:
    """The waiver to paste. Raises `ReadingRoomError` for what no approval could mend."""
    missing = []
    if not request.machines:
        missing.append("machines: which machines it is for")
    for name in request.machines:
        if name not in policy.machines:
            raise ReadingRoomError(f"{name} is not in the inventory\n  to mend  {did_you_mean(name, policy.machines)}")
    promised = _promised(request, policy)
    if not request.value:
        missing.append(f"value: what is to hold instead ({request.control.type.advice})")
    missing += [f"{name}: {words}" for name, words in _WANTED.items() if not getattr(request, name).strip()]
    if request.until:
        _check_until(request.until, today)
    missing.append("approved_by: somebody other than the owner, who says yes")
    return Answer(_entry(request, _next_id(policy), promised), tuple(missing))


_WANTED = {
    "reason": "why the promise cannot be kept there",
    "owner": "who answers for it",
    "until": "the last day it holds, within 366 days",
}


def _promised(request: Request, policy: Policy) -> str:
    """What the machines promise now; refuses a value that is no looser than that, or beyond a consortium's floor."""
    control, promised = request.control, []
    for name in request.machines:
        holder = policy.machines[name]
        if holder.kind not in control.applies_to:
            raise ReadingRoomError(f"{control.id} is not promised on {name}\n  to mend  no waiver is needed there")
        before = holder.values[control.key].value
        promised.append(show(before))
        if request.value and not control.type.looser(_value(request), before):
            raise ReadingRoomError(
                f"{request.value} is not looser than what {name} promises ({show(before)})\n"
                "  to mend  no waiver is needed: set it in the policy"
            )
    return " and ".join(dict.fromkeys(promised))


def _value(request: Request) -> object:
    try:
        return request.control.type.parse(parse(request.value.encode(), "--value"))
    except Unfit as unfit:
        raise ReadingRoomError(f"{request.control.key}: {unfit.message}\n  to mend  {unfit.mend}") from None


def _check_until(text: str, today: dt.date) -> None:
    try:
        until = dt.date.fromisoformat(text)
    except ValueError:
        raise ReadingRoomError(f"{text} is not a date\n  to mend  write it like 2027-01-31") from None
    if not today <= until <= today + LONGEST_WAIVER:
        raise ReadingRoomError(
            f"a waiver cannot end on {until}\n  to mend  choose a day from {today} to {today + LONGEST_WAIVER}"
        )


def _next_id(policy: Policy) -> str:
    taken = {waiver.id for waiver in policy.waivers}
    return next(name for number in range(1, len(taken) + 2) if (name := f"W-{number}") not in taken)


def _entry(request: Request, name: str, promised: str) -> str:
    rows: list[tuple[str, str, str]] = [
        ("id", name, ""),
        ("control", request.control.id, ""),
        ("machines", _list(request.machines), ""),
        ("value", request.value, f"the policy promises {promised}" if promised else ""),
        ("reason", _scalar(request.reason), ""),
        ("owner", _scalar(request.owner), ""),
        ("approved_by", "", "somebody other than the owner"),
        ("until", request.until, ""),
    ]
    lines = [f"{key}: {value}".rstrip() + (f"  # {note}" if note else "") for key, value, note in rows]
    return "waivers:\n  - " + "\n    ".join(lines) + "\n"


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_scalar, names))}]"


def _scalar(text: str) -> str:
    """`text` as one line of YAML, quoted if it must be."""
    return yaml.safe_dump(text, allow_unicode=True, width=100_000).removesuffix("\n...\n").strip() if text else ""
