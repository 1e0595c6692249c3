"""Closes the shared logins the policy lists: every way in first, what still runs at the end.

Only listed logins are touched. What else looks shared is for `hints` to tell.
"""

from __future__ import annotations

import grp
import os
import pwd
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from logins import autologin, sshd
from logins.machine import Account, Problem, processes_of, run
from logins.record import Record
from logins.steps import Plan, Situation, Step

CRONTABS = Path("/var/spool/cron/crontabs")
AT_JOBS = Path("/var/spool/cron/atjobs")
LINGER = Path("/var/lib/systemd/linger")
MAIL = Path("/var/mail")
# Other files in a home that open the door without a password.
TRUST_FILES = (".rhosts", ".shosts", ".k5login")


def plan(situation: Situation) -> Plan:
    """Steps that lock or remove the listed logins that exist here."""
    found = Plan()
    policy, machine = situation.policy, situation.machine
    for name in policy.logins:
        account = machine.accounts.get(name)
        if account is None:
            if policy.takes_away and run("getent", "passwd", name, may_fail=True):
                found.notes.append(f"{name} comes from a directory server: lock it there, this machine cannot")
        elif policy.takes_away:
            found.steps += _closing(account, situation)
            if policy.action == "removed":
                found.steps.append(Step(f"remove the login {name}; its files stay, for root alone", _removing(account)))
    return found


def _closing(account: Account, situation: Situation) -> Iterator[Step]:
    name = account.name
    for folder, inside in _trust_files(account, situation):
        if Path(folder, inside).is_file() or Path(folder, inside).is_symlink():
            yield Step(
                f"take away what lets {name} in without a password: {Path(inside).name}", _taking(folder, inside)
            )
    if _is_open(account):
        yield Step(f"lock the login {name}: no password, no shell, expired", _locking(account))
    if (CRONTABS / name).exists():
        yield Step(f"take away the timetable of {name}", _taking(str(CRONTABS), name))
    for job in _at_jobs(account):
        yield Step(f"take away a waiting job of {name}", _taking(str(AT_JOBS), job))
    if (LINGER / name).exists():
        yield Step(f"let no program of {name} start with the machine", _taking(str(LINGER), name))
    for path, what, after in autologin.changes(name):
        yield Step(f"take away from {name} {what} ({path})", _rewriting(path, after))
    if running := len(processes_of(account.uid)):
        yield Step(f"end the sessions of {name} ({running} running programs)", _ending(account))


def _trust_files(account: Account, situation: Situation) -> list[tuple[str, str]]:
    if not Path(account.home).is_dir() or account.home == "/":
        return []
    settings = sshd.settings_for(account.name, situation.came_in.address) if sshd.installed() else {}
    files = sshd.key_files(settings, situation.machine, account.name)
    # a file that the settings share between several people is not this login's
    own = [
        (folder, inside) for folder, inside in files if folder == account.home or account.name in f"{folder}/{inside}"
    ]
    return own + [(account.home, inside) for inside in TRUST_FILES]


def _is_open(account: Account) -> bool:
    return account.has_password or account.expires != "1" or account.has_shell


def _locking(account: Account) -> Callable[[Record], None]:
    def lock(record: Record) -> None:
        record.add(
            "locked", login=account.name, shell=account.shell, expires=account.expires, locked=not account.has_password
        )
        run("usermod", "--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin", account.name)

    return lock


def _taking(folder: str, inside: str) -> Callable[[Record], None]:
    return lambda record: record.take(folder, inside)


def _rewriting(path: Path, text: str) -> Callable[[Record], None]:
    def rewrite(record: Record) -> None:
        record.replace(path, text)
        if "systemd" in path.parts:
            run("systemctl", "daemon-reload")

    return rewrite


def _at_jobs(account: Account) -> list[str]:
    jobs = AT_JOBS.iterdir() if AT_JOBS.is_dir() else ()
    return sorted(job.name for job in jobs if job.is_file() and job.stat().st_uid == account.uid)


def _ending(account: Account) -> Callable[[Record], None]:
    def end(record: Record) -> None:
        run("loginctl", "terminate-user", account.name, may_fail=True)
        deadline = time.monotonic() + 10
        while running := processes_of(account.uid):
            if time.monotonic() > deadline:
                raise Problem(
                    f"{len(running)} programs of {account.name} do not end; restart the machine and run this again"
                )
            for pid in running:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)

    return end


def _removing(account: Account) -> Callable[[Record], None]:
    def remove(record: Record) -> None:
        groups = [line.split(":")[0] for line in Path("/etc/group").read_text().splitlines()
                  if account.name in line.rpartition(":")[2].split(",")]  # fmt: skip
        entry = pwd.getpwnam(account.name)
        # never a folder that others live in, such as / or /home
        home, mail = Path(account.home).resolve(), MAIL / account.name
        own = {str(home): 0o700} if home.is_dir() and home.stat().st_uid == account.uid else {}
        own |= {str(mail): 0o600} if mail.is_file() and not mail.is_symlink() else {}
        files = {path: _owner(Path(path)) for path in own}
        record.add("removed", login=account.name, number=account.uid, group=account.gid, home=account.home,
                   group_name=grp.getgrgid(account.gid).gr_name, comment=entry.pw_gecos, shell=account.shell, groups=groups,
                   files=files)  # fmt: skip
        for path, mode in own.items():
            os.chown(path, 0, 0)
            Path(path).chmod(mode)
        run("userdel", account.name)

    return remove


def _owner(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
