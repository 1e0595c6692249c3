"""Settings of the running kernel that a role's sysctl.d file changes; where they cannot be written, they never changed."""

from __future__ import annotations

from pathlib import Path

from .store import State

PLACE = Path("/proc/sys")


def look(name: str) -> State:
    """A setting as it is; without a value where this kernel does not have it."""
    try:
        return {"value": (PLACE / name.replace(".", "/")).read_text().strip()}
    except OSError:
        return {"value": None}


def give_back(name: str, state: State) -> str | None:
    """Set it as it was; a word for the person where the kernel does not take it."""
    try:
        (PLACE / name.replace(".", "/")).write_text(f"{state['value']}\n")
    except OSError:
        return f"the kernel's {name} is as it was from the next restart on"
    return None
