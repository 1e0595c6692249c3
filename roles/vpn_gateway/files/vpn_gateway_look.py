"""What the gateway's role must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`in_kernel`    whether the kernel has WireGuard; else a program does its work
`public_key`   the public part of this gateway's key; empty when it has none yet
`key_is_safe`  whether nobody but root can read the key
`tunnel`       the networks that members' addresses are from
`internet`     the internet, where members reach that as well
`announced`    the cards whose way out the router announces (IPv6), and the kernel hears
`drifted`      what is at work and is not what our files say: tunnel, rules, forwarding
`changed_keys` the members that were last heard of with their next key
`refusals`     why there can be no gateway here, or must not be, in words
"""

from __future__ import annotations

import ipaddress
import json
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import network
from network import Address, Network, run

CARD, OURS = "wg-members", "inet readingroom_gateway"
KEY = Path("/etc/wireguard", f"{CARD}.key")
SETTINGS, RULES = Path("/etc/readingroom/vpn-gateway.json"), Path("/etc/readingroom/vpn-gateway.nft")
FORWARDING = Path("/etc/sysctl.d/zz-readingroom-gateway.conf")
PROGRAM = "/usr/local/lib/readingroom/vpn_gateway.py"
# The word in vpn.member_networks for all that is public.
INTERNET = "internet"
SWITCHES = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")


def public_key() -> str:
    """The public part of the key, where there is a key."""
    public = KEY.with_suffix(".pub")
    return public.read_text().strip() if public.is_file() and KEY.is_file() and KEY.stat().st_size else ""


def key_is_safe() -> bool:
    """Is the key root's alone?"""
    status = KEY.lstat() if KEY.exists() else None
    return status is not None and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077 and status.st_uid == 0


def announced(known: Iterable[dict[str, Any]]) -> list[str]:
    """The cards that lead out because the kernel itself hears the router's announcements."""
    cards = {one["dev"] for one in known if one.get("protocol") == "ra" and one["dst"] == "default" and "dev" in one}
    return sorted(one for one in cards if setting(f"ipv6/conf/{one}/accept_ra") in ("1", "2"))


def setting(name: str) -> str:
    """A setting of the kernel's network; empty where there is none."""
    try:
        return Path("/proc/sys/net", name).read_text().strip()
    except OSError:
        return ""


def drifted() -> list[str]:
    """What is at work and is not what our files say. Nothing is, before the first run."""
    found = []
    if SETTINGS.is_file() and Path(PROGRAM).is_file() and run("/usr/bin/python3", "-IBS", PROGRAM, "check") is None:
        found.append("tunnel")
    if RULES.is_file() and not network.rules_work(RULES, OURS):
        found.append("rules")
    if FORWARDING.is_file() and "0" in map(setting, SWITCHES):
        found.append("forwarding")
    return found


def changed_keys(members: Iterable[dict[str, Any]]) -> list[str]:
    """Who was last heard of with the next key."""
    lines = [line.split() for line in (run("wg", "show", CARD, "latest-handshakes") or "").splitlines()]
    heard = {key: int(when) for key, when in lines}
    return [one["name"] for one in members if heard.get(one.get("next_key", ""), 0) > heard.get(one["public_key"], 0)]


def taken(port: str) -> bool:
    """Has somebody else the port?"""
    number = port.partition("/")[2]
    ours = (run("wg", "show", CARD, "listen-port") or "").strip()
    return ours != number and bool((run("ss", "-Hlnu", f"sport = :{number}") or "").strip())


def refusals(asked: dict[str, Any], source: Address | None, nearby: Iterable[Network] = ()) -> list[str]:
    """What the policy's own words have against it; `nearby` are the networks that the machine leads to by other cards."""
    own = [ipaddress.ip_interface(one) for one in asked["addresses"]]
    found = []
    if asked["members"] and not own:
        found.append(
            "vpn.members names members, and vpn.gateway_addresses gives the gateway no address in their tunnel: name it, with "
            "the network that members' addresses are from"
        )
    for member in asked["members"] if own else ():
        for one in map(ipaddress.ip_network, member["addresses"]):
            if not any(within(one, home.network) for home in own):
                found.append(
                    f"{member['name']} of vpn.members has {one}, which is in no network of vpn.gateway_addresses: give it an "
                    "address there"
                )
            elif any(home.ip in one for home in own):
                found.append(f"{member['name']} of vpn.members has {one}, the gateway's own: give it another")
    homes = [home.network for home in own]
    if any(meet(ipaddress.ip_network(one), home) for one in named(asked["networks"]) for home in homes):
        found.append(
            "vpn.member_networks holds the tunnel's own network, so that members would reach each other: name others"
        )
    if any(meet(one, home) for one in nearby for home in homes):
        found.append(
            "vpn.gateway_addresses is in a network that this machine leads to by another card, and would take it over: choose "
            "another network for the tunnel"
        )
    if source and any(source in home for home in homes):
        found.append("this run comes in through the tunnel, which does not lead to the gateway itself: come in past it")
    return found


def named(networks: Iterable[str]) -> list[str]:
    """Those that are networks by name."""
    return [one for one in networks if one != INTERNET]


def within(one: Network, other: Network) -> bool:
    """Is the one network part of the other?"""
    return one.version == other.version and one.network_address in other and one.broadcast_address in other


def meet(one: Network, other: Network) -> bool:
    """Have the two an address in common?"""
    return one.version == other.version and one.overlaps(other)


def hindrances(asked: dict[str, Any]) -> list[str]:
    """What this machine has against it."""
    found = []
    if asked["key"] == "any" and not public_key():
        found.append(
            f"vpn.gateway_key leaves the key to somebody else, and there is none in {KEY}: put it there, with its public part in "
            f"{KEY.with_suffix('.pub').name}, or say machine-made"
        )
    if taken(asked["port"]):
        found.append(f"another program has the port of vpn.port ({asked['port']}): choose another, or end that program")
    if not FORWARDING.is_file() and "1" in map(setting, SWITCHES):
        found.append(
            "this machine forwards for others already, which the gateway's rules would end: make the gateway a machine of its own, "
            "or switch net.ipv4.ip_forward and net.ipv6.conf.all.forwarding off"
        )
    if not SETTINGS.is_file() and Path("/sys/class/net", CARD).exists():
        found.append(f"there is a card {CARD} of somebody else: give it another name")
    return found


def main() -> None:
    """Answer."""
    asked, known = json.load(sys.stdin), list(network.routes())
    source, _ = network.came_in() or (None, None)
    wanted = bool(asked["members"] or asked["addresses"])
    beside = [one["dst"] for one in known if "/" in one["dst"] and one.get("dev") not in ("lo", CARD)]
    nearby = [found for one in beside if not (found := ipaddress.ip_network(one)).is_link_local]
    answer = {
        "in_kernel": network.in_kernel(),
        "public_key": public_key(),
        "key_is_safe": key_is_safe(),
        "tunnel": [str(ipaddress.ip_interface(one).network) for one in asked["addresses"]],
        "internet": network.everywhere() if INTERNET in asked["networks"] else [],
        "announced": announced(known),
        "drifted": drifted() if wanted else [],
        "changed_keys": changed_keys(asked["members"]),
        "refusals": [*refusals(asked, source, nearby), *hindrances(asked)] if wanted else [],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
