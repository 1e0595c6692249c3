"""The role sip_tunnel for pyinfra: what tasks/ does, from the same list and templates."""

from __future__ import annotations

from typing import Any

from readingroom.apply.shared import Role


def apply(variables: dict[str, Any]) -> None:
    """SIP2 goes to the library system encrypted, and to nobody else."""
    with Role("sip_tunnel", variables) as role:
        restart = "systemctl try-restart 'readingroom-sip.servic[e]'"
        role.handler("restart-sip", lambda: role.script("Restart the tunnel for SIP2", restart))
        role.refuse()
        role.absent()
        role.packages()
        role.directories()
        role.files()
        role.units()
