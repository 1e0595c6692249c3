"""Does what is meant for the tunnel leave through it, and in no other way? Who has the tunnel's key?

Packets go to addresses that nobody is likely to have, in the policy's networks and on the internet; the machine's own cards are
the witnesses. The tunnel is never taken down here: for the case that it is, a packet is sent by the other card, as if there
were no tunnel.
"""

from __future__ import annotations

import ipaddress
import json
import secrets

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import Place, Wire, off_internet, somewhere, within
from tunnel_keys import OBSERVED, assert_at_work, assert_roots_alone

CARD, UNIT = "wg-library", "readingroom-vpn.service"
KEY, NEXT_KEY = "/etc/wireguard/readingroom.key", "/etc/wireguard/readingroom.next.key"
# A tunnel in use makes new keys every two minutes; one that is spoken to no more gives up after three.
FRESH_SECONDS = 180
# None of them a resolver's: what goes into the tunnel here would look to another check like a name that is looked up in the clear.
PORTS = (("tcp", 6001), ("tcp", 443), ("udp", 161))
FAMILIES = pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])


@pytest.fixture
def meant(promise: Promise) -> list[str]:
    """What is meant for the tunnel: networks, and the internet where that is browsed through it; without any the test ends here."""
    found: list[str] = promise.expects("vpn.networks")
    browsing = [f"{somewhere(six=six)}/{128 if six else 32}" for six in (False, True)]
    found = found + (browsing if promise.expects("vpn.browsing") == "tunnelled" else [])
    if not found:
        promise.not_applicable("the policy names nothing that is reached through a tunnel")
    return found


def places(networks: list[str], *, six: bool) -> list[Place]:
    """Somewhere in each network of one family."""
    return [
        Place(protocol, within(network), port)
        for network in networks
        if (ipaddress.ip_network(network).version == 6) == six
        for protocol, port in (*PORTS, ("udp", secrets.randbelow(20000) + 30000))
    ]


# Through the tunnel


def has_answered(host: Host) -> bool:
    """Has the gateway proved who it is, lately?"""
    said = host.run(f"wg show {CARD} latest-handshakes && date +%s").stdout.split()
    times = [int(one) for one in said[1::2]]
    return bool(times) and int(said[-1]) - max(times) < FRESH_SECONDS


def assert_through(
    host: Host, promise: Promise, wire: Wire, *, may: list[Place], all_of: list[Place], what: str
) -> None:
    """Of `all_of` nothing goes past the tunnel; what `may` leave goes in, and the gateway answers."""
    family = "IPv6" if all_of[0].six else "IPv4"
    assert host.run(f"ip link show dev {CARD} up").stdout.strip(), "the tunnel is not up"
    outside = wire.departs(all_of, beside=[CARD])
    left = sum(map(bool, outside))
    assert not left, f"{left} of {len(outside)} packets for {what} left past the tunnel ({family})"
    lost = len(may) - sum(map(bool, wire.departs(may)))
    assert not lost, f"{lost} of {len(may)} packets for {what} found no way into the tunnel ({family})"
    silent = "the gateway does not answer; it may not have admitted this machine's key"
    probe.wait_until(lambda: has_answered(host), silent, within=6.5)
    kernel = host.run("test -d /sys/module/wireguard").rc == 0
    promise.observed(
        f"{family}: {len(may)} packets for {what} went into the tunnel, and of {len(all_of)} none past it; the gateway answers; "
        f"the tunnel is the work of {'the kernel' if kernel else 'wireguard-go'}"
    )


@FAMILIES
@control("vpn.tunnel")
def test_the_systems_are_reached_through_the_tunnel_only(host: Host, promise: Promise, wire: Wire, six: bool) -> None:
    if not promise.value:
        promise.not_applicable("the policy names no network that is reached through a tunnel")
    there = places(promise.value, six=six)
    if not there:
        promise.not_applicable(f"the policy names no network over {'IPv6' if six else 'IPv4'}")
    assert_through(host, promise, wire, may=there, all_of=there, what="the library's systems")


@FAMILIES
@control("vpn.browsing")
def test_what_is_browsed_leaves_through_the_tunnel_only(host: Host, promise: Promise, wire: Wire, six: bool) -> None:
    if promise.value == "direct":
        promise.observed(NOTHING)
        return
    there = [Place(protocol, somewhere(six=six), port) for protocol, port in (*PORTS, ("tcp", 80), ("udp", 443))]
    inside = any((":" in one) == six for one in promise.expects("vpn.addresses"))
    may = [one for one in there if inside and (one.protocol, one.port) in may_leave(promise)]
    assert_through(host, promise, wire, may=may, all_of=there, what="the internet")


def may_leave(promise: Promise) -> list[tuple[str, int]]:
    """What the web needs, as far as the policy lets it out."""
    web = [("tcp", 443), ("tcp", 80), ("udp", 443)]
    listed = promise.expects("network.outgoing_ports")
    everything = promise.kind != "public" or promise.expects("network.outgoing") == "any"
    return [one for one in web if everything or f"{one[0]}/{one[1]}" in listed]


# When the tunnel is down


def uplinks(host: Host) -> list[str]:
    """The cards that lead out."""
    said = [json.loads(probe.run(host, f"ip -j {one} route show default") or "[]") for one in ("-4", "-6")]
    return sorted({route["dev"] for routes in said for route in routes if route.get("dev") not in (None, CARD)})


@FAMILIES
@control("vpn.kill-switch")
def test_nothing_leaves_when_the_tunnel_is_down(
    host: Host, promise: Promise, wire: Wire, meant: list[str], six: bool
) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    family, there = "IPv6" if six else "IPv4", places(meant, six=six)
    if not there:
        promise.not_applicable(f"the policy names no network over {family}")
    departed: list[bool | None] = [None] * (1 + len(there))
    for card in uplinks(host):
        found = wire.departs([Place("tcp", off_internet(six=six), 443), *there], by=card)
        departed = [one or other for one, other in zip(departed, found, strict=True)]
    probe.none_left(promise, departed, "packets, sent as if there were no tunnel,", family)


# The key


@control("vpn.keys")
@pytest.mark.usefixtures("meant")
def test_nobody_else_has_the_key(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    # a machine that is about to change its key has two
    for key in (KEY, *([NEXT_KEY] if host.run(f"test -e {NEXT_KEY}").rc == 0 else [])):
        assert_roots_alone(host, key)
    assert_at_work(host, CARD, KEY)
    promise.observed(OBSERVED)


# What it writes down


@control("vpn.visit-log")
@pytest.mark.usefixtures("meant")
def test_nothing_is_written_down(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    talks = int(
        probe.run(host, "grep -c 'wireguard.*=p' /sys/kernel/debug/dynamic_debug/control 2>/dev/null || true") or 0
    )
    assert talks == 0, "the kernel writes down what the tunnel does"
    # since it was started: it spoke to the gateway then, and keeps the line open ever since
    lines = probe.run(
        host,
        "journalctl --sync 2>/dev/null || true\n"
        f"i=$(systemctl show -p InvocationID --value {UNIT})\n"
        "{ journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$i; dmesg 2>/dev/null | grep 'wireguard: ' | tail -5; } "
        r"| grep -ciE 'peer\(|handshake|keepalive|endpoint' || true",
    )
    assert lines.strip() == "0", f"{lines.strip()} lines tell what the tunnel did since it was started"
    used = "the gateway has answered" if has_answered(host) else "the gateway has not answered"
    promise.observed(f"{used}, and no line of the journal tells what the tunnel did since it was started")
