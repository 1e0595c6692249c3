"""What changed since the last verification: verdict by verdict, and by which file or package where that can be told.

Verdicts come from two pieces of evidence, causes from the machine's own history and from what a dry run would mend. Pure;
must not know how any of them came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..apply import MachinePlan
from ..apply.history import History
from ..verify import Evidence, Verdict
from .promises import WORDS

_MOST = 8


@dataclass(frozen=True, slots=True)
class Drift:
    """A promise whose verdict is another than last time; `was` is None when it was not looked at then."""

    machine: str
    control: str
    was: Verdict | None
    now: Verdict
    note: str

    @property
    def is_loss(self) -> bool:
        """Whether it was kept and is not any longer."""
        return self.was == "kept" and self.now != "kept"


def drifted(before: Evidence, after: Evidence) -> tuple[Drift, ...]:
    """The promises that `after` asked about and judged otherwise than `before`."""
    earlier = {(machine, control): found.verdict for machine, control, found in before.verdicts()}
    return tuple(
        Drift(machine, control, was, found.verdict, "; ".join(filter(None, (found.reason, found.observed))))
        for machine, control, found in after.verdicts()
        if (was := earlier.get((machine, control))) != found.verdict and "not-applicable" not in (was, found.verdict)
    )


def last_look(evidence: Evidence, machine: str) -> int | None:
    """When `machine` was last verified, in seconds since 1970; None when it never was."""
    found = evidence.machines.get(machine)
    times = [one.at for one in found.controls.values()] if found else []
    return int(datetime.strptime(max(times), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()) if times else None


def drift_text(
    drifts: Sequence[Drift], plans: Mapping[str, MachinePlan], histories: Mapping[str, History]
) -> Iterator[str]:
    """The report, line by line."""
    if not drifts:
        yield "Since the last run: every promise stands as it stood."
        return
    for machine in dict.fromkeys(drift.machine for drift in drifts):
        yield f"{machine}, since the last run:"
        history = histories.get(machine, History())
        named: set[str] = set()
        for drift in (one for one in drifts if one.machine == machine):
            was = WORDS[drift.was] if drift.was else "not looked at"
            yield f"  {drift.control}: {was} → {WORDS[drift.now]}" + (f" ({drift.note})" if drift.note else "")
            if drift.is_loss:
                causes = _causes(drift.control, plans.get(machine), history)
                named |= set(causes)
                yield from (f"    by  {cause}" for cause in causes)
        yield from _rest(history, named)


def _causes(control: str, plan: MachinePlan | None, history: History) -> tuple[str, ...]:
    """What no longer is as it was made, of the things that serve `control`; with when it changed, if that is known.

    What serves every promise of a role is named only when nothing closer is.
    """
    changes = [one for one in plan.changes if control in one.controls and one.act != "restart"] if plan else []
    close = [one for one in changes if not one.whole_role] or changes
    found = []
    for change in close:
        events = [str(event) for event in history.files if event.path == change.subject]
        gone = f"{change.subject} is not there any more" if change.new else f"it would take: {change.what}"
        found.append(events[0] if events else gone)
    return tuple(dict.fromkeys(found))


def _rest(history: History, named: set[str]) -> Iterator[str]:
    """What else happened there, for a person to judge."""
    if history.unknown:
        yield f"  what happened there cannot be told: {history.unknown.splitlines()[0]}"
        return
    inside = {event.path for event in history.files}
    files = [event for event in history.files if not event.is_folder or _is_emptied(event.path, inside)]
    others = [str(event) for event in (*history.packages, *files) if str(event) not in named]
    if others:
        yield "  also since then"
    yield from (f"    {words}" for words in others[:_MOST])
    if len(others) > _MOST:
        yield f"    … and {len(others) - _MOST} more files or packages"


def _is_emptied(folder: str, changed: set[str]) -> bool:
    """Whether a folder changed by itself: then something was taken out of it, and not only put into it."""
    return not any(path.startswith(f"{folder}/") for path in changed)
