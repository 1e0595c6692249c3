"""Asks sshd what it would do, and sees to it that it reads and follows its files.

What root and the patron account may do is written by the role's template; here is what can make that file say
nothing: sshd not reading it first, or running with what it read before.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from logins.machine import Machine, Problem, run
from logins.record import Record
from logins.steps import Plan, Situation, Step

SSHD = "/usr/sbin/sshd"
CONFIG = Path("/etc/ssh/sshd_config")
DROP_INS = Path("/etc/ssh/sshd_config.d")
PID_FILE = Path("/run/sshd.pid")
_INCLUDE = re.compile(r"\s*include\s+.*/etc/ssh/sshd_config\.d/\*\.conf", re.IGNORECASE)

Settings = Mapping[str, list[str]]


def installed() -> bool:
    return os.access(SSHD, os.X_OK)


def _ask(*options: str) -> str:
    # sshd wants this folder even to read its files, and systemd makes it only while sshd runs
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return run(SSHD, *options)


def settings_for(login: str, address: str | None) -> Settings:
    """What sshd's files say for this login from this address; raises `Problem` when they do not parse."""
    where = f"user={login},host=localhost,addr={address or '127.0.0.1'},laddr=127.0.0.1,lport=22"
    found: dict[str, list[str]] = {}
    for line in _ask("-T", "-C", where).splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def admits(settings: Settings, login: str, groups: set[str]) -> bool:
    """Do sshd's lists of users and groups let this login pass?"""

    def listed(key: str, names: set[str]) -> bool:
        patterns = [pattern.partition("@")[0] for value in settings.get(key, []) for pattern in value.split()]
        return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)

    if listed("denyusers", {login}) or listed("denygroups", groups):
        return False
    return (not settings.get("allowusers") or listed("allowusers", {login})) and (
        not settings.get("allowgroups") or listed("allowgroups", groups)
    )


def key_files(settings: Settings, machine: Machine, login: str) -> list[tuple[str, str]]:
    """Where sshd looks for this login's keys: pairs of a folder and the path inside it.

    For a file below the home the folder is the home, so that links inside it can be told from links to it.
    """
    account = machine.accounts[login]
    found = []
    for pattern in " ".join(settings.get("authorizedkeysfile", [".ssh/authorized_keys"])).split():
        if pattern == "none":
            continue
        path = (
            pattern.replace("%%", "%").replace("%h", account.home).replace("%u", login).replace("%U", str(account.uid))
        )
        whole = Path(account.home, path)
        below = whole.is_relative_to(account.home)
        found.append((account.home, str(whole.relative_to(account.home))) if below else (str(whole.parent), whole.name))
    return found


def reads_drop_ins_first(config: str) -> bool:
    """Does sshd read its drop-ins before anything else says something?

    >>> reads_drop_ins_first("# top\\nInclude /etc/ssh/sshd_config.d/*.conf\\nUsePAM yes")
    True
    >>> reads_drop_ins_first("Match User ann\\nInclude /etc/ssh/sshd_config.d/*.conf")
    False
    """
    said = (line for line in config.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return bool(_INCLUDE.match(next(said, "")))


def plan(situation: Situation) -> Plan:
    """Steps that make sshd read its drop-ins first and follow what its files say now."""
    found = Plan()
    if not installed():
        return found
    text = CONFIG.read_text(errors="replace")
    if not reads_drop_ins_first(text):

        def include(record: Record) -> None:
            record.replace(CONFIG, f"Include {DROP_INS}/*.conf\n{text}")
            _ask("-t")
            _reload()

        found.steps.append(Step("let sshd read the files in sshd_config.d before its other settings", include))
    elif _runs_with_older_settings():
        found.steps.append(
            Step("let sshd follow its files: it still runs with older settings", lambda record: _reload())
        )
    return found


def _reload() -> None:
    _ask("-t")
    run("systemctl", "reload", "ssh.service")


def _runs_with_older_settings() -> bool:
    if run("systemctl", "is-active", "ssh.service", may_fail=True).strip() != "active":
        return False  # started for every connection, or not at all: then it reads its files afresh
    files = [path for path in (CONFIG, DROP_INS, *DROP_INS.glob("*.conf")) if path.exists()]
    for patience in (0.5, 0.5, 0):  # a reload is over for systemd before sshd has begun
        try:
            # written whenever sshd has read its files; systemd forgets when that was as soon as it reads its own again
            read = PID_FILE.stat().st_mtime
        except OSError:
            return False
        if all(path.stat().st_mtime <= read for path in files):
            return False
        time.sleep(patience)
    return True


def check_effect(situation: Situation) -> list[str]:
    """What sshd would still allow although the policy does not, with the files that may say so."""
    policy = situation.policy
    found: list[str] = []
    if not installed():
        return found
    root = settings_for("root", situation.came_in.address)["permitrootlogin"][0]
    if (policy.remote_root == "off" and root != "no") or (policy.remote_root == "key" and root == "yes"):
        found.append(f"sshd still lets root in ('permitrootlogin {root}'); {_who_says('PermitRootLogin')}")
    if not policy.patron_remote_login and policy.patron_login in situation.machine.accounts:
        groups = situation.machine.groups_of(policy.patron_login)
        if admits(settings_for(policy.patron_login, situation.came_in.address), policy.patron_login, groups):
            found.append(f"sshd still lets the patron account in; {_who_says('DenyUsers')}")
    return found


def _who_says(word: str) -> str:
    said = [
        str(path)
        for path in [*sorted(DROP_INS.glob("*.conf")), CONFIG]
        if "readingroom" not in path.name
        and re.search(rf"^\s*(Match|{word})\b", path.read_text(errors="replace"), re.IGNORECASE | re.MULTILINE)
    ]
    return f"look at {' and '.join(said) or CONFIG}, take the setting out there, and run this again"


def parses() -> None:
    """Raise `Problem` when sshd cannot read its files."""
    try:
        _ask("-t")
    except Problem as problem:
        raise Problem(f"sshd does not accept its own files ({problem}); mend them before anything else") from None
