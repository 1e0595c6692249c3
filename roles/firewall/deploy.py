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
        role.files(lambda item: not item.get("tried"))
        role.units()  # before the trial: without the file that it leaves, our unit does nothing at boot
        for item in role.wanted("files"):
            if item.get("tried"):
                commit_confirmed(role, role["__firewall_trial"], item, working=role.found["loaded"])


def _tell(role: Role) -> None:
    tables = role.found["tables"]
    if tables:
        role.note(
            f"Other rules are at work beside ours and stay as they are: {', '.join(tables)}. They can stop more than the policy "
            "does; what they forward to virtual machines and containers does not pass our table."
        )
