"""The test role as a pyinfra deploy; tasks/ is the same for Ansible."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role


def apply(variables: dict[str, Any]) -> None:
    with Role("demo", variables) as role:
        log = role["demo_root"]
        role.handler("reload-demo", lambda: role.script("Reload demo", f"echo reload >> {log}/log"))
        role.handler("restart-demo", lambda: role.script("Restart demo", f"echo restart >> {log}/log"))
        role.directories()
        role.files()
        role.absent()
        if role["demo_fail"]:
            role.script("Fail on purpose", "echo the reason >&2; exit 9")
