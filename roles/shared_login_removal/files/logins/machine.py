"""The accounts of this machine as they are now, and the one way to run its tools.

It must not know the policy: no decision is taken here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NO_LOGIN = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false")


class Problem(Exception):
    """Something that stops us and that a person can mend; the text says what and how."""


def run(*argv: str, stdin: str = "", may_fail: bool = False) -> str:
    """Run a tool of the machine and return what it printed. Raises `Problem` when it fails."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace", env=env, check=False)
    except FileNotFoundError:
        if may_fail:
            return ""
        raise Problem(f"this machine has no {argv[0]}; install the package it comes in") from None
    if done.returncode and not may_fail:
        raise Problem(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@dataclass(frozen=True)
class Account:
    """One line of /etc/passwd with its line of /etc/shadow."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    password: str
    expires: str

    @property
    def has_password(self) -> bool:
        """Can a password open this account (an empty one can)?"""
        return not self.password.startswith(("!", "*"))

    @property
    def has_shell(self) -> bool:
        return self.shell not in NO_LOGIN


@dataclass(frozen=True)
class Group:
    """One line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


def read_accounts(passwd: str, shadow: str) -> dict[str, Account]:
    """Accounts by name.

    >>> read_accounts("a:x:1000:1000::/home/a:/bin/sh", "a:!$y$x:1::::::")["a"].has_password
    False
    """
    secrets = {line.split(":")[0]: line.split(":") for line in shadow.splitlines() if ":" in line}
    accounts = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) < 7 or not fields[2].isdigit() or not fields[3].isdigit():
            continue  # NIS lines and damage
        secret = [*secrets.get(fields[0], []), *[""] * 9]
        password = secret[1] if fields[0] in secret else fields[1]
        accounts[fields[0]] = Account(
            fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6] or "/bin/sh", password, secret[7]
        )
    return accounts


def read_groups(text: str) -> dict[str, Group]:
    """Groups by name."""
    groups = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdigit():
            members = tuple(name for name in fields[3].split(",") if name)
            groups[fields[0]] = Group(fields[0], int(fields[2]), members)
    return groups


def _people_range(login_defs: str) -> range:
    found = {"UID_MIN": 1000, "UID_MAX": 60000}
    for line in login_defs.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in found and words[1].isdigit():
            found[words[0]] = int(words[1])
    return range(found["UID_MIN"], found["UID_MAX"] + 1)


@dataclass(frozen=True)
class Machine:
    """All accounts and groups, as files of this machine say."""

    accounts: Mapping[str, Account]
    groups: Mapping[str, Group]
    people_range: range

    @classmethod
    def here(cls) -> Machine:
        """Read this machine."""
        read = {
            name: Path("/etc", name).read_text(errors="replace") for name in ("passwd", "shadow", "group", "login.defs")
        }
        return cls(
            read_accounts(read["passwd"], read["shadow"]), read_groups(read["group"]), _people_range(read["login.defs"])
        )

    def is_person(self, name: str) -> bool:
        """Is this the number range of people, not of the system?"""
        return name in self.accounts and self.accounts[name].uid in self.people_range

    def people(self) -> list[Account]:
        """Everybody's accounts, by number."""
        return sorted((a for a in self.accounts.values() if a.uid in self.people_range), key=lambda a: (a.uid, a.name))

    def members(self, group: str) -> set[str]:
        """Logins in this group, also those whose own group it is."""
        if group not in self.groups:
            return set()
        found = self.groups[group]
        return set(found.members) | {a.name for a in self.accounts.values() if a.gid == found.gid}

    def groups_of(self, login: str) -> set[str]:
        """Names of the groups this login is in."""
        return {name for name in self.groups if login in self.members(name)}


def processes_of(uid: int) -> list[int]:
    """Running processes of this number; the dead that wait to be collected do not count."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            continue
        if str(uid) in status.get("Uid", "").split()[:3] and not status["State"].strip().startswith("Z"):
            found.append(int(entry.name))
    return found


def names(words: Sequence[str]) -> str:
    """A list of names as a person writes it."""
    return ", ".join(words)
