"""What crosses a machine's network cards, in both directions: tried for real, and looked at where no rule comes after.

Going out needs nobody else: the machine tries, and its own card is watched. For coming in, somebody must knock from elsewhere:
where our own connections come from, and other machines of the site. Where nobody gets as far as the machine's card, nothing
was tested. Addresses are for the checks to compare and never for the evidence. It must not know any role or promise.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from .. import probe

_HERE = Path(__file__).parent
# Services that are often found open where nobody meant it.
COMMON = (
    *(7, 21, 22, 23, 25, 53, 69, 79, 80, 88, 110, 111, 113, 123, 135, 137, 139, 143, 161, 389, 427, 443, 445, 465, 500, 512),
    *(513, 514, 515, 548, 554, 587, 631, 636, 873, 990, 993, 995, 1080, 1194, 1433, 1723, 1883, 1900, 2049, 2222, 3128, 3306),
    *(3389, 4444, 5000, 5060, 5353, 5355, 5432, 5555, 5800, 5900, 5901, 5985, 6000, 6001, 6667, 7070, 8000, 8008, 8023, 8080),
    *(8081, 8088, 8443, 8888, 9000, 9090, 9100, 9200, 10000, 11211, 27017, 32400, 47001, 49152, 51820),
)  # fmt: skip
LISTENER_SECONDS = 60
# Bridges of containers and virtual machines, and tunnels: nobody sits there.
_NO_ROOM = re.compile(r"lo$|docker|br-|virbr|veth|wg|tun|tap|podman|cni")


@dataclass(frozen=True)
class Place:
    """Where something is sent to."""

    protocol: str
    address: str
    port: int

    @property
    def six(self) -> bool:
        """Is it an IPv6 address?"""
        return ":" in self.address


@dataclass(frozen=True)
class Knocked:
    """What came of knocking from one place: who arrived at the card, and what got through, by address of the machine."""

    first: bool
    arrived: tuple[str, ...]
    answered: dict[str, tuple[int, ...]]
    heard: tuple[str, ...]

    def sources(self, *, six: bool) -> tuple[str, ...]:
        """The addresses that arrived, of one family."""
        return tuple(one for one in self.arrived if (":" in one) == six)


class Wire:
    """The network of one machine."""

    def __init__(self, host: Host, vantages: Sequence[Sequence[str]]) -> None:
        self.host, self.vantages = host, vantages

    def addresses(self) -> list[str]:
        """The machine's own addresses that others can reach."""
        said = json.loads(probe.run(self.host, "ip -j address show up scope global"))
        found = (
            one for card in said for one in card.get("addr_info", ()) if "local" in one and not one.get("temporary")
        )
        return [one["local"] for one in found if not ipaddress.ip_address(one["local"]).is_loopback]

    def neighbourhoods(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks that the machine's own cards are in, as its kernel sees them."""
        said = [json.loads(probe.run(self.host, f"ip -j {one} route show") or "[]") for one in ("-4", "-6")]
        kept = (
            one["dst"]
            for routes in said
            for one in routes
            if "/" in one["dst"] and "gateway" not in one and not _NO_ROOM.match(one["dev"])
        )
        return [found for one in kept if not (found := ipaddress.ip_network(one)).is_link_local]

    def departs(self, places: Sequence[Place]) -> list[bool | None]:
        """Which of these really leave the machine; None where it has no way there."""
        asked = json.dumps(
            {"to": [{"protocol": one.protocol, "address": one.address, "port": one.port} for one in places]}
        )
        program = shlex.quote(_program("departs"))
        found: list[bool | None] = json.loads(
            probe.run(self.host, f"printf %s {shlex.quote(asked)} | python3 -IBS -c {program}")
        )
        return found

    def named_ports(self) -> frozenset[int]:
        """Ports that may be open: those that programs listen on, those that any rule names, and common ones."""
        listening = probe.run(self.host, "ss -Hlntu | awk '{print $5}' | sed 's/.*://'").split()
        rules = self.host.run("nft -s list ruleset").stdout
        named = {
            int(one)
            for one in [*listening, *re.findall(r"\b\d{1,5}\b", rules)]
            if one.isdigit() and 0 < int(one) < 65536
        }
        return frozenset(sorted(named)[:400]) | frozenset(COMMON)

    def knocked(self, ports: Collection[int]) -> Iterator[Knocked]:
        """Knock at these ports and at canary ones, from one place after the other; places that do not get here are left out."""
        addresses = self.addresses()
        for number, vantage in enumerate(self.vantages):
            word = probe.canary()
            with self._listening(word, ports) as (canaries, ended):
                asked = {
                    "addresses": addresses, "tcp": sorted({*ports, *(canaries[one] for one in canaries if one[:3] == "tcp")}),
                    "udp": [canaries[one] for one in canaries if one[:3] == "udp"], "word": word,
                }  # fmt: skip
                program = f"ASKED = {asked!r}\n" + _program("knocks").replace(
                    "from __future__ import annotations\n", ""
                )
                done = subprocess.run(vantage, input=program, capture_output=True, text=True, check=False, timeout=60)
                if done.returncode:
                    continue
                said, seen = json.loads(done.stdout.splitlines()[-1]), ended()
            answered = {address: tuple(found) for address, found in said["answered"].items()}
            if seen["arrived"]:
                yield Knocked(number == 0, tuple(seen["arrived"]), answered, tuple(seen["heard"]))

    @contextmanager
    def _listening(self, word: str, ports: Collection[int]) -> Iterator[tuple[dict[str, int], Any]]:
        asked = json.dumps({"word": word, "scanned": sorted(ports), "seconds": LISTENER_SECONDS})
        with probe.folder(self.host) as folder:
            said = f"{folder}/said"
            start = f"setsid python3 -IBS -c {shlex.quote(_program('listens'))} {shlex.quote(asked)}"
            pid = probe.run(self.host, f"{start} >{said} 2>{folder}/errors </dev/null & echo $!").strip()

            def lines() -> list[str]:
                return probe.run(self.host, f"cat {said}").splitlines()

            def ended() -> Any:
                self.host.run(f"kill {pid}")
                return json.loads(probe.wait_until(lambda: lines()[1:2], "the check's own listener did not end")[0])

            try:
                first = probe.wait_until(lambda: lines()[:1], "the check's own listener did not start")
                yield json.loads(first[0]), ended
            finally:
                self.host.run(f"kill {pid}")


def somewhere(*, six: bool) -> str:
    """An address that belongs to nobody (RFC 5737, RFC 3849)."""
    return f"2001:db8::{secrets.randbelow(65000) + 1:x}" if six else f"192.0.2.{secrets.randbelow(200) + 20}"


def within(network: str | ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """Some address in a network, not the first ones, which routers like."""
    found = ipaddress.ip_network(network)
    room = min(found.num_addresses, 1 << 32)
    return str(found[room // 2 + secrets.randbelow(room // 4) if room > 8 else room - 1])


def _program(name: str) -> str:
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")
