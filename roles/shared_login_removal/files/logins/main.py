"""The verbs: `plan` says, `apply` does, `effect` asks whether it took. Prints one JSON object.

{"refusals": [text], "notes": [text], "changes": [text], "problem": text or null}. Nothing is changed while there
is a refusal. The exit status is 1 when something went wrong on the way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from logins import administrators, hints, passwords, people, shared, sshd, wayin
from logins.machine import Machine, Problem, names
from logins.record import Record
from logins.steps import Plan, Policy, Situation

# What a step is about; `accounts` in the role's vars/main.yml says which promises that is.
PARTS = {
    "people": people,
    "administrators": administrators,
    "passwords": passwords,
    "remote logins": sshd,
    "shared logins": shared,
}


def look(settings: Mapping[str, Any]) -> Situation:
    """The machine as it is now, beside what the policy wants."""
    return Situation(Policy.of(settings), Machine.here(), wayin.came_in())


def plan(situation: Situation) -> Plan:
    """Everything that would change, in the order it is done: new ways in first, old ones out last."""
    wayin.readable()
    whole = Plan(refusals=wayin.refusals(situation), notes=hints.tell(situation))
    for topic, part in PARTS.items():
        found = part.plan(situation)
        whole.steps += [replace(step, say=f"{topic}: {step.say}") for step in found.steps]
        whole.notes += found.notes
    return whole


def apply(whole: Plan, situation: Situation) -> list[str]:
    """Do every step; returns what was done. Raises `Problem` at the first that cannot be done, or must not be."""
    if whole.refusals:
        raise Problem("\n".join(str(refusal) for refusal in whole.refusals))
    if not whole.steps:
        return []
    with Record.open() as record:
        for step in whole.steps:
            step.do(record)
    after = Situation(situation.policy, Machine.here(), situation.came_in)
    if still := administrators.still_may(after):
        raise Problem(
            f"sudo still lets {names(still)} administer, through a rule that is not in /etc/sudoers or /etc/sudoers.d; "
            "see 'sudo -l -U LOGIN' and take the rule away where it comes from"
        )
    return [step.say for step in whole.steps]


def main(verb: str, settings: Mapping[str, Any]) -> int:
    """Run one verb and print what came of it."""
    answer: dict[str, Any] = {"refusals": [], "notes": [], "changes": [], "problem": None}
    try:
        situation = look(settings)
        if verb == "effect":
            answer["notes"] = sshd.check_effect(situation)
        else:
            whole = plan(situation)
            answer["refusals"] = [str(refusal) for refusal in whole.refusals]
            answer["notes"] = whole.notes
            if verb == "apply":
                answer["changes"] = apply(whole, situation)
            elif not whole.refusals:
                answer["changes"] = [step.say for step in whole.steps]
    except (Problem, OSError) as error:
        answer["problem"] = str(error)
    print(json.dumps(answer))
    if answer["problem"]:
        print(answer["problem"], file=sys.stderr)
    return 1 if answer["problem"] else 0
