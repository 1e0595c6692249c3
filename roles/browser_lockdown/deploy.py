"""The role browser_lockdown for pyinfra: what tasks/ does, from the same list, table and templates."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role


def apply(variables: dict[str, Any]) -> None:
    """Firefox and Chromium keep what the policy says."""
    with Role("browser_lockdown", variables) as role:
        for note in role.found["notes"]:
            role.note(note)
        role.packages()
        role.directories()
        role.files()
