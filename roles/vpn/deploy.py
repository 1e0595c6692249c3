"""The role vpn for pyinfra: what tasks/ does, from the same list, templates and programs."""

from __future__ import annotations

import json
import shlex
from typing import Any

from readingroom.apply.shared import Role
from readingroom.apply.trial import commit_confirmed


def apply(variables: dict[str, Any]) -> None:
    """The library's own systems, and what is browsed, are reached through a tunnel, whose key the machine made itself."""
    with Role("vpn", variables) as role:
        restart = "systemctl try-restart 'readingroom-vpn.servic[e]'"
        role.handler("restart-tunnel", lambda: role.script("Restart the tunnel", restart))
        role.refuse()
        role.absent()
        role.packages()
        if role["__vpn_makes_key"]:
            make = role.on_machine("wireguard_key.py", "/etc/wireguard/readingroom.key")
            role.script("Make the key of this machine's tunnel", make)
        if role["__vpn_makes_next"]:
            make = role.on_machine("wireguard_key.py", "/etc/wireguard/readingroom.next.key")
            role.script("Make the key that it changes to", make)
        role.files()
        tried = commit_confirmed(role)
        role.units()
        role.flush()
        if role["__vpn_changes_key"]:
            program = (role.path / "files" / "vpn_change_key.py").read_text(encoding="utf-8")
            asked = shlex.quote(json.dumps({"networks": role["vpn_networks"]}))
            change = f"printf %s {asked} | /usr/bin/python3 -IBS -c {shlex.quote(program)}"
            role.script("Change over to the next key", change)
        if role["vpn_browsing"] == "tunnelled" and not role.found["browses"] and not role.check:
            role.look()
            commit_confirmed(role, tell=not tried)
        if role["__vpn_wanted"] and not role.check:
            role.look()
            _tell(role)


def _tell(role: Role) -> None:
    found = role.found
    role.note(
        f"The tunnel is the work of {'the kernel' if found['in_kernel'] else 'wireguard-go, as the kernel has no WireGuard'}."
    )
    if not found["answers"]:
        role.note(
            "The gateway does not answer this machine yet. It has to admit its public key: "
            f"{found['public_key']} for {', '.join(role['vpn_addresses'])}"
        )
    if role["vpn_browsing"] == "tunnelled" and not found["browses"]:
        role.note(
            "What is browsed goes out as before: the gateway "
            + ("answers, and does not lead to the internet" if found["answers"] else "does not answer this machine yet")
            + ". When it does, run this again."
        )
    if role["vpn_key_change"] == "prepare":
        role.note(f"This machine's next key, for the gateway to admit as its next_key: {found['next_key']}")
