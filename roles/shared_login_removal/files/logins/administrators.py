"""Only the logins that the policy lists may administer, besides the one that Reading Room comes in with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from logins import sudoers
from logins.machine import Machine, Problem, run
from logins.record import Record
from logins.steps import Plan, Situation, Step

SUDOERS = Path("/etc/sudoers")
SUDOERS_D = Path("/etc/sudoers.d")
GROUP = "sudo"


def allowed(situation: Situation) -> set[str]:
    """Logins that may administer."""
    return {*situation.policy.administrators, situation.came_in.login}


def rule_files() -> list[Path]:
    """The files sudo reads, in its order; of a folder it skips names with a dot in them and those ending in a tilde."""
    found: list[Path] = []
    waiting = [SUDOERS]
    while waiting:
        path = waiting.pop(0)
        if path in found or not path.is_file():
            continue
        found.append(path)
        for is_folder, written in sudoers.includes(path.read_text(errors="surrogateescape")):
            other = path.parent / written
            if not is_folder:
                waiting.append(other)
            elif other.is_dir():
                waiting += sorted(one for one in other.iterdir() if "." not in one.name and not one.name.endswith("~"))
    return found


def plan(situation: Situation) -> Plan:
    """Steps that take the right to administer away and give it."""
    found = Plan()
    policy, machine = situation.policy, situation.machine
    for name in policy.administrators:
        if name not in machine.accounts and name not in policy.people:
            found.notes.append(f"{name} is one of accounts.administrators and has no account on this machine")
        elif name not in machine.members(GROUP):
            found.steps.append(Step(f"let {name} administer", _joining(name)))
        if name in machine.accounts and not machine.accounts[name].has_password:
            found.notes.append(f"{name} has no password, and sudo asks for one: give one with 'sudo passwd {name}'")
    found.steps += _rules(situation)
    for group in policy.admin_groups:
        for name in sorted(machine.members(group) - allowed(situation)):
            if machine.is_person(name):
                found.steps.append(Step(f"take {name} out of the group {group}", _leaving(machine, name, group)))
    twins = [a.name for a in machine.accounts.values() if a.uid == 0 and a.name != "root"]
    if twins:
        found.notes.append(f"{len(twins)} more logins have root's number 0: see whose they are and remove them by hand")
    return found


def _joining(name: str) -> Callable[[Record], None]:
    def join(record: Record) -> None:
        record.add("joined", login=name, group=GROUP)
        run("usermod", "--append", "--groups", GROUP, name)

    return join


def _leaving(machine: Machine, name: str, group: str) -> Callable[[Record], None]:
    def leave(record: Record) -> None:
        if machine.accounts[name].gid == machine.groups[group].gid:
            record.add("primary", login=name, group=group)
            run("usermod", "--gid", "users", name)
        if name in machine.groups[group].members:
            record.add("left", login=name, group=group, members=machine.groups[group].members)
            run("gpasswd", "--delete", name, group)

    return leave


def _rules(situation: Situation) -> list[Step]:
    machine, steps = situation.machine, []
    files = {path: path.read_text(errors="surrogateescape") for path in rule_files()}
    defined = {name: who for text in files.values() for name, who in sudoers.aliases(text).items()}
    system = {a.name for a in machine.accounts.values() if a.uid not in machine.people_range}
    for path, text in files.items():
        narrowed = sudoers.narrow(
            text, defined, allowed(situation) - {"root"}, {*system, "root", f"%{GROUP}"}, _logins_of(machine)
        )
        if narrowed.rules:
            count = "1 rule" if narrowed.rules == 1 else f"{narrowed.rules} rules"
            steps.append(Step(f"take {count} for other logins out of {path}", _rewriting(path, narrowed)))
    return steps


def _logins_of(machine: Machine) -> Callable[[str], set[str]]:
    def logins_of(name: str) -> set[str]:
        if name == "ALL":
            return set(machine.accounts)
        if name.startswith("%#"):
            return {n for g in machine.groups.values() if str(g.gid) == name[2:] for n in machine.members(g.name)}
        if name.startswith("%"):
            return machine.members(name[1:])
        if name.startswith("#"):
            return {a.name for a in machine.accounts.values() if str(a.uid) == name[1:]}
        return {name}

    return logins_of


def _rewriting(path: Path, narrowed: sudoers.Narrowed) -> Callable[[Record], None]:
    def rewrite(record: Record) -> None:
        before, status = path.read_bytes(), path.stat()
        if narrowed.says_nothing and path.parent == SUDOERS_D:
            record.keep_file(path)
            path.unlink()
        else:
            record.replace(path, narrowed.text)
        try:
            run("visudo", "-c", "-f", str(SUDOERS))
        except Problem:
            # back to what worked: sudo refuses everybody when one of its files is damaged
            path.write_bytes(before)
            os.chown(path, status.st_uid, status.st_gid)
            path.chmod(status.st_mode & 0o7777)
            raise Problem(f"{path} could not be cleaned of rules for other logins; edit it with visudo") from None

    return rewrite


def still_may(situation: Situation) -> list[str]:
    """Logins of people that sudo itself still lets administer although the policy does not list them."""
    return [
        account.name
        for account in situation.machine.people()
        if account.name not in allowed(situation)
        and "not allowed to run" not in run("sudo", "-n", "-l", "-U", account.name, may_fail=True)
    ]
