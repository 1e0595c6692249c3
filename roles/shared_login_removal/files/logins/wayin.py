"""Who got us in, and whether somebody can still get in and administer when we are done.

The last working administrator is never removed: what this module refuses is refused before anything has changed.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from logins import keys, sshd
from logins.machine import Account, Problem, names, run
from logins.steps import CameIn, Refusal, Situation

_LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


def came_in() -> CameIn:
    """Find the login of this connection.

    sudo tells whom it let become root. Without it, it is whoever owns the oldest process above us that has a
    connection in its environment; that also holds for su and doas.
    """
    login, address, pid = "root", None, os.getpid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            owner = Path(f"/proc/{pid}").stat().st_uid
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
        for word in environment:
            if word.startswith(b"SSH_CONNECTION="):
                address = word.partition(b"=")[2].split()[0].decode()
                login = pwd.getpwuid(owner).pw_name
    return CameIn(os.environ.get("SUDO_USER", login), address)


def refusals(situation: Situation) -> list[Refusal]:
    """Everything that must not be done; empty when the policy can be kept without locking anybody out."""
    policy, machine, login = situation.policy, situation.machine, situation.came_in.login
    found = []
    named = (*policy.logins, *policy.people, *policy.administrators, policy.patron_login)
    odd = [name for name in named if not _LOGIN.fullmatch(name)]
    if odd:
        found.append(
            Refusal(f"the policy names logins that cannot be logins: {names(odd)}", "Debian would not create them",
                    "use small letters, digits, '-' and '_', and start with a letter")
        )  # fmt: skip
    found += [
        Refusal(f"'{name}' is one of accounts.people, but it belongs to the system of this machine",
                "its number is not a person's", "choose another login for this person")
        for name in policy.people if name in machine.accounts and not machine.is_person(name)
    ]  # fmt: skip
    if policy.takes_away:
        found += _about_shared_logins(situation)
    if not policy.patron_remote_login and policy.patron_login == login:
        found.append(
            Refusal("the patron account would lose its way in over the network, and this run came in with it",
                    "we would cut off the branch we sit on", "come in with a login of your own")
        )  # fmt: skip
    if _root_is_shut_out(situation):
        found.append(
            Refusal(f"root is not to come in over the network (accounts.remote_root: {policy.remote_root}), "
                    "and this run came in as root" + (" without a key" if policy.remote_root == "key" else ""),
                    "the run would lose its connection, and whether another way in works is not proven",
                    "come in with the login of an administrator (ansible_user in the inventory)"
                    + (" or with a key" if policy.remote_root == "key" else ""))
        )  # fmt: skip
    if not found and not _somebody_stays(situation):
        found.append(_nobody_left(situation))
    return found


def _root_is_shut_out(situation: Situation) -> bool:
    came, wanted = situation.came_in, situation.policy.remote_root
    if came.login != "root" or came.address is None:
        return False
    has_key = _has_key(situation, "root", sshd.settings_for("root", came.address))
    return wanted == "off" or (wanted == "key" and not has_key)


def _about_shared_logins(situation: Situation) -> list[Refusal]:
    policy, machine, login = situation.policy, situation.machine, situation.came_in.login
    found = []
    if login in policy.logins:
        found.append(
            Refusal(f"'{login}' is to be {policy.action}, and this run came in with it",
                    "the run would end in the middle, and nobody could come in that way again",
                    "come in with another login that may use sudo (ansible_user in the inventory)")
        )  # fmt: skip
    for key, listed in (("accounts.people", policy.people), ("accounts.administrators", policy.administrators)):
        both = [name for name in policy.logins if name in listed]
        if both:
            found.append(
                Refusal(f"{names(both)}: in accounts.shared_logins and also in {key}",
                        "a login is either shared or one person's", "take it out of one of the two lists")
            )  # fmt: skip
    return found + [
        Refusal(f"'{name}' is in accounts.shared_logins, but it belongs to the system of this machine",
                "without it the machine does not work", "take it out of accounts.shared_logins"
                + ("; accounts.remote_root is about root" if name == "root" else ""))
        for name in policy.logins
        if name in machine.accounts and belongs_to_the_system(machine.accounts[name], situation)
    ]  # fmt: skip


def belongs_to_the_system(account: Account, situation: Situation) -> bool:
    """Root and the logins of services; somebody's old login with a small number and a shell is not one."""
    return account.uid not in situation.machine.people_range and (account.uid < 100 or not account.has_shell)


def _somebody_stays(situation: Situation) -> bool:
    if situation.came_in.login != "root" or situation.came_in.address is not None:
        return True  # it has just come in and is root now, and it keeps both
    return any(why_not(name, situation) is None for name in situation.policy.administrators)


def why_not(name: str, situation: Situation) -> str | None:
    """Why this administrator could not come in over the network and administer; None when they can."""
    account = situation.machine.accounts.get(name)
    if account is None:
        return "has no account here yet"
    if account.expires.isdigit():
        return "has an account that expires"
    if not account.has_shell:
        return "has no shell"
    if not _may_use_sudo(account):
        return "has no password, and sudo asks for it"
    if not sshd.installed():
        return None if account.has_password else "has no password"
    settings = sshd.settings_for(name, situation.came_in.address)
    if not sshd.admits(settings, name, situation.machine.groups_of(name)):
        return "is not let in by sshd"
    if _has_key(situation, name, settings) and settings["pubkeyauthentication"] == ["yes"]:
        return None
    if account.has_password and account.password and settings["passwordauthentication"] == ["yes"]:
        return None
    return "has neither a key nor a password that sshd takes"


def _may_use_sudo(account: Account) -> bool:
    if account.has_password and account.password:
        return True  # all administrators are in the group sudo, whose rule asks for the password
    return "NOPASSWD: ALL" in run("sudo", "-n", "-l", "-U", account.name, may_fail=True)


def _has_key(situation: Situation, name: str, settings: sshd.Settings) -> bool:
    if situation.policy.people.get(name):
        return True  # this run puts it there
    files = sshd.key_files(settings, situation.machine, name)
    return any(keys.blobs(keys.read(Path(folder, inside))) for folder, inside in files)


def _nobody_left(situation: Situation) -> Refusal:
    reasons = [f"{name} {why_not(name, situation)}" for name in situation.policy.administrators]
    return Refusal(
        "nobody could come in over the network and administer this machine any more",
        "; ".join(reasons) or "accounts.administrators is empty, and this run came in as root",
        "give one of accounts.administrators a password (sudo passwd NAME) and a key, or come in with a login of your own "
        "that may use sudo instead of root",
    )


def readable() -> None:
    """Raise `Problem` when sshd's or sudo's files are damaged already: then nothing may be built on them."""
    if sshd.installed():
        sshd.parses()
    if not Path("/etc/sudoers").exists():
        return  # sudo is about to be installed
    try:
        run("visudo", "-c", "-f", "/etc/sudoers")
    except Problem as problem:
        raise Problem(f"sudo does not accept its own files ({problem}); mend them with visudo first") from None
