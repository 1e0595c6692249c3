"""Shared logins, administrators, passwords and remote logins, by pyinfra: the same list, templates and program."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.facts import FactBase
from pyinfra.context import host

from readingroom.apply.shared import Role
from readingroom.apply.trial import commit_confirmed, commit_confirmed_change, take_back

FILES = Path(__file__).parent / "files"
LOGINS_TRIAL = "__shared_login_removal_logins_trial"


class Answer(FactBase[dict[str, Any]]):
    """What the program for logins answers to a script that runs one of its verbs."""

    def command(self, script: str) -> str:
        return script

    def process(self, output: list[str]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(output[-1])
        return answer


def apply(variables: dict[str, Any]) -> None:
    """Apply the role to the machine at hand."""
    with Role("shared_login_removal", variables) as role:
        role.handler(
            "reload-sshd", lambda: role.script("Reload ssh.service", "sshd -t && systemctl reload ssh.service")
        )
        if role.found["in_trial"]:
            take_back(role, LOGINS_TRIAL)
        before = _ask(role, "plan")
        if before["refusals"]:
            raise PyinfraError("\n".join(["Nothing was changed.", *before["refusals"]]))
        for note in before["notes"]:
            role.note(note)
        role.packages()
        role.directories()
        role.files()
        commit_confirmed(role)
        role.absent()
        role.flush()
        now = before if role.check else _ask(role, "plan")
        if now["changes"]:
            commit_confirmed_change(role, LOGINS_TRIAL, "Logins", _script(role, "apply"), now["changes"])


def _ask(role: Role, verb: str) -> dict[str, Any]:
    answer: dict[str, Any] = host.get_fact(Answer, f"{_script(role, verb)} || true")
    if answer["problem"]:
        raise PyinfraError(answer["problem"])
    return answer


def _script(role: Role, verb: str) -> str:
    """A script that hands the program its modules and settings over standard input: nothing of it shows in a process list."""
    modules = {
        name: (FILES / "logins" / f"{name}.py").read_text(encoding="utf-8")
        for name in role["__shared_login_removal_program"]
    }
    bundle = json.dumps({"modules": modules, "settings": role["__shared_login_removal_settings"]})
    boot = shlex.quote((FILES / "boot.py").read_text(encoding="utf-8"))
    return f"printf %s {shlex.quote(bundle)} | /usr/bin/python3 -c {boot} {verb}"
