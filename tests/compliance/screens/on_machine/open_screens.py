"""Prints, as JSON, how the screens are on which people work: of each X display its time and whether something locks it.

usage: open_screens.py PREFIX, the beginning of the logins that are checks' own and are left out. Names nobody.
"""

import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path


def said(*command: str) -> str:
    """What a program printed."""
    return subprocess.run(command, capture_output=True, text=True).stdout


def variables(pid: str) -> dict[str, str]:
    """What a process was told when it started."""
    try:
        words = Path("/proc", pid, "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def in_session(process: Path, scope: str) -> bool:
    """Is a process one of a session's own?"""
    try:
        return f"/{scope}\n" in (process / "cgroup").read_text()
    except OSError:
        return False


def look(account: pwd.struct_passwd, display: str, told: dict[str, str]) -> dict[str, object]:
    """One display: seconds until its screen saver comes, and whether the account has something there that locks then."""
    way = {"DISPLAY": display, "XAUTHORITY": told.get("XAUTHORITY", f"{account.pw_dir}/.Xauthority")}
    asked = subprocess.run(
        ["xset", "q"], env=os.environ | way, capture_output=True, text=True, timeout=10,
        user=account.pw_uid, group=account.pw_gid, extra_groups=[],
    ).stdout  # fmt: skip
    time = re.search(r"timeout:\s+(\d+)", asked)
    lockers = said("pgrep", "-U", str(account.pw_uid), "-x", "xss-lock|xsecurelock").split()  # or it is locked just now
    number = display.partition(".")[0]
    waits = any(variables(pid).get("DISPLAY", "").partition(".")[0] == number for pid in lockers)
    return {"time": int(time[1]) if time else None, "waits": waits}


found: dict[str, list[object]] = {"x11": [], "wayland": []}
for line in said("loginctl", "list-sessions", "--no-legend").splitlines():
    about = dict(
        one.split("=", 1) for one in said("loginctl", "show-session", line.split()[0]).splitlines() if "=" in one
    )
    if about.get("Class") != "user" or about.get("State") == "closing" or about.get("Remote") == "yes":
        continue
    account = pwd.getpwuid(int(about["User"]))
    if account.pw_name.startswith(sys.argv[1]):
        continue
    if about.get("Type") == "wayland":
        found["wayland"].append(about["Id"])
        continue
    displays = {}
    for process in Path("/proc").glob("[0-9]*"):
        told = variables(process.name) if in_session(process, about["Scope"]) else {}
        if re.fullmatch(r":\d+(\.\d+)?", told.get("DISPLAY", "")):
            displays.setdefault(told["DISPLAY"], told)
    found["x11"] += [look(account, display, told) for display, told in displays.items()]
print(json.dumps(found))
