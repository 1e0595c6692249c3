"""What the programs at the network cards make of frames, and what a knock makes of answers."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path

import pytest

from readingroom.verify import wire
from readingroom.verify.connection import goes_directly
from readingroom.verify.wire import departs, knocks, listens

PORTS = struct.pack("!HH", 50000, 443)


def ip4(number: int, source: str, to: str, rest: bytes = PORTS, options: bytes = b"") -> bytes:
    head = bytes([0x45 + len(options) // 4]) + bytes(8) + bytes([number]) + bytes(2)
    return head + socket.inet_aton(source) + socket.inet_aton(to) + options + rest


def ip6(number: int, source: str, to: str, rest: bytes = PORTS) -> bytes:
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, one) for one in (source, to))
    return bytes(6) + bytes([number]) + bytes(1) + addresses + rest


SOLICIT = bytes([135]) + bytes(7) + socket.inet_pton(socket.AF_INET6, "fd77::9")


@pytest.mark.parametrize(("kind", "frame", "seen"), [
    (departs.IP4, ip4(6, "10.0.0.1", "192.0.2.7"), ("tcp", "192.0.2.7", 443)),
    (departs.IP4, ip4(17, "10.0.0.1", "192.0.2.7", options=bytes(8)), ("udp", "192.0.2.7", 443)),
    (departs.IP6, ip6(6, "fd77::1", "2001:db8::7"), ("tcp", "2001:db8::7", 443)),
    (departs.IP6, ip6(58, "fd77::1", "ff02::1:ff00:9", SOLICIT), ("", "fd77::9", 0)),
    (departs.ARP, bytes(24) + socket.inet_aton("10.0.0.9"), ("", "10.0.0.9", 0)),
    (departs.IP4, ip4(1, "10.0.0.1", "192.0.2.7"), None),
    (0x88CC, bytes(60), None),
])  # fmt: skip
def test_a_frame_that_leaves_is_known_by_where_it_goes(
    kind: int, frame: bytes, seen: tuple[str, str, int] | None
) -> None:
    assert departs.leaving(kind, frame) == seen


@pytest.mark.parametrize(("kind", "frame", "who"), [
    (listens.IP4, ip4(6, "10.0.0.9", "10.0.0.1"), ("10.0.0.1", "10.0.0.9")),
    (listens.IP6, ip6(17, "fd77::9", "fd77::1"), ("fd77::1", "fd77::9")),
    (listens.IP4, ip4(6, "10.0.0.9", "10.0.0.1", struct.pack("!HH", 443, 50000)), None),
    (listens.IP4, ip4(1, "10.0.0.9", "10.0.0.1"), None),
])  # fmt: skip
def test_only_a_knock_at_a_port_that_is_watched_counts_as_an_arrival(
    kind: int, frame: bytes, who: tuple[str, str] | None
) -> None:
    assert listens.knocking(kind, frame, frozenset({443})) == who


def test_a_refusal_is_an_answer_and_a_connection_as_well() -> None:
    with socket.socket() as listening, socket.socket() as closed:
        for one in (listening, closed):
            one.bind(("127.0.0.1", 0))
        listening.listen()
        ports = sorted(one.getsockname()[1] for one in (listening, closed))
        asked = {"addresses": ["127.0.0.1"], "tcp": ports, "udp": [], "word": "x"}
        assert {address: sorted(found) for address, found in knocks.knock(asked).items()} == {"127.0.0.1": ports}


@pytest.mark.parametrize("network", ["10.0.0.0/24", "10.0.0.8/30", "10.0.0.7/32", "fd88::/64", "2001:db8::1/128"])
def test_an_address_within_a_network_is_within_it(network: str) -> None:
    for _ in range(20):
        assert ipaddress.ip_address(wire.within(network)) in ipaddress.ip_network(network)


def test_an_address_that_is_nobody_s_is_nobody_s() -> None:
    assert ipaddress.ip_address(wire.somewhere(six=False)) in ipaddress.ip_network("192.0.2.0/24")
    assert ipaddress.ip_address(wire.somewhere(six=True)) in ipaddress.ip_network("2001:db8::/32")


@pytest.mark.parametrize(("way", "directly"), [
    ("", True), ("ProxyJump none", True), ("ProxyCommand nc %h %p", False), ("ProxyJump gate.example", False),
])  # fmt: skip
def test_this_computer_is_no_place_to_knock_from_where_ssh_goes_another_way(
    tmp_path: Path, way: str, directly: bool
) -> None:
    (tmp_path / "config").write_text(f"Host desk-1\n  HostName 192.0.2.7\n  {way}\n")
    assert goes_directly(tmp_path / "config", "desk-1") is directly
