"""What really comes in and goes out? Every connection here is tried, and the machine's own network card is the witness.

Going out leads to addresses that belong to nobody, or to some address of a network that is closed. Coming in is tried from
where our own connections come from and from other machines of the site. Evidence holds counts, never an address.
"""

from __future__ import annotations

import ipaddress
import secrets
import shlex

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import COMMON, Knocked, Place, Wire, off_internet, somewhere, within

UNIT, TABLE = "readingroom-firewall.service", "inet readingroom"
FAMILIES = pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])


def name_of(*, six: bool) -> str:
    return "IPv6" if six else "IPv4"


def listed(promise: Promise, key: str, protocol: str) -> set[int]:
    """The ports of one protocol that the policy lists under `key`."""
    return {int(one.partition("/")[2]) for one in promise.expects(key) if one.startswith(f"{protocol}/")}


def administers(promise: Promise, address: str) -> bool:
    """Does the policy name the network of this address as one to administer from?"""
    networks = promise.expects("network.administered_from")
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in networks)


# What may come in


@pytest.fixture(scope="module")
def knocks(host: Host, wire: Wire, expects) -> list[Knocked]:  # type: ignore[no-untyped-def]
    """What came of knocking from where we come, and from the first other place that gets as far as the card."""
    found: list[Knocked] = []
    named = wire.named_ports() | {int(one.partition("/")[2]) for one in expects("network.incoming_ports")}
    families = {":" in address for address in wire.addresses()}
    for one in wire.knocked(named):
        found.append(one)
        if {":" in source for other in found if not other.ours for source in other.arrived} >= families:
            break
    return found


def arrived(wire: Wire, promise: Promise, knocks: list[Knocked], *, six: bool) -> list[Knocked]:
    """Those who got as far as the card, over one of the protocols."""
    if not any((":" in address) == six for address in wire.addresses()):
        promise.not_applicable(f"this machine has no {name_of(six=six)} address")
    seen = [one for one in knocks if one.sources(six=six)]
    if not seen:
        promise.not_tested(f"no other computer that we may use gets as far as this machine over {name_of(six=six)}")
    return seen


@FAMILIES
@control("network.incoming")
def test_nothing_gets_in_but_what_is_listed(
    host: Host, promise: Promise, wire: Wire, knocks: list[Knocked], six: bool
) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    ssh = {int(line.split()[1]) for line in probe.run(host, "sshd -T").splitlines() if line.startswith("port ")}
    for one in arrived(wire, promise, knocks, six=six):
        ours = one.ours or all(administers(promise, source) for source in one.sources(six=six))
        allowed = listed(promise, "network.incoming_ports", "tcp") | (ssh if ours else set())
        through = {
            port for address, ports in one.answered.items() if (":" in address) == six for port in ports
        } - allowed
        who = "where we come from" if one.ours else "a stranger's place"
        assert not through, f"{len(through)} ports that nobody listed answer over {name_of(six=six)}, tried from {who}"
        heard = {door[:3] for door in one.heard if door.endswith("6" if six else "4")}
        assert not heard, f"a program heard what was sent to it over {name_of(six=six)} ({', '.join(sorted(heard))})"
        promise.observed(
            f"{name_of(six=six)}: knocked from {who}; nothing answers and nothing is heard that is not listed"
        )


@control("network.incoming")
def test_somebody_who_does_not_administer_was_asked(promise: Promise, knocks: list[Knocked]) -> None:
    if promise.value == "any":
        return
    if all(one.ours for one in knocks):
        promise.not_tested("only the address that we come from was tried: no other machine of the site gets this far")


# Other machines in the room


@FAMILIES
@control("network.peers")
def test_nobody_nearby_gets_in(promise: Promise, wire: Wire, knocks: list[Knocked], six: bool) -> None:
    if promise.value == "reachable":
        promise.observed(NOTHING)
        return
    ports = listed(promise, "network.incoming_ports", "tcp")
    if not ports:
        promise.observed("the policy lets nobody in, so nobody nearby either")
        return
    room = wire.neighbourhoods()
    near = [
        one
        for one in arrived(wire, promise, knocks, six=six)
        if any(ipaddress.ip_address(source) in network for source in one.sources(six=six) for network in room)
    ]
    if not near:
        promise.not_tested(f"no computer that we may use is on the same network ({name_of(six=six)})")
    for one in near:
        through = {port for address, found in one.answered.items() if (":" in address) == six for port in found} & ports
        assert not through, (
            f"{len(through)} ports that are open to others are open to the same network ({name_of(six=six)})"
        )
    promise.observed(f"{name_of(six=six)}: what is open to others stays closed to the same network")


