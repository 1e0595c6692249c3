"""What the tunnel's role must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`in_kernel`   whether the kernel has WireGuard; else a program does its work
`public_key`  the public part of this machine's key; empty when it has none yet
`key_is_safe` whether nobody but root can read the key
`next_key`    the public part of the key that this machine is about to change to; empty when it has none
`through`     the networks that are reached through the tunnel
`browses`     whether what is browsed goes through it: it does already, or the gateway was seen to lead to the internet
`tries`       resolvers on the internet; that the gateway leads there is tried with them
`works`       whether the tunnel is up with what its file says
`answers`     whether the gateway has spoken to this machine in the last minutes
`refusals`    why the tunnel cannot be made, or must not be, in words
"""

from __future__ import annotations

import ipaddress
import json
import socket
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import network
from network import Address, run

CARD = network.TUNNEL
FOLDER = Path("/etc/wireguard")
FRESH = 180  # seconds; a tunnel that is in use makes new keys every two minutes
MOMENT = 2.0  # seconds for a handshake
PATIENCE = 8.0  # seconds for the gateway to let this machine in, and to lead it to the internet


def read(name: str) -> str:
    """A file's text; empty when it is not there."""
    path = FOLDER / name
    return path.read_text().strip() if path.is_file() else ""


def settings(text: str) -> dict[str, set[str]]:
    """What `wg showconf` or a file says, by name; lists without their order."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name.strip(), set()).update(part.strip() for part in value.split(","))
    return found


def key_is_safe() -> bool:
    """Is the key root's alone?"""
    path = FOLDER / "readingroom.key"
    status = path.lstat() if path.exists() else None
    return status is not None and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077 and status.st_uid == 0


def works(tries: Iterable[str] = ()) -> bool:
    """Has the card the file's gateway, networks, routes and addresses, and this machine's key?"""
    said, meant = run("wg", "showconf", CARD), settings(read(f"{CARD}.conf"))
    if said is None or not meant:
        return False
    now, through = settings(said), meant.get("AllowedIPs", set())
    admits = through <= now.get("AllowedIPs", set()) <= through | set(tries)
    cards = json.loads(run("ip", "-j", "address", "show", "dev", CARD) or "[]")
    has = {
        f"{one['local']}/{one['prefixlen']}" for card in cards for one in card["addr_info"] if one["scope"] == "global"
    }
    ways = [one["dst"] for one in network.routes() if one.get("dev") == CARD and one["dst"] != "default"]
    ours = (run("wg", "show", CARD, "public-key") or "").strip()
    return (
        now.get("PublicKey") == meant.get("PublicKey")
        and admits
        and not network.without(through, ways)
        and has == meant.get("Address")
        and ours == read("readingroom.pub")
    )


def answers() -> bool:
    """Has the gateway proved who it is lately? A tunnel that has just come up is given a moment."""
    end = time.monotonic() + MOMENT
    while said := run("wg", "show", CARD, "latest-handshakes"):
        if any(time.time() - int(line.split()[1]) < FRESH for line in said.splitlines()):
            return True
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    return False


def leads_out(tries: Iterable[str]) -> bool:
    """Does the gateway lead to the internet? One of these answers by the tunnel's card; without any, the gateway itself has to."""
    for one in tries:
        resolver = str(ipaddress.ip_network(one)[0])
        with socket.socket(socket.AF_INET6 if ":" in resolver else socket.AF_INET) as door:
            door.settimeout(2)
            try:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, CARD.encode())
                door.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, network.TRIED_MARK)
                door.connect((resolver, 853))
            except OSError:
                continue
            return True
    return not tries and answers()


def browses(asked: dict[str, Any], tries: list[str]) -> bool:
    """Does what is browsed go through the tunnel, or may it? A gateway that has just been told of this machine is waited for."""
    if asked["browsing"] != "tunnelled":
        return False
    if network.takes_browsing():
        return True
    end = time.monotonic() + PATIENCE
    while Path("/sys/class/net", CARD).exists():
        if leads_out(tries):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return False


