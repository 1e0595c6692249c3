"""The role vpn_gateway for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

import shlex
from typing import Any

from readingroom.apply.shared import Role

HANDLERS = {
    "restart-gateway": (
        "Restart the gateway's tunnel",
        "systemctl try-restart 'readingroom-vpn-gateway.servic[e]'",
    ),
    "reload-gateway-rules": (
        "Load the gateway's rules",
        "systemctl try-reload-or-restart 'readingroom-vpn-gateway-rules.servic[e]'",
    ),
    "reload-gateway": (
        "Bring the tunnel's members to what the policy says",
        "systemctl try-reload-or-restart 'readingroom-vpn-gateway.servic[e]'",
    ),
}


def apply(variables: dict[str, Any]) -> None:
    """The consortium's end of the tunnel admits the members that are listed, and keeps them apart."""
    with Role("vpn_gateway", variables) as role:
        for name, (what, script) in HANDLERS.items():
            role.handler(name, lambda what=what, script=script: role.script(what, script))
        forward = shlex.join(role["__vpn_gateway_forwarding"])
        role.handler("apply-forwarding", lambda: role.script("Have the kernel forward", forward))
        role.refuse()
        role.absent()
        role.packages()
        if role["__vpn_gateway_makes_key"]:
            make = role.on_machine("wireguard_key.py", "/etc/wireguard/wg-members.key")
            role.script("Make the key of this gateway", make)
        role.directories()
        role.files()
        role.units()
        role.flush()
        if not role["__vpn_gateway_wanted"]:
            return
        for what in role.found["drifted"]:
            role.script(f"Bring back what is not as the files say: {what}", shlex.join(role[f"__vpn_gateway_{what}"]))
        if not role.check:
            role.look()
            _tell(role)


def _tell(role: Role) -> None:
    found = role.found
    by = "the kernel" if found["in_kernel"] else "wireguard-go, as the kernel has no WireGuard"
    role.note(f"The tunnel is the work of {by}. The gateway's public key: {found['public_key']}")
    for name in found["changed_keys"]:
        role.note(
            f"{name} has come in with its next_key: make it the public_key in the policy, and leave the old one out."
        )