@FAMILIES
@control("network.peers")
def test_it_reaches_nobody_nearby(promise: Promise, wire: Wire, six: bool) -> None:
    if promise.value == "reachable":
        promise.observed(NOTHING)
        return
    room = [network for network in wire.neighbourhoods() if (network.version == 6) == six and network.num_addresses > 8]
    if not room:
        promise.not_applicable(f"nobody is on the same network over {name_of(six=six)}")
    places = [
        Place(protocol, within(network), port)
        for network in room
        for protocol, port in (("tcp", 443), ("tcp", 631), ("tcp", secrets.randbelow(20000) + 30000), ("udp", 5353))
    ]
    _nothing_leaves(promise, wire, places, "for the same network", six=six)


# What may go out


def _allowed(promise: Promise, *, six: bool) -> Place:
    """Something that may leave, to see that anything does."""
    ports = (
        sorted(listed(promise, "network.outgoing_ports", "tcp") - {53, 853})  # those have a promise of their own
        if promise.expects("network.outgoing") == "listed"
        else [443]
    )
    if not ports:
        promise.not_tested("the policy lets nothing out, so it cannot be seen whether anything gets as far as the card")
    return Place("tcp", off_internet(six=six), ports[-1])


def _nothing_leaves(promise: Promise, wire: Wire, places: list[Place], what: str, *, six: bool) -> None:
    departed = wire.departs([_allowed(promise, six=six), *places])
    probe.none_left(promise, departed, f"connections {what}", name_of(six=six))


@FAMILIES
@control("network.outgoing")
def test_nothing_leaves_but_what_is_listed(promise: Promise, wire: Wire, six: bool) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    some = {*wire.named_ports(), *COMMON, secrets.randbelow(20000) + 30000}
    places = [
        Place(protocol, somewhere(six=six), port)
        for protocol in ("tcp", "udp")
        for port in sorted(some - listed(promise, "network.outgoing_ports", protocol) - {53, 853})
    ]
    _nothing_leaves(promise, wire, places, "that nobody listed", six=six)


@FAMILIES
@control("network.closed-networks")
def test_nothing_leaves_for_a_closed_network(promise: Promise, wire: Wire, six: bool) -> None:
    closed = [one for one in promise.value if (":" in one) == six]
    if not promise.value:
        promise.observed("the policy names no closed network")
        return
    if not closed:
        promise.not_applicable(f"the policy closes no network over {name_of(six=six)}")
    open_ = listed(promise, "network.outgoing_ports", "tcp")
    places = [Place("tcp", within(one), port) for one in closed for port in sorted({22, 443, 6001, *open_})]
    places += [Place("udp", within(one), port) for one in closed for port in (53, 443)]
    _nothing_leaves(promise, wire, places, "for closed networks", six=six)


# What the firewall writes down

# Words of a rule that keeps an address or hands a packet on, and the sets that rules fill by themselves.
_KEEPS = """
import json, subprocess
said = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True)
kept = 0
def words(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from words(inner)
        if value.get("type") == "target" and value.get("name") in ("LOG", "NFLOG", "ULOG", "TRACE", "SET", "TEE", "NFQUEUE"):
            yield "log"
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
for item in json.loads(said.stdout or "{}").get("nftables", []):
    rule = item.get("rule", {})
    done = [one for one in rule.get("expr", ()) if "match" not in one]
    kept += bool({"log", "dup", "queue", "set", "map", "meter"} & set(words(done)))
    kept += "nftrace" in json.dumps(rule)
print(kept)
"""


@control("network.visit-log")
def test_no_rule_notes_who_went_where(host: Host, promise: Promise, wire: Wire) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    kept = int(probe.run(host, f"python3 -IBS -c {shlex.quote(_KEEPS)}"))
    assert kept == 0, f"{kept} rules note addresses, or hand packets to a program that may"
    places = [Place("tcp", somewhere(six=six), port) for six in (False, True) for port in (443, 6667)]
    wire.departs(places)
    names = "|".join(place.address.replace(".", r"\.") for place in places)
    word = shlex.quote(rf"(^|[^0-9a-f.:])({names})([^0-9a-f.:]|$)")
    found = probe.run(
        host,
        "journalctl --sync 2>/dev/null || true\n"
        f"{{ journalctl -q --since -1min -o cat; dmesg 2>/dev/null; nft list ruleset; }} | grep -cE {word} || true",
    )
    assert found.strip() == "0", f"{found.strip()} lines of logs or rules hold an address that was just visited"
    promise.observed(
        f"{len(places)} visits tried, allowed and refused: no rule notes them, no log and no list of rules holds one"
    )


@control("network.visit-log")
def test_not_even_a_number_is_kept(host: Host, promise: Promise) -> None:
    if promise.value != "nothing":
        return
    counters = probe.run(host, f"nft list table {TABLE} 2>/dev/null | grep -c counter || true").strip()
    assert counters == "0", f"{counters} rules count what they stop"
    promise.observed("nothing is counted")


