"""Does what is meant for the library's own systems leave through the tunnel, and in no other way? Who has the tunnel's key?

Packets go to addresses of the policy's networks that nobody is likely to have; the machine's own cards are the witnesses. The
tunnel is never taken down here: for the case that it is, a packet is sent by the other card, as if there were no tunnel.
"""

from __future__ import annotations

import ipaddress
import json
import secrets

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import Place, Wire, somewhere, within

CARD, UNIT = "wg-library", "readingroom-vpn.service"
KEY, NEXT_KEY = "/etc/wireguard/readingroom.key", "/etc/wireguard/readingroom.next.key"
# A tunnel in use makes new keys every two minutes; one that is spoken to no more gives up after three.
FRESH_SECONDS = 180
PORTS = (("tcp", 6001), ("tcp", 443), ("udp", 53))
FAMILIES = pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])


@pytest.fixture
def networks(promise: Promise) -> list[str]:
    """The networks that are reached through the tunnel; without one the test ends here."""
    found: list[str] = promise.expects("vpn.networks")
    if not found:
        promise.not_applicable("the policy names no network that is reached through a tunnel")
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


@FAMILIES
@control("vpn.tunnel")
def test_the_systems_are_reached_through_the_tunnel_only(
    host: Host, promise: Promise, wire: Wire, networks: list[str], six: bool
) -> None:
    family = "IPv6" if six else "IPv4"
    somewhere_there = places(networks, six=six)
    if not somewhere_there:
        promise.not_applicable(f"the policy names no network over {family}")
    assert host.run(f"ip link show dev {CARD} up").stdout.strip(), "the tunnel is not up"
    outside = wire.departs(somewhere_there, beside=[CARD])
    left = sum(map(bool, outside))
    assert not left, f"{left} of {len(outside)} packets for the library's systems left past the tunnel ({family})"
    inside = wire.departs(somewhere_there)
    assert all(inside), (
        f"{inside.count(False) + inside.count(None)} of {len(inside)} packets found no way into the tunnel ({family})"
    )
    silent = "the gateway does not answer; it may not have admitted this machine's key"
    probe.wait_until(lambda: has_answered(host), silent, within=6.5)
    kernel = host.run("test -d /sys/module/wireguard").rc == 0
    promise.observed(
        f"{family}: {len(inside)} packets for the library's systems went into the tunnel and none past it; the gateway answers; "
        f"the tunnel is the work of {'the kernel' if kernel else 'wireguard-go'}"
    )


# When the tunnel is down


def uplinks(host: Host) -> list[str]:
    """The cards that lead out."""
    said = [json.loads(probe.run(host, f"ip -j {one} route show default") or "[]") for one in ("-4", "-6")]
    return sorted({route["dev"] for routes in said for route in routes if route.get("dev") not in (None, CARD)})


@FAMILIES
@control("vpn.kill-switch")
def test_nothing_leaves_when_the_tunnel_is_down(
    host: Host, promise: Promise, wire: Wire, networks: list[str], six: bool
) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    family, somewhere_there = "IPv6" if six else "IPv4", places(networks, six=six)
    if not somewhere_there:
        promise.not_applicable(f"the policy names no network over {family}")
    tried = 0
    for card in uplinks(host):
        allowed, *found = wire.departs([Place("tcp", somewhere(six=six), 443), *somewhere_there], by=card)
        left = sum(map(bool, found))
        assert not left, f"{left} of {len(found)} packets for the library's systems left without the tunnel ({family})"
        tried += bool(allowed)
    if not tried:
        promise.not_tested(f"not even what may leave was seen to leave over {family}, so nothing is proved")
    promise.observed(
        f"{family}: {len(somewhere_there)} packets sent as if there were no tunnel, none left; what may leave did"
    )


# The key

# Where a copy of the key would lie, or pass through.
_COPIES = """
grep -rlaF --devices=skip -f {key} \\
  /etc /root /home /run /tmp /usr/local /var/lib/readingroom /var/log /var/spool /var/tmp 2>/dev/null | grep -vxF {key} | wc -l
"""
_SAID = "journalctl -q -o cat 2>/dev/null | grep -cF -f {key} || true"
_SHOWN = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -caF -f {key} || true"


@control("vpn.keys")
@pytest.mark.usefixtures("networks")
def test_nobody_else_has_the_key(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    # a machine that is about to change its key has two
    for key in (KEY, NEXT_KEY):
        there = host.run(f"stat -c '%F %a %U' {key}")
        if there.rc and key == NEXT_KEY:
            continue
        assert there.rc == 0, "this machine has no key of its own"
        assert there.stdout.split() == ["regular", "file", "600", "root"], "others than root can get at the key"
        copies = int(probe.run(host, _COPIES.format(key=key)))
        assert copies == 0, f"{copies} other files hold the key as well"
        assert probe.run(host, _SAID.format(key=key)).strip() == "0", "the journal holds the key"
        shown = probe.run(host, _SHOWN.format(key=key)).strip()
        assert shown == "0", "a program shows the key to everybody who asks what is running"
    now = host.run(f"wg show {CARD} public-key").stdout.strip()
    if now:
        assert now == probe.run(host, f"wg pubkey <{KEY}").strip(), "the tunnel is up with another key"
    promise.observed("the key is root's alone; no other file, no line of the journal and no program shows it")


# What it writes down


@control("vpn.visit-log")
@pytest.mark.usefixtures("networks")
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
