"""What the role must know of a machine before it changes anything, as JSON on one line. Only looks.

Run from its text. Speaks of sessions by their number, never by whose they are.
"""

from __future__ import annotations

import json
import pwd
import subprocess
from pathlib import Path

# What makes a display lock, besides ours. A display takes one.
OTHERS = ("light-locker", "xfce4-screensaver", "mate-screensaver", "xscreensaver")


def said(*command: str) -> list[str]:
    """The lines that a program printed."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def working() -> set[int]:
    """Who has a session open on an X display that logind knows."""
    properties = [f"--property={name}" for name in ("User", "Type", "Class", "State")]
    people = set()
    for line in said("loginctl", "list-sessions", "--no-legend"):
        about = dict(
            one.split("=", 1) for one in said("loginctl", "show-session", line.split()[0], *properties) if "=" in one
        )
        if about.get("Type") == "x11" and about.get("Class") == "user" and about.get("State") != "closing":
            people.add(int(about["User"]))
    return people


def has_no_password(uid: int) -> bool:
    """Has the account a password of this machine that nothing can match? What another directory says is not known here."""
    login = pwd.getpwuid(uid).pw_name
    return any(line.startswith((f"{login}:!", f"{login}:*")) for line in Path("/etc/shadow").read_text().splitlines())


def notes() -> list[str]:
    """What the person at the keyboard should know."""
    found = []
    stranded = sum(has_no_password(uid) for uid in working())
    if stranded:
        found.append(
            f"{stranded} people at work here have no password, and could not open their screen again: give them one first."
        )
    running = sorted(name for name in OTHERS if said("pgrep", "-f", f"^([^ ]*/)?{name}( |$)"))
    if running:
        found.append(
            f"{', '.join(running)} runs in a session that is open. It has to go before ours can lock that screen: "
            "let its user log out and in again."
        )
    return found


print(
    json.dumps(
        {
            "desktop": any(Path("/usr/share/xsessions").glob("*.desktop")),
            "notes": notes(),
        }
    )
)