# From the first moment on

# What the unit brings to work when the machine starts, tried in two networks of our own: one stands for the machine, the
# other for somebody who knocks, before the rules and with them.
_AT_BOOT = r"""
import re, socket, subprocess, sys, time
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True).returncode == 0
load = re.search(r"argv\[\]=([^;]*) ;", sys.argv[1])
if not load:
    sys.exit(print("nothing"))
other = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
other.stdout.readline()
inside = ["nsenter", "--net=/proc/%d/ns/net" % other.pid]
door = socket.socket()
door.bind(("", 0))
door.listen()
knock = "import socket,sys; socket.create_connection(('198.18.0.1', int(sys.argv[1])), 1.5)"
def open_():
    return run(*inside, "python3", "-IBS", "-c", knock, str(door.getsockname()[1]))
try:
    ready = run("ip", "link", "add", "rrcheck0", "type", "veth", "peer", "name", "rrcheck1", "netns", str(other.pid)) and all(
        run(*into, "ip", *words.split())
        for into, name, end in (([], "rrcheck0", 1), (inside, "rrcheck1", 2))
        for words in ("addr add 198.18.0.%d/30 dev %s" % (end, name), "link set %s up" % name)
    )
    if not ready or not open_():
        print("untried")
    elif not run("sh", "-c", load[1]):
        print("broken")
    else:
        print("open" if open_() else "closed")
finally:
    other.kill()
"""
_SAID = {
    "nothing": "nothing would load the rules at boot",
    "broken": "the rules that would be loaded at boot cannot be loaded",
    "open": "after a restart the machine would be open to everybody",
}


@control("network.at-boot")
def test_the_rules_come_before_the_network(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    enabled = host.run(f"systemctl is-enabled {UNIT}").stdout.strip()
    assert enabled == "enabled", "nothing loads the rules when the machine starts"
    after = set(probe.run(host, f"systemctl show -p After --value {UNIT}").split())
    before = set(probe.run(host, f"systemctl show -p Before --value {UNIT}").split())
    late = after & {"network-pre.target", "network.target", "network-online.target", "NetworkManager.service",
                    "networking.service", "systemd-networkd.service", "basic.target", "multi-user.target"}  # fmt: skip
    assert "network-pre.target" in before, "nothing makes the network wait for the rules"
    assert not late, "the rules wait for the network"
    load = probe.run(host, f"systemctl show -p ExecStart --value {UNIT}").strip()
    found = probe.run(host, f"unshare --net python3 -IBS -c {shlex.quote(_AT_BOOT)} {shlex.quote(load)}").strip()
    if found == "untried":
        promise.not_tested("a network to try the rules of the next start in could not be made")
    if promise.expects("network.incoming") == "any":
        assert found not in ("nothing", "broken"), _SAID[found]
        promise.observed("the rules of the next start can be loaded")
        return
    assert found == "closed", _SAID[found]
    promise.observed(
        "the rules are loaded before the network; tried in a network of their own, they shut out who knocks"
    )


# Programs that answer the network

# The print service has a promise of its own about who may reach it: print.network-access.
PRINTING = {"tcp/631"}
# Sockets that others could reach, without those of checks that run at this moment, and those that only ever go out.
_LISTENING = r"""
ss -Hlntup | while read -r net state rq sq local peer who; do
  address=${local%:*}; port=${local##*:}
  case $address in 127.*|'[::1]'|*%lo) continue;; esac
  case $net/$port in udp/68|udp/546) continue;; esac
  for pid in $(echo "$who" | grep -o 'pid=[0-9]*' | cut -d= -f2); do
    if tr '\0' ' ' </proc/$pid/cmdline | grep -q rrcheck || ps -o user:64= -p $pid | grep -q '^rrcheck'; then continue 2; fi
  done
  echo "$net/$port"
done | sort -u
"""


@control("network.services")
def test_no_program_answers_the_network_but_listed_ones(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    ssh = {f"tcp/{line.split()[1]}" for line in probe.run(host, "sshd -T").splitlines() if line.startswith("port ")}
    found = set(probe.run(host, _LISTENING).split())
    # the tunnel's program hears everybody, and answers only whom it knows by key
    tunnel = {f"udp/{port}" for port in host.run("wg show all listen-port").stdout.split()[1::2]}
    more = found - ssh - tunnel - PRINTING - set(promise.expects("network.incoming_ports"))
    assert not more, f"{len(more)} ports are listened on that nobody listed: {', '.join(sorted(more))}"
    promise.observed(f"programs listen to the network on {len(found)} ports, all of them listed")
