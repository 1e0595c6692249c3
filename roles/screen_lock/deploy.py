"""The role screen_lock for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role


def apply(variables: dict[str, Any]) -> None:
    """A screen that nobody touches locks itself."""
    with Role("screen_lock", variables) as role:
        # a pattern, because systemctl fails on the name of a service that is not there
        restart = "systemctl try-restart 'readingroom-screen-lock.servic[e]'"
        role.handler("restart-watch", lambda: role.script("Restart the watch over screens", restart))
        for note in role["__screen_lock_notes"]:
            role.note(note)
        role.packages()
        role.absent()
        role.directories()
        role.files()
        role.units()
