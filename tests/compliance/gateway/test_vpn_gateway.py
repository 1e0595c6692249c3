"""Whom does the gateway's tunnel admit, what do members reach through it, what does it write down, and who has its key?

Whom it admits is asked of WireGuard itself. That a stranger is not, and what members reach, is tried with copies of what is at
work, in networks of the check's own: on a gateway in use nobody is let in for a check, and no member notices it.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import off_internet, somewhere, within
from tunnel_keys import OBSERVED, assert_at_work, assert_roots_alone

CARD, INTERNET = "wg-members", "internet"
KEY = f"/etc/wireguard/{CARD}.key"
UNITS = ("readingroom-vpn-gateway-rules.service", "readingroom-vpn-gateway.service")
ON_MACHINE = Path(__file__).parent / "on_machine"


@pytest.fixture
def tunnel(host: Host, promise: Promise) -> list[str]:
    """The gateway's own addresses in the tunnel; without one the test ends here."""
    found: list[str] = promise.expects("vpn.gateway_addresses")
    if not found:
        promise.not_applicable("the policy gives this machine no address in a tunnel for members")
    return found


def assert_up(host: Host) -> None:
    """Without a tunnel nothing else can be seen."""
    assert host.run(f"ip link show dev {CARD} up").stdout.strip(), "the tunnel is not up"


def program(name: str) -> str:
    """The command that runs one of the programs for machines."""
    return f"python3 -IBS -c {shlex.quote((ON_MACHINE / f'{name}.py').read_text(encoding='utf-8'))}"


# Who is admitted


def admitted(host: Host) -> dict[str, set[str]]:
    """The keys that WireGuard admits, with their addresses."""
    lines = [line.split("\t") for line in probe.run(host, f"wg show {CARD} allowed-ips").splitlines()]
    return {key: set(addresses.split()) - {"(none)"} for key, addresses in lines}


def keys_of(member: dict[str, Any]) -> list[str]:
    """The keys that a member has."""
    return [member[word] for word in ("public_key", "next_key") if word in member]


def spans(addresses: Iterable[str]) -> set[str]:
    """Addresses as WireGuard writes them."""
    return {str(ipaddress.ip_network(one)) for one in addresses}


@control("vpn.members")
def test_nobody_but_the_members_is_admitted(host: Host, promise: Promise, tunnel: list[str]) -> None:
    assert_up(host)
    members: list[dict[str, Any]] = promise.expects("vpn.members")
    listed = {key for member in members for key in keys_of(member)}
    found = admitted(host)
    strangers = len(found.keys() - listed)
    assert not strangers, f"{strangers} keys are admitted that the policy does not list"
    missing = len(listed - found.keys())
    assert not missing, f"{missing} keys that the policy lists are not admitted"
    for member in members:
        held = [found[key] for key in keys_of(member) if found[key]]
        assert held == [spans(member["addresses"])], (
            "a member has not the addresses that the policy gives it, and no other"
        )
    port = probe.run(host, f"wg show {CARD} listen-port").strip()
    assert port == promise.expects("vpn.port").partition("/")[2], "the tunnel listens at another port than the policy's"
    enabled = [host.run(f"systemctl is-enabled {unit}").stdout.strip() for unit in UNITS]
    assert enabled == ["enabled"] * len(UNITS), "the tunnel does not come up with the machine"
    alone = "unshare --net --mount --propagation private"
    seen = json.loads(probe.run(host, f"wg showconf {CARD} | {alone} {program('admits')}"))
    if not seen["known"]:
        promise.not_tested("not even a key that was admitted for the check got an answer, so nothing is proved")
    assert not seen["stranger"], "a stranger got a handshake"
    kernel = host.run("test -d /sys/module/wireguard").rc == 0
    promise.observed(
        f"{len(found)} keys of {len(members)} members are admitted, each member with its own addresses; a stranger got no answer; "
        f"the tunnel is the work of {'the kernel' if kernel else 'wireguard-go'}"
    )


# What members reach


def senders(members: list[dict[str, Any]], tunnel: list[str]) -> dict[str, list[str]]:
    """Addresses that members have, by family; where there is none yet, some that they could have."""
    found: dict[str, list[str]] = {"4": [], "6": []}
    for text in [one for member in members for one in member["addresses"]]:
        found["6" if ":" in text else "4"].append(str(ipaddress.ip_network(text)[0]))
    for text in tunnel:
        found["6" if ":" in text else "4"].append(within(ipaddress.ip_interface(text).network))
    return found


