"""The role session_reset for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.facts import FactBase
from pyinfra.context import host

from readingroom.apply.observe import Units
from readingroom.apply.shared import Role

NAME = "session_reset"
FILES = Path(__file__).parent / "files"
PROGRAM = "/usr/local/lib/readingroom/session_reset.py"


class Look(FactBase[dict[str, Any]]):
    """What files/session_look.py sees on the machine."""

    def command(self, login: str) -> str:
        return f"{_python('session_look.py')} {shlex.quote(login)}"

    def process(self, output: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(output[-1])
        return found


def apply(variables: dict[str, Any]) -> None:
    """A patron leaves, and nothing stays."""
    found = host.get_fact(Look, variables["session_reset_patron_login"])
    with Role(NAME, {**variables, "__session_reset_found": found}) as role:
        _declare_handlers(role)
        _tell(role, found)
        _release(role, found)
        role.packages()
        role.directories()
        role.files()
        role.units()
        role.flush()
        _write_pam(role)
        _edit_keyring(role, found)


def _declare_handlers(role: Role) -> None:
    scripts = {
        "reload-systemd": (True, "Let systemd follow its new settings", "systemctl daemon-reload"),
        "reload-logind": (
            True,
            "Let logind follow its new settings",
            "systemctl kill --kill-whom=main --signal=HUP systemd-logind.service",
        ),
        "reset": (
            role["__session_reset_hooked"],
            "Reset the patron account, unless a session is open",
            f"{PROGRAM} adopt",
        ),
        "restart-idle": (
            True,
            "Restart the watch over forgotten sessions",
            "systemctl try-restart 'readingroom-session-idle.servic[e]'",
        ),
        "forget-dumps": (
            role["__session_reset_no_dumps"],
            "Delete memory dumps",
            "find /var/lib/systemd -path '/var/lib/systemd/coredump/*' -type f -delete",
        ),
        "apply-sysctl": (True, "Tell the kernel", shlex.join(role["__session_reset_sysctl"])),
        "end-swap": (role["__session_reset_no_swap"], "Use no swap from now on", _python("session_swap.py")),
        "end-index": (
            True,
            *(
                (
                    "Stop the index of file names",
                    "systemctl stop 'plocate-updatedb.time[r]'; systemctl reset-failed 'plocate-updatedb.time[r]'",
                )
                if role["__session_reset_few_traces"]
                else (
                    "Let the index of file names be made again",
                    "! systemctl cat plocate-updatedb.timer >/dev/null 2>&1 || systemctl start plocate-updatedb.timer",
                )
            ),
        ),
        "compile-dconf": (
            role["__session_reset_found"]["dconf"],
            "Compile the settings of GTK desktops",
            "dconf update",
        ),
        "restart-greeter": (
            True,
            "Restart the login screen, unless somebody is logged in",
            _python("session_greeter.py"),
        ),
        "restart-downloads": (
            True,
            "Restart the timer for downloads",
            "systemctl try-restart 'readingroom-staff-downloads.time[r]'",
        ),
    }
    for name, (due, what, script) in scripts.items():
        role.handler(name, lambda due=due, what=what, script=script: role.script(what, script) if due else None)


def _tell(role: Role, found: dict[str, Any]) -> None:
    if not found["uid"] and role["session_reset_home"] != "kept":
        role.note(f"There is no account {role['session_reset_patron_login']} here: make it, and run this again.")
    if role["__session_reset_moves_home"] and found["on_disk"]:
        role.note(
            f"{found['on_disk']} files and folders in {found['home']} will be deleted. What is the library's own belongs "
            "in /etc/readingroom/skeleton, from where every session gets it."
        )
    if role["__session_reset_hooked"] and found["open"] and not found["installed"]:
        role.note("A session of the patron account is open. It is left alone; the first reset comes when it ends.")


def _release(role: Role, found: dict[str, Any]) -> None:
    """Let go of what the policy does not ask for."""
    if role["__session_reset_lets_go"] and found["open"]:
        raise PyinfraError(
            "A session of the patron account is open, and its home cannot be moved back to the disk. Run this again later."
        )
    if role["__session_reset_pam_surplus"]:
        role.script(
            "Take out of PAM what is not to be called any more",
            _pam_auth_update("--remove", role["__session_reset_pam_surplus"]),
        )
    if role["__session_reset_lets_go"]:
        role.script("Give the patron account its home on the disk back", f"{PROGRAM} release")
    unwanted = [unit["name"] for unit in role.manages["units"] if not role.holds(unit["when"])]
    states = host.get_fact(Units, unwanted) if unwanted else {}
    for name, state in states.items():
        if state.exists and (state.running or state.enabled):
            role.script(f"Stop {name}", f"systemctl disable --now {shlex.quote(name)}")
    role.manages["absent"] += [
        {"path": item["path"], "triggers": item["triggers"]}
        for item in role.manages["files"]
        if not role.holds(item["when"])
    ]
    role.absent()


def _write_pam(role: Role) -> None:
    missing = role["__session_reset_pam_missing"]
    if not missing:
        return
    role.script("Write into PAM what is to be called", _pam_auth_update("--enable", missing))
    if role.check:
        return
    now = host.get_fact(Look, role["session_reset_patron_login"])
    if not all(now[name.replace("readingroom-", "pam_")] for name in missing):
        raise PyinfraError(
            "/etc/pam.d/common-session was changed by hand, so pam-auth-update leaves it alone and sessions are not reset. "
            "Let it write the file again: `pam-auth-update --force`, and then put your own changes into a profile in "
            "/usr/share/pam-configs."
        )


def _edit_keyring(role: Role, found: dict[str, Any]) -> None:
    off = role["__session_reset_no_traces"]
    for name in found["keyring"] if off else found["keyring_off"]:
        edit = r"s/^-?(auth|session)\b.*\bpam_gnome_keyring\.so.*$/#readingroom# &/" if off else "s/^#readingroom# //"
        what = f"Take the keyring out of logging in: {name}" if off else f"Put the keyring back: {name}"
        role.script(what, f"sed -i -E {shlex.quote(edit)} /etc/pam.d/{shlex.quote(name)}")


def _pam_auth_update(verb: str, profiles: list[str]) -> str:
    return f"DEBIAN_FRONTEND=noninteractive pam-auth-update --package {verb} {shlex.join(profiles)}"


def _python(program: str) -> str:
    return f"/usr/bin/python3 -IBS -c {shlex.quote((FILES / program).read_text(encoding='utf-8'))}"
