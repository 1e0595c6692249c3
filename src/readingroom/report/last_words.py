"""The last line of a command: what was done, what was not, and what to type next.

Written for whoever is alone with the machines. Pure: results in, one line out. Must not know a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..apply import ApplyResult, Plan
from ..rollout import RingResult, Rollout
from ..toolkit import typed
from ..verify import Evidence
from .promises import rows, summary

BUSY = "another run of Reading Room"


@dataclass(frozen=True)
class Command:
    """The command as it was given: its site, and the options that matter when it is typed again."""

    site: str
    options: Mapping[str, str | None] = field(default_factory=dict)

    def again(self, verb: str, **changed: str | None) -> str:
        """The command to type: the same options, with those that changed."""
        return typed(verb, self.site, **{**self.options, **changed})


def after_harden(rollout: Rollout, command: Command) -> str:
    """The last line of `harden`."""
    away = [name for result in rollout.results if result.gate for name in result.gate.pending]
    last = rollout.results[-1] if rollout.results else None
    if last is None:
        return _line("every machine was proved by an earlier run" if rollout.skipped else "nothing", [],
                     f"{command.again('harden', resume=None)} begins anew")  # fmt: skip
    done = [*_hardened(rollout)]
    if rollout.skipped:
        done.append(f"{_names(rollout.skipped)} proved by an earlier run")
    not_done = [*_stopped(last, rollout), *([f"{_names(away)} could not be reached"] if away else [])]
    if rollout.not_begun:
        rings = ", ".join(f"{ring.name} ({_count(ring.machines)})" for ring in rollout.not_begun)
        not_done.append(
            f"not begun, nothing changed there: {'ring' if len(rollout.not_begun) == 1 else 'rings'} {rings}"
        )
    return _line("; ".join(done) or "nothing", not_done, _next_after_harden(rollout, last, away, command))


def _hardened(rollout: Rollout) -> list[str]:
    """What was carried out, in a few words."""
    applied = [result.applied for result in rollout.results if result.applied]
    through = [name for one in applied for name, machine in one.machines.items() if machine.status == "ok"]
    changes = sum(len(machine.changes) for one in applied for machine in one.machines.values())
    if not through:
        return []
    what = f"{_count(through)} hardened with {changes} change{'s' if changes != 1 else ''}"
    if not changes:
        what = f"{_count(through)} looked at, nothing had to be changed"
    after = rollout.after
    return [what + (f", {summary(rows(after))}" if after else "")]


def _stopped(last: RingResult, rollout: Rollout) -> list[str]:
    """What did not go through in the ring that was last at work."""
    named = f" of ring {last.ring.name}" if last.ring.name else ""
    if last.applied is None:
        return [f"stopped while verifying, before anything{named} was changed"]
    trouble = []
    for name, machine in last.applied.machines.items():
        if machine.status == "failed":
            words = f"{BUSY} holds it" if BUSY in machine.message else "it was not finished"
            trouble.append(f"{name}: {words}" + ("" if machine.changes else ", nothing was changed on it"))
    if last.after is None and not trouble:
        trouble.append(f"stopped before the promises{named} were verified again")
    return trouble


def _next_after_harden(rollout: Rollout, last: RingResult, away: Sequence[str], command: Command) -> str:
    rings = len(rollout.results) + len(rollout.not_begun) > 1
    go_on = command.again("harden", resume="" if rings else None)
    if last.applied is not None and last.after is None and not rollout.interrupted:
        return go_on
    if last.applied is not None and last.after is None and last.applied.ok:
        return command.again("verify", engine=None)
    if last.gate is None or rollout.interrupted:
        return f"{go_on} (always safe)"
    statuses = {machine.status for machine in last.applied.machines.values()} if last.applied else set()
    busy = last.applied is not None and any(BUSY in machine.message for machine in last.applied.machines.values())
    if busy:
        return f"wait until that run has ended, then {go_on}"
    if "failed" in statuses:
        return f"mend what is said above, then {go_on} (always safe)"
    if last.after is not None and any(one.verdict == "broken" for _, _, one in last.after.verdicts()):
        return f"look at what is BROKEN above; {command.again('plan')} says whether Reading Room would mend it"
    if away:
        return f"switch {'it' if len(away) == 1 else 'them'} on, then {command.again('harden', limit=','.join(away), ring=None)}"
    if rollout.not_begun:
        return go_on
    return f"{command.again('verify', engine=None)}, whenever you like"


def after_plan(plan: Plan, command: Command, *, interrupted: bool = False) -> str:
    """The last line of `plan`."""
    whole = [name for name, machine in plan.machines.items() if machine.status == "ok"]
    changed = [name for name in whole if plan.machines[name].changes]
    not_done = [
        f"{name}: {'cannot be reached' if machine.status == 'unreachable' else 'the look was not finished'}"
        for name, machine in plan.machines.items()
        if machine.status != "ok"
    ]
    done = f"{_count(whole)} looked at, {plan.changes} changes ahead on {len(changed)} of them, nothing was touched"
    if not plan.changes:
        done = f"{_count(whole)} looked at, nothing to change, nothing was touched"
    if interrupted or (not_done and not changed):
        return _line(done, not_done, command.again("plan"))
    if not changed:
        return _line(done, not_done, f"{command.again('verify', engine=None)}, whenever you like")
    return _line(done, not_done, f"{command.again('harden')} makes these changes")


def after_verify(evidence: Evidence, command: Command) -> str:
    """The last line of `verify`."""
    away = evidence.unreachable
    done = f"{_count([name for name in evidence.machines if name not in away])} verified, {summary(rows(evidence))}"
    broken = sorted({name for name, _, one in evidence.verdicts() if one.verdict == "broken"})
    not_done = [f"{_names(away)} could not be reached"] if away else []
    if broken:
        return _line(done, not_done, f"{command.again('plan', limit=','.join(broken))} says what would mend it")
    if away:
        return _line(done, not_done, f"switch {'it' if len(away) == 1 else 'them'} on, then {command.again('verify')}")
    return _line(done, not_done, "nothing; the evidence is written")


def after_undo(result: ApplyResult, command: Command, verb: str) -> str:
    """The last line of `undo` and `leave`."""
    by_status: dict[str, list[str]] = {"ok": [], "failed": [], "unreachable": []}
    for name, machine in result.machines.items():
        by_status[machine.status].append(name)
    away, failed = by_status["unreachable"], by_status["failed"]
    nothing = not any(machine.changes for machine in result.machines.values())
    done = f"{_names(by_status['ok'])} as before" if by_status["ok"] and (nothing or not result.check) else "nothing"
    not_done = [f"{_names(failed)} stopped on the way"] if failed else []
    not_done += [f"{_names(away)} could not be reached"] if away else []
    if result.check and not nothing:
        return _line("nothing; every machine is as it was when you asked", [], f"{command.again(verb)} asks again")
    following = command.again(verb) if not_done else f"{command.again('harden', role=None)} whenever you want it back"
    return _line(done, not_done, following)


def _line(done: str, not_done: Sequence[str], following: str) -> str:
    parts = [f"Done: {done}.", f"Not done: {'; '.join(not_done)}." if not_done else "", f"Next: {following}"]
    return "  ".join(part for part in parts if part)


def _count(machines: Sequence[str]) -> str:
    return f"{len(machines)} machine{'s' if len(machines) != 1 else ''}"


def _names(machines: Sequence[str], most: int = 6) -> str:
    more = len(machines) - most
    return ", ".join(machines[:most]) + (f" and {more} more" if more > 0 else "")
