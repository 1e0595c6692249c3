"""The role browser_lockdown for pyinfra: what tasks/ does, from the same list, table and templates."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pyinfra.api.facts import FactBase
from pyinfra.context import host

from readingroom.apply.shared import Role

LOOK = Path(__file__).parent / "files" / "browser_look.py"


class Seen(FactBase[dict[str, Any]]):
    """What browser_look.py says."""

    def command(self, script: str) -> str:
        return script

    def process(self, output: list[str]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(output[-1])
        return answer


def apply(variables: dict[str, Any]) -> None:
    """Firefox and Chromium keep what the policy says."""
    with Role("browser_lockdown", variables) as role:
        asked = json.dumps(role["__browser_lockdown_look"])
        program = shlex.quote(LOOK.read_text(encoding="utf-8"))
        seen = host.get_fact(Seen, f"printf %s {shlex.quote(asked)} | /usr/bin/python3 -c {program}")
        role.values["__browser_lockdown_tor"] = seen["tor"]
        for note in seen["notes"]:
            role.note(note)
        role.packages()
        role.directories()
        role.files()
