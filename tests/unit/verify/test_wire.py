"""What the programs at the network cards make of frames, and what a knock makes of answers."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path

import pytest

from readingroom.verify import wire
from readingroom.verify.connection import goes_directly
from readingroom.verify.wire import departs, frames, knocks, listens

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


# What the kernel keeps beside a frame, as a filter of frames.py reads it.
CARD, KIND, PROTOCOL = 0xFFFFF008, 0xFFFFF004, 0xFFFFF000


def passes(program: bytes, frame: bytes, beside: dict[int, int]) -> bool:
    """Carry a filter out as the kernel does."""
    steps = list(struct.iter_unpack("=HBBI", program))
    at = head = value = 0
    while True:
        what, yes, no, number = steps[at]
        at += 1
        match what:
            case 0x20:
                value = beside[number]
            case 0x28:
                value = int.from_bytes(frame[number : number + 2])
            case 0xB1:
                head = 4 * (frame[number] & 15)
            case 0x48:
                value = int.from_bytes(frame[head + number : head + number + 2])
            case 0x15:
                at += yes if value == number else no
            case 0x05:
                at += number
            case 0x06:
                return number > 0


@pytest.mark.parametrize(("frame", "protocol", "card", "kind", "through"), [
    (ip4(6, "10.0.0.9", "10.0.0.1"), 0x0800, 7, 0, True),
    (ip4(17, "10.0.0.9", "10.0.0.1", options=bytes(8)), 0x0800, 7, 0, True),
    (ip6(6, "fd77::9", "fd77::1"), 0x86DD, 7, 0, True),
    (ip6(6, "fd77::9", "fd77::1"), 0x86DD, 1, 0, False),  # the machine talks to itself
    (ip4(6, "10.0.0.9", "10.0.0.1"), 0x0800, 7, 4, False),  # what it sends
    (ip4(6, "10.0.0.9", "10.0.0.1", struct.pack("!HH", 443, 22)), 0x0800, 7, 0, False),
    (ip6(6, "fd77::9", "fd77::1", struct.pack("!HH", 443, 22)), 0x86DD, 7, 0, False),
    (bytes(60), 0x0806, 7, 0, False),
])  # fmt: skip
@pytest.mark.parametrize("ports", [{443}, {443, 80, 5353, 60000}])
def test_the_kernel_hands_over_what_comes_to_a_canary_port_by_a_card(
    frame: bytes, protocol: int, card: int, kind: int, through: bool, ports: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: {"lo": 1}[name])
    beside = {CARD: card, KIND: kind, PROTOCOL: protocol}
    assert passes(frames.only(frames.ARRIVING, ports), frame, beside) is through


@pytest.mark.parametrize(("card", "kind", "through"), [(7, 4, True), (7, 0, False), (1, 4, False)])
def test_the_kernel_hands_over_whatever_leaves_by_a_card(
    card: int, kind: int, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: {"lo": 1}[name])
    assert passes(frames.only(frames.OUTGOING), bytes(60), {CARD: card, KIND: kind}) is through


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
