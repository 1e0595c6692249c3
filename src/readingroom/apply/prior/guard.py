"""Sees to it that giving something back never shuts out the login this run came in with.

It knows who that is, and asks sshd and sudo themselves whether it could come in again and administer. What would cost it
that is taken back at once, and said.
"""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from .tools import Problem, run

_WAYS_IN = ("/etc/ssh/", "/etc/sudoers", "/etc/pam.d/", "/etc/security/")
_SSHD = "/usr/sbin/sshd"


def came_in() -> str:
    """The login of this connection: sudo tells whom it let become root."""
    return os.environ.get("SUDO_USER", "root")


def is_way_in(path: str) -> bool:
    """Could this path decide who comes in and who administers?"""
    return path.startswith(_WAYS_IN)


def open_for(login: str) -> bool:
    """Would sshd and sudo, as their files are now, let `login` in and administer?"""
    try:
        if Path(_SSHD).exists():
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            run(_SSHD, "-t")
            if not _sshd_admits(login):
                return False
        if Path("/etc/sudoers").exists():
            run("visudo", "-c", "-q")
            if login != "root" and "not allowed to run" in run("sudo", "-n", "-l", "-U", login):
                return False
    except Problem:
        return False
    return True


def _sshd_admits(login: str) -> bool:
    address = os.environ.get("SSH_CONNECTION", "127.0.0.1").split()[0]
    where = f"user={login},host=localhost,addr={address},laddr=127.0.0.1,lport=22"
    said: dict[str, list[str]] = {}
    for line in run(_SSHD, "-T", "-C", where).splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).extend(value.split())
    own = {login}
    groups = {one.gr_name for one in grp.getgrall() if login in one.gr_mem}
    groups.add(grp.getgrgid(pwd.getpwnam(login).pw_gid).gr_name)
    lists = (
        ("allowusers", own, True), ("denyusers", own, False),
        ("allowgroups", groups, True), ("denygroups", groups, False),
    )  # fmt: skip
    for key, names, good in lists:
        patterns = [pattern.partition("@")[0] for pattern in said.get(key, [])]
        if patterns and good != any(fnmatch.fnmatchcase(name, one) for name in names for one in patterns):
            return False
    if login == "root" and said.get("permitrootlogin") == ["no"]:
        return False
    return "yes" in said.get("pubkeyauthentication", []) + said.get("passwordauthentication", [])


def keep_way_in(what: str, do: Callable[[], None], back: Callable[[], None]) -> str | None:
    """`do`, and go `back` if the login we came in with would be shut out by it; then a word for the person."""
    login = came_in()
    was_open = open_for(login)
    do()
    if was_open and not open_for(login):
        back()
        return f"{what} stays as it is: {login}, which this run came in with, could not come in again otherwise"
    return None