@control("vpn.members-apart")
def test_members_reach_the_systems_and_nothing_else(host: Host, promise: Promise, tunnel: list[str]) -> None:
    assert_up(host)
    public, networks = INTERNET in promise.value, [one for one in promise.value if one != INTERNET]
    have = senders(promise.expects("vpn.members"), tunnel)
    families = [family for family, addresses in have.items() if addresses]
    said = [json.loads(probe.run(host, f"ip -j {one} route show default") or "[]") for one in ("-4", "-6")]
    ways = [route["dev"] for routes in said for route in routes if route.get("dev") not in (None, CARD)]
    live = json.loads(probe.run(host, "ip -j link show"))
    forward = [probe.run(host, f"cat /proc/sys/net/{one} 2>/dev/null || echo 0").strip()
               for one in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]  # fmt: skip
    asked = {
        "rules": probe.run(host, "nft -s list ruleset"),
        "cards": [one["ifname"] for one in live if one["ifname"] not in ("lo", CARD)],
        "uplink": ways[0] if ways else "rrcheck0", "own": tunnel, "forward": dict(zip("46", forward, strict=True)),
        "from": {family: have[family][0] for family in families},
        "to": {
            "systems": [within(one) for one in networks] + [somewhere(six=one == "6") for one in families if public],
            "members": [have[family][-1] for family in families],
            "elsewhere": [(off_internet if public else somewhere)(six=one == "6") for one in families],
        },
    }  # fmt: skip
    command = f"printf %s {shlex.quote(json.dumps(asked))} | unshare --net {program('passes')}"
    seen: dict[str, list[tuple[str, bool]]] = json.loads(probe.run(host, command))
    for what, words in {
        "members": "another member",
        "elsewhere": "somewhere else",
        "gateway": "the gateway itself",
    }.items():
        through = sum(bool(where) for where, _ in seen[what])
        assert not through, f"{through} of {len(seen[what])} packets of a member got through to {words}"
    wanted = len(asked["to"]["systems"])
    reached = sum(where == "out" for where, _ in seen["systems"])
    assert reached == wanted, f"{wanted - reached} of {wanted} networks of the policy are not reached"
    answered = sum(back for _, back in seen["systems"])
    assert answered == wanted, f"answers from {wanted - answered} of {wanted} networks do not come back"
    tried = sum(len(seen[what]) for what in ("members", "elsewhere", "gateway"))
    promise.observed(
        f"{wanted} networks answered a member; {tried} packets to other members, elsewhere and the gateway itself did "
        "not get through"
    )


# What it writes down


@control("vpn.gateway-log")
@pytest.mark.usefixtures("tunnel")
def test_the_gateway_writes_nothing_down(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    assert_up(host)
    switched = "grep -c 'wireguard.*=p' /sys/kernel/debug/dynamic_debug/control 2>/dev/null || true"
    assert int(probe.run(host, switched) or 0) == 0, "the kernel writes down what the tunnel does"
    # who works for the tunnel says what it is told to say in its environment
    words = probe.run(
        host,
        f"for p in $(cat /sys/fs/cgroup/system.slice/{UNITS[1]}/cgroup.procs /sys/fs/cgroup/systemd/system.slice/{UNITS[1]}"
        "/cgroup.procs 2>/dev/null | sort -u); do tr '\\0' '\\n' </proc/$p/environ | grep ^LOG_LEVEL= || echo unsaid; done",
    ).split()
    assert words, "nobody works for the tunnel"
    assert set(words) == {"LOG_LEVEL=silent"}, "the tunnel's program is told to write down what it does"
    lines = probe.run(
        host,
        "journalctl --sync 2>/dev/null || true\n"
        f"i=$(systemctl show -p InvocationID --value {UNITS[1]})\n"
        "{ journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$i; dmesg 2>/dev/null | grep 'wireguard: ' | tail -5; } "
        r"| grep -ciE 'peer\(|handshake|keepalive|endpoint' || true",
    ).strip()
    assert lines == "0", f"{lines} lines tell what the tunnel did since it was started"
    heard = probe.run(host, f"wg show {CARD} latest-handshakes | grep -cvE '\\b0$' || true").strip()
    used = "members were connected" if heard != "0" else "no member was connected"
    promise.observed(f"{used} since the tunnel was started, and no line of the journal tells of it")


# The key


@control("vpn.gateway-key")
@pytest.mark.usefixtures("tunnel")
def test_nobody_else_has_the_key(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    assert_roots_alone(host, KEY)
    assert_at_work(host, CARD, KEY)
    promise.observed(OBSERVED)
