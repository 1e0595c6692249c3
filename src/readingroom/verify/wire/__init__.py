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
from ..job import Vantage

_HERE = Path(__file__).parent
# Services that are often found open where nobody meant it.
COMMON = (
    *(7, 21, 22, 23, 25, 53, 69, 79, 80, 88, 110, 111, 113, 123, 135, 137, 139, 143, 161, 389, 427, 443, 445, 465, 500, 512),
    *(513, 514, 515, 548, 554, 587, 631, 636, 873, 990, 993, 995, 1080, 1194, 1433, 1723, 1883, 1900, 2049, 2222, 3128, 3306),
    *(3389, 4444, 5000, 5060, 5353, 5355, 5432, 5555, 5800, 5900, 5901, 5985, 6000, 6001, 6667, 7070, 8000, 8008, 8023, 8080),
    *(8081, 8088, 8443, 8888, 9000, 9090, 9100, 9200, 10000, 11211, 27017, 32400, 47001, 49152, 51820),
)  # fmt: skip
LISTENER_SECONDS, KNOCKS = 60, 3
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
    """What came of knocking from one place: who arrived at the card, and what got through, by address of the machine.

    `ours` is the place that our own connections come from.
    """

    ours: bool
    arrived: tuple[str, ...]
    answered: dict[str, tuple[int, ...]]
    heard: tuple[str, ...]

    def sources(self, *, six: bool) -> tuple[str, ...]:
        """The addresses that arrived, of one family."""
        return tuple(one for one in self.arrived if (":" in one) == six)


class Wire:
    """The network of one machine."""

    def __init__(self, host: Host, vantages: Sequence[Vantage]) -> None:
        self.host, self.vantages = host, vantages

    def addresses(self) -> list[str]:
        """The machine's own addresses that others can reach."""
        said = json.loads(probe.run(self.host, "ip -j address show up scope global"))
        # what the filter leaves out is there all the same, without its contents
        cards = [card for card in said if card and not _NO_ROOM.match(card["ifname"])]
        found = [one for card in cards for one in card["addr_info"] if "local" in one]
        return [one["local"] for one in found if not one.get("temporary")]

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

    def departs(
        self, places: Sequence[Place], *, by: str | None = None, beside: Sequence[str] = ()
    ) -> list[bool | None]:
        """Which of these really leave the machine; None where it has no way there.

        `by` names the card to send by, whatever the routes say; what leaves by a card that is `beside` the matter does not count.
        """
        to = [{"protocol": one.protocol, "address": one.address, "port": one.port} for one in places]
        asked = json.dumps({"to": to, "by": by, "beside": list(beside)})
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
        return frozenset(sorted(named)[:1000]) | frozenset(COMMON)

    def knocked(self, ports: Collection[int]) -> Iterator[Knocked]:
        """Knock at these ports and at canary ones, from one place after the other; places that do not get here are left out.

        First at a port of ours alone: elsewhere the same address may belong to somebody else, and only where the machine's own
        card saw that knock is anything more sent.
        """
        for vantage in self.vantages:
            word = probe.canary()
            with self._listening(word) as listener:
                tcp, udp = (
                    [port for door, port in listener.doors.items() if door[:3] == one] for one in ("tcp", "udp")
                )
                reached = self._reached(vantage, listener, tcp[0], word)
                said = _knock(vantage, reached, [*ports, *tcp], udp, word) if reached else None
                if said is not None:
                    seen = listener.seen()
                    sources = tuple(source for found in seen["arrived"].values() for source in found)
                    yield Knocked(vantage.ours, sources, said, tuple(seen["heard"]))

    def _reached(self, vantage: Vantage, listener: _Listener, port: int, word: str) -> list[str]:
        """The machine's addresses at whose card a knock from there arrives; where one is silent, it is knocked again.

        A neighbour has to be found first, and on a busy computer that takes longer than one knock has patience.
        """
        own, arrived = set(self.addresses()), set[str]()
        for _ in range(KNOCKS):
            if own <= arrived or _knock(vantage, own - arrived, [port], (), word) is None:
                break
            arrived = set(listener.seen()["arrived"])
        return sorted(arrived)

    @contextmanager
    def _listening(self, word: str) -> Iterator[_Listener]:
        asked = json.dumps({"word": word, "seconds": LISTENER_SECONDS})
        with probe.folder(self.host) as folder:
            start = f"setsid python3 -IBS -c {shlex.quote(_program('listens'))} {shlex.quote(asked)}"
            pid = probe.run(self.host, f"{start} >{folder}/said 2>{folder}/errors </dev/null & echo $!").strip()
            try:
                yield _Listener(self.host, f"{folder}/said", pid)
            finally:
                self.host.run(f"kill {pid}")


class _Listener:
    """The program that waits on the machine while somebody knocks."""

    def __init__(self, host: Host, said: str, pid: str) -> None:
        self._host, self._said, self._pid, self._read = host, said, pid, 0
        self.doors: dict[str, int] = self._next("the check's own listener did not start")

    def seen(self) -> dict[str, Any]:
        """What arrived and was heard so far."""
        probe.run(self._host, f"kill -HUP {self._pid}")
        found: dict[str, Any] = self._next("the check's own listener did not answer")
        return found

    def _next(self, otherwise: str) -> Any:
        def fresh() -> list[str]:
            return probe.run(self._host, f"cat {self._said}").splitlines()[self._read :]

        line = probe.wait_until(fresh, otherwise)[0]
        self._read += 1
        return json.loads(line)


def _knock(
    vantage: Vantage, addresses: Collection[str], tcp: Collection[int], udp: Collection[int], word: str
) -> dict[str, tuple[int, ...]] | None:
    """The TCP ports that answered there, by address; None when nobody could be sent."""
    asked = {"addresses": list(addresses), "tcp": sorted(set(tcp)), "udp": list(udp), "word": word}
    program = f"ASKED = {asked!r}\n" + _program("knocks")
    try:
        done = subprocess.run(
            vantage.argv, input=program, capture_output=True, text=True, check=True, timeout=LISTENER_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    answered = json.loads(done.stdout.splitlines()[-1])["answered"]
    return {address: tuple(found) for address, found in answered.items()}


def somewhere(*, six: bool) -> str:
    """An address that belongs to nobody (RFC 5737, RFC 3849)."""
    return f"2001:db8::{secrets.randbelow(65000) + 1:x}" if six else f"192.0.2.{secrets.randbelow(200) + 20}"


def off_internet(*, six: bool) -> str:
    """An address that belongs to nobody and is no part of the internet (RFC 2544, RFC 6666), so that no tunnel takes it."""
    return (
        f"100::{secrets.randbelow(65000) + 1:x}"
        if six
        else f"198.19.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    )


def within(network: str | ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """Some address in a network, not the first ones, which routers like."""
    found = ipaddress.ip_network(network)
    room = min(found.num_addresses, 1 << 32)
    return str(found[room // 2 + secrets.randbelow(room // 4) if room > 8 else room - 1])


# What a program that watches the cards begins with, when it is sent to the machine.
FRAMES = (_HERE / "frames.py").read_text(encoding="utf-8")


def _program(name: str) -> str:
    text = (_HERE / f"{name}.py").read_text(encoding="utf-8")
    alone = re.sub(r"^from (__future__|readingroom\S+) import .*\n", "", text, flags=re.MULTILINE)
    return FRAMES + alone if "watching(" in alone else alone
