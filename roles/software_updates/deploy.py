"""The role software_updates for pyinfra: what tasks/ does, from the same list, templates and program."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from readingroom.apply.shared import Role

NAME = "software_updates"
FILES = Path(__file__).parent / "files"


def apply(variables: dict[str, Any]) -> None:
    """Security fixes arrive by themselves, from signed archives only, and the system does not phone home."""
    with Role(NAME, variables) as role:
        _declare_handlers(role)
        for path in role.found["sources"]:
            role.note(
                f"{path} takes an archive on trust, so what is installed from it gets no updates any more. Ask its maker "
                "for a signed one."
            )
        role.files(lambda item: "first" in item)
        _switch_off(role)
        role.flush()  # what is installed from here on comes from signed archives
        role.packages()
        role.directories()
        role.files(lambda item: "first" not in item)
        role.units()


def _declare_handlers(role: Role) -> None:
    scripts = {
        "read-lists": ("Read the lists of packages anew", "apt-get update --quiet=2 || true"),
        "restart-timers": (
            "Restart the timers of apt",
            "systemctl try-restart apt-daily.timer apt-daily-upgrade.timer",
        ),
        "reload-network": (
            "Let NetworkManager follow its new settings",
            "systemctl try-reload-or-restart 'NetworkManager.servic[e]'",
        ),
        "stop-location": (
            "Stop asking where the machine is",
            "systemctl stop 'geoclue.servic[e]'; systemctl reset-failed 'geoclue.servic[e]'",
        ),
        "stop-firmware": (
            "Stop asking for firmware",
            "systemctl stop 'fwupd-refresh.time[r]'; systemctl reset-failed 'fwupd-refresh.time[r]'",
        ),
    }
    for name, (what, script) in scripts.items():
        role.handler(name, lambda what=what, script=script: role.script(what, script))


def _switch_off(role: Role) -> None:
    look = role["__software_updates_look"]
    program = (FILES / look["program"]).read_text(encoding="utf-8")
    steps = [
        (path, "Switch off archives that are taken on trust", ["read-lists"]) for path in role.found["sources"]
    ] + [(path, "Switch off settings that win over ours", []) for path in role.found["settings"]]
    for path, what, triggers in steps:
        asked = json.dumps({**look["asked"], "switch_off": path})
        run = f"printf %s {shlex.quote(asked)} | /usr/bin/python3 -IBS -c {shlex.quote(program)} >/dev/null"
        role.script(f"{what}: {path}", run, triggers)
