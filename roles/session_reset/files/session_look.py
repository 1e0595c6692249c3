"""What the role must know of a machine before it changes anything, as JSON on one line. Only looks.

Run from its text, with {"login": the patron account's} on standard input.
"""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import sys
from pathlib import Path

PAM = Path("/etc/pam.d")
KEYRING = re.compile(r"^-?(auth|session)\b.*\bpam_gnome_keyring\.so", re.MULTILINE)


def text(path: Path) -> str:
    """A file's text; empty when it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def account(login: str) -> pwd.struct_passwd | None:
    """The account called `login`, if there is one."""
    try:
        return pwd.getpwnam(login)
    except KeyError:
        return None


def on_disk(home: Path) -> int:
    """How many files and folders lie in the home on the disk; 0 when our mount hides it, for then it is empty."""
    mounts = [line.split() for line in text(Path("/proc/self/mountinfo")).splitlines()]
    if any(words[4] == str(home) and "readingroom-home" in words for words in mounts) or not home.is_dir():
        return 0
    return sum(1 for _ in home.rglob("*"))


def hooked(name: str) -> str:
    """The login that the lines of PAM for `name` are about; empty when a file lacks them."""
    line = re.compile(rf"pam_succeed_if\.so quiet user = (\S+)\n[^\n#]*{re.escape(name)}")
    files = ["common-session"] + (["common-session-noninteractive"] if name == "pam_namespace.so" else [])
    found = {match[1] if (match := line.search(text(PAM / file))) else "" for file in files}
    return found.pop() if len(found) == 1 else ""


def main(login: str) -> None:
    """Print what is so."""
    patron = account(login)
    files = sorted(path.name for path in PAM.glob("*") if path.is_file() and path.name != "common-password")
    sessions = subprocess.run(["loginctl", "list-sessions", "--no-legend"], capture_output=True, text=True, check=False)
    print(
        json.dumps(
            {
                "uid": str(patron.pw_uid) if patron else "",
                "home": patron.pw_dir if patron else "",
                "on_disk": on_disk(Path(patron.pw_dir)) if patron else 0,
                "open": any(login in line.split()[2:3] for line in sessions.stdout.splitlines()),
                "installed": Path("/usr/local/lib/readingroom/session_reset.py").exists(),
                "pam_session": hooked("pam_exec.so quiet seteuid /usr/local/lib/readingroom/session_reset.py"),
                "pam_places": hooked("pam_namespace.so"),
                "pam_desktop": "pam_env.so readenv=0 conffile=/etc/readingroom/session-env.conf"
                in text(PAM / "common-session"),
                "keyring": [name for name in files if KEYRING.search(text(PAM / name))],
                "desktop": any(Path("/usr/share/xsessions").glob("*.desktop")),
                "lightdm": Path("/usr/sbin/lightdm").exists(),
                "udisks": Path("/etc/udisks2").is_dir(),
                "dconf": Path("/usr/libexec/dconf-service").exists(),
                "dconf_others": sorted(
                    path.name
                    for path in Path("/etc/dconf/db").glob("*")
                    if path.is_file() and path.name in ("local", "site")
                ),
            }
        )
    )


main(json.load(sys.stdin)["login"])