def in_the_tunnel(networks: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """Those of the families that the machine has addresses of in the tunnel."""
    families = {":" in one for one in addresses}
    return [one for one in networks if (":" in one) in families]


def refusals(asked: dict[str, Any], came: Address | None, through: bool, nearby: Iterable[str] = ()) -> list[str]:
    """What stands against it. `through` says that the connection from `came` comes through the tunnel already; `nearby` are the
    networks that the machine is in."""
    networks, tunnelled = [ipaddress.ip_network(one) for one in asked["networks"]], asked["browsing"] == "tunnelled"
    if not networks and not tunnelled:
        return []
    found = []
    if not asked["beside"]["gateways"]:
        found.append(
            "the policy has a tunnel (vpn.networks, vpn.browsing), and vpn.gateways no gateway that it leads to: name it, with its "
            "public key"
        )
    if not asked["addresses"]:
        found.append(
            "vpn.addresses gives this machine no address in the tunnel: give it one, under `machines:` in the policy"
        )
    if asked["keys"] == "any" and not read("readingroom.key"):
        found.append(
            f"vpn.keys leaves the key to somebody else, and there is none in {FOLDER}/readingroom.key: put it there, with its "
            "public part in readingroom.pub, or say machine-made"
        )
    if any(one.prefixlen == 0 for one in networks):
        found.append(
            "vpn.networks holds everything there is, and the tunnel itself would have no way out: name networks, and have "
            "vpn.browsing: tunnelled for the internet"
        )
    if any(
        one.version == there.version and one.overlaps(there)
        for one in networks
        for there in map(ipaddress.ip_network, nearby)
    ):
        found.append(
            "vpn.networks holds the network that this machine itself is in: its router, printers and resolver would be out of "
            "reach; name the networks of the library's systems more narrowly"
        )
    if any(host in one for host, _ in network.tunnel_ends(asked["beside"]["gateways"]) for one in networks):
        found.append(
            "vpn.gateways lies inside vpn.networks, so that the tunnel would lead through itself: name its outer address"
        )
    if came and not through and any(came in one for one in networks):
        found.append(
            "this run comes in from one of vpn.networks, and past the tunnel: answers would go into the tunnel, and nobody could "
            "come in any more; run it from an address outside of them first, and then through the tunnel"
        )
    return found + (hindrances(asked) if tunnelled else [])


def hindrances(asked: dict[str, Any]) -> list[str]:
    """What stands against browsing through the tunnel."""
    found = []
    if any(network.is_name(network.endpoint(one["endpoint"])[0]) for one in asked["beside"]["gateways"]):
        found.append(
            "vpn.browsing takes the looking up of names into the tunnel as well, and vpn.gateways has a name that would have to be "
            "looked up first: give the gateway's address"
        )
    if asked["transport"] == "plain":
        found.append(
            "vpn.browsing hides which sites are visited, and dns.transport has their names looked up in the clear: make it strict"
        )
    if any(ipaddress.ip_network(one).prefixlen == 0 for one in asked["beside"]["administered_from"]):
        found.append(
            "network.administered_from holds everything there is, which is reached beside the tunnel, so nothing would be left of "
            "vpn.browsing: name the networks that administrators come from"
        )
    return found


def through_tunnel(source: Address) -> bool:
    """Do answers to this address go into the tunnel now?"""
    said = json.loads(run("ip", "-j", "route", "get", str(source)) or "[]")
    return any(one.get("dev") == CARD for one in said)


def main() -> None:
    """Answer."""
    asked, way = json.load(sys.stdin), network.came_in()
    source = way[0] if way else None
    through = source is not None and through_tunnel(source)
    inside = []
    if asked["browsing"] == "tunnelled":
        internet = network.internet(asked["beside"], None if through else source)
        inside = in_the_tunnel(internet, asked["addresses"])
    named = [network.single(one.partition("#")[0]) for one in asked["resolvers"]]
    tries = [one for one in named if not network.without([one], inside)]
    taken = browses(asked, tries)
    answer = {
        "in_kernel": network.in_kernel(),
        "public_key": read("readingroom.pub") if read("readingroom.key") else "",
        "key_is_safe": key_is_safe(),
        "next_key": read("readingroom.next.pub") if read("readingroom.next.key") else "",
        # resolvers once more by themselves: systemd-networkd makes narrow routes to those that a lease names
        "through": asked["networks"] + (inside + tries if taken else []),
        "browses": taken,
        "tries": [] if taken else tries,
        "works": works(tries),
        "answers": answers(),
        "refusals": refusals(asked, source, through, network.neighbourhoods()),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
