"""The role encrypted_dns for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role


def apply(variables: dict[str, Any]) -> None:
    """Names are looked up encrypted, from a resolver that proves who it is."""
    with Role("encrypted_dns", variables) as role:
        # patterns, because systemctl fails on the name of a service that is not there
        restart, reload = "try-restart 'unbound.servic[e]'", "try-reload-or-restart 'NetworkManager.servic[e]'"
        role.handler("restart-resolver", lambda: role.script("Restart the resolver", f"systemctl {restart}"))
        role.handler("reload-network-manager", lambda: role.script("Tell NetworkManager", f"systemctl {reload}"))
        for note in role.found["notes"]:
            role.note(note)
        role.packages()
        role.directories()
        role.files()
        role.units()
