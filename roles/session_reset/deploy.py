"""The role session_reset for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from readingroom.apply.shared import Role

NAME = "session_reset"
FILES = Path(__file__).parent / "files"
PROGRAM = "/usr/local/lib/readingroom/session_reset.py"


def apply(variables: dict[str, Any]) -> None:
    """A patron leaves, and nothing stays."""
    with Role(NAME, variables) as role:
        _declare_handlers(role)
        _tell(role)
        role.absent()
        role.packages()
        role.directories()
        role.files()
        role.units()
        role.flush()
        _write_pam(role)
        _switch_keyring_off(role)


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
            "Stop the index of file names",
            "systemctl stop 'plocate-updatedb.time[r]'; systemctl reset-failed 'plocate-updatedb.time[r]'",
        ),
        "compile-dconf": (
            role.found["dconf"],
            "Compile the settings of GTK desktops",
            "dconf update",
        ),
        "restart-greeter": (
            True,
            "Restart the login screen, unless somebody is logged in",
            _python("session_greeter.py"),
        ),
        "forget-accounts": (
            role["__session_reset_nameless_greeter"],
            "Have accounts-daemon remember nobody",
            _python("session_accounts.py"),
        ),
        "restart-downloads": (
            True,
            "Restart the timer for downloads",
            "systemctl try-restart 'readingroom-staff-downloads.time[r]'",
        ),
    }
    for name, (due, what, script) in scripts.items():
        role.handler(name, lambda due=due, what=what, script=script: role.script(what, script) if due else None)


def _tell(role: Role) -> None:
    found = role.found
    if not found["uid"] and role["session_reset_home"] != "kept":
        role.note(f"There is no account {role['session_reset_patron_login']} here: make it, and run this again.")
    if role["__session_reset_moves_home"] and found["on_disk"]:
        role.note(
            f"{found['on_disk']} files and folders in {found['home']} will be deleted. What is the library's own belongs "
            "in /etc/readingroom/skeleton, from where every session gets it."
        )
    if role["__session_reset_hooked"] and found["open"] and not found["installed"]:
        role.note("A session of the patron account is open. It is left alone; the first reset comes when it ends.")


def _write_pam(role: Role) -> None:
    missing = role["__session_reset_pam_missing"]
    if not missing:
        return
    role.script("Write into PAM what is to be called", _pam_auth_update("--enable", missing))
    if role.check:
        return
    role.look()
    if not all(role.found[name.replace("readingroom-", "pam_")] for name in missing):
        raise PyinfraError(
            "/etc/pam.d/common-session was changed by hand, so pam-auth-update leaves it alone and sessions are not reset. "
            "Let it write the file again: `pam-auth-update --force`, and then put your own changes into a profile in "
            "/usr/share/pam-configs."
        )


def _switch_keyring_off(role: Role) -> None:
    for name in role.found["keyring"] if role["__session_reset_no_traces"] else ():
        edit = r"s/^-?(auth|session)\b.*\bpam_gnome_keyring\.so.*$/#readingroom# &/"
        what = f"Take the keyring out of logging in: {name}"
        role.script(what, f"sed -i -E {shlex.quote(edit)} /etc/pam.d/{shlex.quote(name)}")


def _pam_auth_update(verb: str, profiles: list[str]) -> str:
    return f"DEBIAN_FRONTEND=noninteractive pam-auth-update --package {verb} {shlex.join(profiles)}"


def _python(program: str) -> str:
    return f"/usr/bin/python3 -IBS -c {shlex.quote((FILES / program).read_text(encoding='utf-8'))}"
