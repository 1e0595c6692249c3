"""A login of their own for every person the policy names."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from logins import keys
from logins.machine import Problem, run
from logins.record import PLACE, Record
from logins.steps import Plan, Situation, Step

# Keys this role put somewhere, so that a key taken out of the policy is taken out of the machine.
OURS = PLACE / "keys.json"
KEYS = ".ssh/authorized_keys"


def plan(situation: Situation) -> Plan:
    """Steps that create missing accounts and give people their keys."""
    found = Plan()
    ours = _ours()
    for login, wanted in situation.policy.people.items():
        account = situation.machine.accounts.get(login)
        if account is None:
            found.steps.append(Step(f"create the login {login}", _creating(login)))
            if not wanted:
                found.notes.append(f"{login} has neither a key nor a password yet: give one with 'sudo passwd {login}'")
        if damaged := [line for line in wanted if not keys.blob(line)]:
            found.notes.append(f"{len(damaged)} of the keys listed for {login} cannot be read; they are left out")
        have = keys.read(Path(account.home, KEYS)) if account else ""
        stale = (set(ours.get(login, [])) - _blobs(wanted)) & keys.blobs(have)
        missing = keys.missing(have, wanted)
        if missing or stale:
            parts = [f"give {login} {len(missing)} of their keys"] if missing else []
            parts += [f"take {len(stale)} keys from {login} that the policy does not list any more"] if stale else []
            found.steps.append(Step(" and ".join(parts), _keying(login, missing, stale, wanted)))
    return found


def _blobs(wanted: tuple[str, ...]) -> set[str]:
    return {found for line in wanted if (found := keys.blob(line))}


def _ours() -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(OURS.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _creating(login: str) -> Callable[[Record], None]:
    def create(record: Record) -> None:
        record.add("created", login=login)
        run("useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--password", "*",
            "--key", "HOME_MODE=0700", "--uid", str(_free_number(record)), login)  # fmt: skip

    return create


def _free_number(record: Record) -> int:
    """A number nobody here has had, or a new person would find the files of one who left to be theirs."""
    used = {entry.pw_uid for entry in pwd.getpwall()} | {999}
    path = record.place / "changes.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        used.add(json.loads(line).get("number", 0))
    return max(number for number in used if number < 59_000) + 1


def _keying(login: str, missing: list[str], stale: set[str], wanted: tuple[str, ...]) -> Callable[[Record], None]:
    def give(record: Record) -> None:
        entry = pwd.getpwnam(login)
        file = Path(entry.pw_dir, KEYS)
        record.add("keys", login=login, given=[keys.blob(line) for line in missing], taken=sorted(stale),
                   file_there=file.exists(), folder_there=file.parent.exists())  # fmt: skip
        # written by a child that has only this person's rights: their home may hold links to anywhere
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
                _write_keys(Path(entry.pw_dir), missing, stale)
            except BaseException:
                os._exit(1)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise Problem(f"the keys of {login} could not be written; see that the folder .ssh in their home is theirs")
        everybody = {**_ours(), login: sorted(_blobs(wanted))}
        fresh = OURS.with_suffix(".new")
        fresh.write_text(json.dumps(everybody, sort_keys=True))
        fresh.replace(OURS)

    return give


def _write_keys(home: Path, missing: list[str], stale: set[str]) -> None:
    os.umask(0o077)
    path = home / KEYS
    path.parent.mkdir(mode=0o700, exist_ok=True)
    before = path.read_text(errors="replace").splitlines() if path.exists() else []
    after = [line for line in before if keys.blob(line) not in stale] + missing
    fresh = path.with_name(".authorized_keys.readingroom")
    fresh.write_text("".join(f"{line}\n" for line in after))
    fresh.chmod(0o600)
    fresh.replace(path)
