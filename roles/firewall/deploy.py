"""The role firewall for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role
from readingroom.apply.trial import commit_confirmed


def apply(variables: dict[str, Any]) -> None:
    """Nothing comes in or goes out but what the policy lists, and nobody is locked out."""
    with Role("firewall", variables) as role:
        _tell(role)
        role.absent()
        role.packages()
        role.directories()
        role.files()
        role.units()  # before the trial: without the file that it leaves, our unit does nothing at boot
        commit_confirmed(role)


def _tell(role: Role) -> None:
    if role.found["speaks_plain"]:
        role.note(
            "A program on this machine speaks SIP2 with the library system in clear just now, which sip.plain refuses from now on. "
            "Name the library system in sip.server, and tell the program to speak to this machine itself."
        )
    tables = role.found["tables"]
    if tables:
        role.note(
            f"Other rules are at work beside ours and stay as they are: {', '.join(tables)}. They can stop more than the policy "
            "does; what they forward to virtual machines and containers does not pass our table."
        )
