"""What the tunnel's role must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`in_kernel`   whether the kernel has WireGuard; else a program does its work
`public_key`  the public part of this machine's key; empty when it has none yet
`key_is_safe` whether nobody but root can read the key
`next_key`    the public part of the key that this machine is about to change to; empty when it has none
`works`       whether the tunnel is up with what its file says
`answers`     whether the gateway has spoken to this machine in the last minutes
`refusals`    why the tunnel cannot be made, or must not be, in words
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
CARD = "wg-library"
FOLDER = Path("/etc/wireguard")
FRESH = 180  # seconds; a tunnel that is in use makes new keys every two minutes


def run(*argv: str) -> str | None:
    """What a program prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def in_kernel() -> bool:
    """Is WireGuard part of the kernel, or can it be?"""
    return Path("/sys/module/wireguard").is_dir() or run("modprobe", "--dry-run", "--quiet", "wireguard") is not None


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


def works() -> bool:
    """Has the card the file's gateway, networks and addresses, and this machine's key?"""
    said, meant = run("wg", "showconf", CARD), settings(read(f"{CARD}.conf"))
    if said is None or not meant:
        return False
    now = settings(said)
    same = all(now.get(name) == meant.get(name) for name in ("PublicKey", "AllowedIPs"))
    cards = json.loads(run("ip", "-j", "address", "show", "dev", CARD) or "[]")
    has = {
        f"{one['local']}/{one['prefixlen']}" for card in cards for one in card["addr_info"] if one["scope"] == "global"
    }
    ours = (run("wg", "show", CARD, "public-key") or "").strip()
    return same and has == meant.get("Address") and ours == read("readingroom.pub")


def answers() -> bool:
    """When did the gateway last prove who it is?"""
    lines = (run("wg", "show", CARD, "latest-handshakes") or "").splitlines()
    return any(time.time() - int(line.split()[1]) < FRESH for line in lines)


def came_in() -> str | None:
    """The address that this connection comes from; sudo does not keep it, an ancestor has it."""
    pid = os.getpid()
    while pid > 1:
        place = Path("/proc", str(pid))
        for word in (place / "environ").read_bytes().split(b"\0"):
            if word.startswith(b"SSH_CONNECTION="):
                return word.partition(b"=")[2].decode().split()[0]
        pid = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def address(text: str) -> Address | None:
    """An address without its zone; None for a name. One that a dual-stack socket shows as IPv6 is what it really is."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def addresses(endpoint: str) -> list[Address]:
    """Where a gateway is; a name as far as it can be looked up."""
    host = re.sub(r":\d+$", "", endpoint)
    try:
        found = (
            [address(host)] if address(host) else [address(str(one[4][0])) for one in socket.getaddrinfo(host, None)]
        )
    except OSError:
        return []
    return [one for one in found if one]


def neighbourhoods() -> list[Network]:
    """The networks that this machine's own cards are in."""
    said = [json.loads(run("ip", "-j", family, "route", "show") or "[]") for family in ("-4", "-6")]
    found = [
        ipaddress.ip_network(one["dst"])
        for routes in said
        for one in routes
        if "gateway" not in one and "/" in one["dst"] and one.get("dev") not in ("lo", CARD)
    ]
    return [one for one in found if not one.is_link_local]


def refusals(asked: dict[str, Any], source: str | None, through: bool, nearby: Iterable[Network] = ()) -> list[str]:
    """What stands against it. `through` says that the connection from `source` comes through the tunnel already; `nearby` are
    the networks that the machine is in."""
    networks = [ipaddress.ip_network(one) for one in asked["networks"]]
    if not networks:
        return []
    found = []
    if not asked["gateways"]:
        found.append(
            "vpn.networks names networks, and vpn.gateways no gateway that leads there: name it, with its public key"
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
            "vpn.networks holds everything there is, and the tunnel itself would have no way out: name networks"
        )
    if any(one.version == there.version and one.overlaps(there) for one in networks for there in nearby):
        found.append(
            "vpn.networks holds the network that this machine itself is in: its router, printers and resolver would be out of "
            "reach; name the networks of the library's systems more narrowly"
        )
    ends = [host for gateway in asked["gateways"] for host in addresses(gateway["endpoint"])]
    if any(host in one for host in ends for one in networks):
        found.append(
            "vpn.gateways lies inside vpn.networks, so that the tunnel would lead through itself: name its outer address"
        )
    came = address(source) if source else None
    if came and not through and any(came in one for one in networks):
        found.append(
            "this run comes in from one of vpn.networks, and past the tunnel: answers would go into the tunnel, and nobody could "
            "come in any more; run it from an address outside of them first, and then through the tunnel"
        )
    return found


def through_tunnel(source: str | None) -> bool:
    """Do answers to this address go into the tunnel now?"""
    said = json.loads(run("ip", "-j", "route", "get", source) or "[]") if source else []
    return any(one.get("dev") == CARD for one in said)


def main() -> None:
    """Answer."""
    asked, source = json.load(sys.stdin), came_in()
    answer = {
        "in_kernel": in_kernel(),
        "public_key": read("readingroom.pub") if read("readingroom.key") else "",
        "key_is_safe": key_is_safe(),
        "next_key": read("readingroom.next.pub") if read("readingroom.next.key") else "",
        "works": works(),
        "answers": answers(),
        "refusals": refusals(asked, source, through_tunnel(source), neighbourhoods()),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
