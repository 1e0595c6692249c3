#!/usr/bin/python3
"""The gateway's end of the tunnel: `vpn_gateway.py follow | bring | check`.

`follow`  make the tunnel's card, admit the members, and then see to it that members who change their key keep their addresses
`bring`   bring the tunnel to what the settings say; who is not concerned does not notice
`check`   end with 1 when the tunnel is not what the settings say

A member has one key, or two while it changes from the one to the other. WireGuard gives an address to one key only, and a
handshake needs none: so a member's addresses belong to that of its keys which was heard of last. Nothing is written down.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "wg-members"
SETTINGS = Path("/etc/readingroom/vpn-gateway.json")
KEY = Path("/etc/wireguard", f"{CARD}.key")
LOOK_SECONDS = 1.0
AT_ONCE = 50  # peers in one call of wg

Member = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """What WireGuard knows of a key: its addresses, and when it proved itself last (0: never)."""

    addresses: frozenset[str]
    heard: int


@dataclass(frozen=True)
class Tunnel:
    """The card as it is."""

    public_key: str
    port: int
    peers: Mapping[str, Peer]


def read(dump: str) -> Tunnel:
    """What `wg show … dump` says; where members are is in it, and is not kept.

    >>> read("secret\\tours\\t51820\\toff\\nkey\\t(none)\\t192.0.2.1:4\\t10.89.0.12/32\\t7\\t1\\t1\\toff\\n").peers
    {'key': Peer(addresses=frozenset({'10.89.0.12/32'}), heard=7)}
    """
    first, *rest = [line.split("\t") for line in dump.splitlines()]
    peers = {line[0]: Peer(frozenset(line[3].split(",")) - {"(none)"}, int(line[4])) for line in rest}
    return Tunnel(first[1], int(first[2]), peers)


def holder(member: Member, peers: Mapping[str, Peer]) -> str:
    """The key that has the member's addresses: the one last heard of; before any was heard, the one that has them, or the first.

    Handshakes are told in whole seconds. Of two in the same second the later key is the newer one.
    """
    keys: Sequence[str] = member["keys"]
    heard = {key: peers[key].heard if key in peers else 0 for key in keys}
    if any(heard.values()):
        return max(reversed(keys), key=lambda key: heard[key])
    return next((key for key in keys if key in peers and peers[key].addresses), keys[0])


def shares(members: Sequence[Member], peers: Mapping[str, Peer]) -> Iterator[tuple[str, frozenset[str]]]:
    """Every key of these members, with the addresses it is to have."""
    for member in members:
        holding = holder(member, peers)
        for key in member["keys"]:
            yield key, frozenset(member["addresses"]) if key == holding else frozenset()


def changes(members: Sequence[Member], peers: Mapping[str, Peer]) -> list[list[str]]:
    """The words for wg that admit exactly these members; empty when it is so."""
    wanted = dict(shares(members, peers))
    gone = [["peer", key, "remove"] for key in peers if key not in wanted]
    return gone + moves(members, peers)


def moves(members: Sequence[Member], peers: Mapping[str, Peer]) -> list[list[str]]:
    """The words for wg that give these members' keys what they are to have. What is taken comes before what is given."""
    found = [
        (key, addresses)
        for key, addresses in shares(members, peers)
        if key not in peers or peers[key].addresses != addresses
    ]
    return [
        ["peer", key, "allowed-ips", ",".join(sorted(addresses))]
        for key, addresses in sorted(found, key=lambda one: len(one[1]))
    ]


def run(*argv: str) -> str:
    """What a program prints; it has to succeed."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


def look() -> Tunnel:
    """The card as it is."""
    return read(run("wg", "show", CARD, "dump"))


def exists() -> bool:
    """Is there a card?"""
    return Path("/sys/class/net", CARD).exists()


def tell(words: list[list[str]]) -> None:
    """Tell wg, some peers at a time."""
    for first in range(0, len(words), AT_ONCE):
        run("wg", "set", CARD, *(word for peer in words[first : first + AT_ONCE] for word in peer))


def addresses() -> set[str]:
    """The card's own addresses."""
    cards = json.loads(run("ip", "-j", "address", "show", "dev", CARD))
    return {
        f"{one['local']}/{one['prefixlen']}" for card in cards for one in card["addr_info"] if one["scope"] == "global"
    }


def make() -> None:
    """Make the card: the kernel's, or that of the program which does its work where it has none, and lives on."""
    kernel = subprocess.run(["ip", "link", "add", CARD, "type", "wireguard"], stderr=subprocess.DEVNULL, check=False)
    if kernel.returncode:
        subprocess.run(["wireguard-go", CARD], stdin=subprocess.DEVNULL, check=True)


def bring(settings: Mapping[str, Any]) -> None:
    """Bring the card to what the settings say. Only what differs is touched: who is in stays in."""
    now, public = look(), KEY.with_suffix(".pub").read_text().strip()
    if now.public_key != public:
        run("wg", "set", CARD, "private-key", str(KEY))
    if now.port != settings["port"]:
        run("wg", "set", CARD, "listen-port", str(settings["port"]))
    tell(changes(settings["members"], look().peers))
    has, wanted = addresses(), set(settings["addresses"])
    for one in sorted(wanted - has):
        run("ip", "address", "add", one, "dev", CARD)
    for one in sorted(has - wanted):
        run("ip", "address", "delete", one, "dev", CARD)
    run("ip", "link", "set", CARD, "up")


def as_said(settings: Mapping[str, Any]) -> bool:
    """Is the card what the settings say?"""
    if not exists():
        return False
    now = look()
    return (
        now.public_key == KEY.with_suffix(".pub").read_text().strip()
        and now.port == settings["port"]
        and not changes(settings["members"], now.peers)
        and addresses() == set(settings["addresses"])
    )


def follow() -> None:
    """Be the tunnel's end until told to end."""
    if not exists():
        make()
    bring(load())
    ready()
    while exists():
        changing = [one for one in load()["members"] if len(one["keys"]) > 1]
        if changing:
            tell(moves(changing, look().peers))
        time.sleep(LOOK_SECONDS)
    sys.exit("the tunnel's card is gone")


def ready() -> None:
    """Tell systemd that members can come."""
    if place := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"READY=1", "\0" + place[1:] if place.startswith("@") else place)


def load() -> dict[str, Any]:
    """The settings."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Do what the word says."""
    if sys.argv[1] == "check":
        sys.exit(not as_said(load()))
    {"follow": follow, "bring": lambda: bring(load())}[sys.argv[1]]()


if __name__ == "__main__":
    main()
