"""Tells which logins look as if several people used them. It only tells; the policy decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from logins import keys
from logins.machine import Account, run
from logins.people import KEYS
from logins.steps import Situation


def looks_generic(name: str, generic: Iterable[str]) -> bool:
    """Is this the name of a place or a task and not of a person? Numbers and what stands around it do not matter.

    >>> looks_generic("front-desk2", ["frontdesk"])
    True
    >>> looks_generic("stafford", ["staff"])
    False
    """
    plain = re.sub(r"[^a-z]", "", name.lower())
    return plain in {re.sub(r"[^a-z]", "", word) for word in generic}


def sessions(listing: str) -> dict[str, set[str]]:
    """From the lines `login where` of the running sessions: the places each login is used at."""
    found: dict[str, set[str]] = {}
    for line in listing.splitlines():
        login, _, where = line.partition(" ")
        if login and where:
            found.setdefault(login, set()).add(where)
    return found


def _places() -> Mapping[str, set[str]]:
    listing = []
    for line in run("loginctl", "list-sessions", "--no-legend", may_fail=True).splitlines():
        shown = run("loginctl", "show-session", line.split()[0], "-p", "Name", "-p", "RemoteHost", "-p", "TTY", "-p", "Class",
                    may_fail=True) if line.split() else ""  # fmt: skip
        facts = dict(fact.split("=", 1) for fact in shown.splitlines() if "=" in fact)
        if facts.get("Class") == "user":
            # one person may have ten sessions from their own machine, but sits in one place
            listing.append(f"{facts['Name']} {facts.get('RemoteHost') or 'at the machine'}")
    return sessions("\n".join(listing))


def _signs(account: Account, situation: Situation, places: set[str]) -> list[str]:
    signs = []
    if looks_generic(account.name, situation.policy.generic_names):
        signs.append("it is named after a place or a task")
        if "sudo" in situation.machine.groups_of(account.name):
            signs.append("it may administer")
    owners = keys.owners(keys.read(Path(account.home, KEYS)))
    if len(owners) > 1:
        signs.append(f"it holds keys of {len(owners)} people")
    if len(places) > 1:
        signs.append(f"it is in use from {len(places)} places at this moment")
    return signs


def tell(situation: Situation) -> list[str]:
    """One line per login that looks shared, with what to write into the policy."""
    policy, machine = situation.policy, situation.machine
    if policy.action == "allowed":
        return []
    listed = [name for name in policy.logins if name in machine.accounts and policy.action == "reported"]
    found = [f"{name} is a shared login (accounts.shared_logins); the policy says to report it" for name in listed]
    known = {*policy.logins, *policy.people, policy.patron_login, situation.came_in.login}
    places = _places()
    for account in machine.people():
        name = account.name
        if name in known or account.expires == "1":
            continue
        if signs := _signs(account, situation, places.get(name, set())):
            found.append(
                f"{name} looks shared: {' and '.join(signs)}. Nothing was done to it. If several people use it, "
                f"write it into the policy:  accounts: {{shared_logins: [{name}]}}"
            )
    return found
