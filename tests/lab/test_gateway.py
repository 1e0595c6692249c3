"""A consortium sets up its end of the tunnel: who gets in, what members reach, and a change of keys that nobody notices.

The gateway and a member's desk are live machines; another member and a stranger knock from the lab's visitor. The library
system behind the gateway is the lab's, and is reached by other ways as well: so every test looks at who asked it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import Checkout, eventually, fresh_lab
from readingroom import sip2, toolkit
from readingroom.controls.checks import Scenario, break_scenarios
from readingroom.lab import consortium, network
from readingroom.verify import Evidence

pytestmark = pytest.mark.lab
GATEWAY, DESK = "gateway-1", "staff-1"
GATEWAY_ADDRESS, GATEWAY_ADDRESS6 = "10.77.0.15", "fd77::15"
SYSTEM, SYSTEM6 = consortium.LIBRARY_SYSTEM, consortium.LIBRARY_SYSTEM6
DESK_ADDRESSES, OTHER_ADDRESSES = ["10.89.0.12/32", "fd89::12/128"], ["10.89.0.21/32", "fd89::21/128"]
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
ALL = [one for one in break_scenarios(toolkit.root() / "tests" / "breaks") if one.role == "vpn_gateway"]
# As in test_breaks.py: the first of each promise, or all of them.
FIRST = {scenario.control: scenario for scenario in reversed(ALL)}
SCENARIOS = ALL if os.environ.get("READINGROOM_BREAKS", "first") != "first" else list(FIRST.values())


@dataclass
class Yard(Checkout):
    """A gateway and a desk, and the checkout of those who look after both."""

    members: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    leads_to: list[str] = field(default_factory=lambda: [consortium.SYSTEMS, consortium.SYSTEMS6])

    def harden(self, machine: str, engine: str = "pyinfra", status: int = 0) -> str:
        """Harden one of the two; of the desk the tunnel."""
        roles = ["--role", "vpn"] if machine == DESK else []
        return self.readingroom("harden", "elm", "--limit", machine, "--engine", engine, *roles, status=status)

    def write(self, **desk: str) -> None:
        """Write the policy: the members so far, and what the desk's says of its tunnel."""
        policy = yaml.load((self.home / "policies" / "lab.yml").read_text(), yaml.BaseLoader)  # noqa: S506 (texts as written)
        gateways = [{"endpoint": f"{GATEWAY_ADDRESS}:51820", "public_key": self.keys.get("gateway", "A" * 43 + "=")}]
        policy["staff"]["vpn"] |= {"gateways": gateways, **desk}
        policy["gateway"] = {
            "vpn": {
                "gateway_addresses": ["10.89.0.1/24", "fd89::1/64"],
                "member_networks": self.leads_to,
                "members": self.members,
            }
        }
        self.policy_file.write_text(yaml.safe_dump(policy))


def page(address: str) -> str:
    """The shell line that asks the library system who it is asked by."""
    host = f"[{address}]" if ":" in address else address
    ask = f"import urllib.request as u; print(u.urlopen('http://{host}/', timeout=4).read().decode().split()[-1])"
    return f'python3 -c "{ask}" 2>/dev/null || echo nobody'


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with fresh_lab("gateway", [GATEWAY, DESK]) as lab:
        made = Yard(lab, tmp_path_factory.mktemp("consortium"))
        made.furnish({DESK: "staff", GATEWAY: "gateway"})
        made.write()
        yield made


@dataclass(frozen=True)
class Caller:
    """Somebody at the lab's visitor, with a key and addresses of their own."""

    pid: int
    public_key: str
    card: str = "rr-caller"

    def run(self, *argv: str, said: str = "", check: bool = True) -> str:
        """Run something there."""
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", *argv]
        return subprocess.run(enter, input=said, capture_output=True, text=True, check=check).stdout.strip()

    def is_heard(self) -> bool:
        """Has the gateway answered?"""
        return self.run("wg", "show", self.card, "latest-handshakes").split()[-1] != "0"

    def asks(self, address: str) -> str:
        """Ask the library system who asks."""
        return self.run("sh", "-c", page(address))


@contextlib.contextmanager
def caller(yard: Yard, addresses: list[str]) -> Iterator[Caller]:
    """Somebody who would like to get in, from the place where patrons' own machines are."""
    start = (
        "mkdir -p /run/wireguard && mount -t tmpfs -o mode=0700 wireguard /run/wireguard && "
        "{ ip link add rr-caller type wireguard 2>/dev/null || LOG_LEVEL=silent wireguard-go rr-caller; } && "
        "echo up && exec sleep infinity"
    )
    enter = [
        "nsenter",
        f"--net={network.NAMESPACES / yard.lab.places.visitor}",
        "unshare",
        "--mount",
        "sh",
        "-c",
        start,
    ]
    holder = subprocess.Popen(enter, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "up\n"
        key = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
        public = subprocess.run(["wg", "pubkey"], input=key, capture_output=True, text=True, check=True).stdout.strip()
        found = Caller(holder.pid, public)
        found.run("wg", "set", found.card, "private-key", "/dev/stdin", "peer", yard.keys["gateway"], "endpoint",
                  f"{GATEWAY_ADDRESS}:51820", "persistent-keepalive", "1", "allowed-ips", "0.0.0.0/0,::/0", said=key)  # fmt: skip
        for one in addresses:
            found.run("ip", "address", "add", one, "dev", found.card)
        found.run("ip", "link", "set", found.card, "up")
        for one in (consortium.SYSTEMS, consortium.SYSTEMS6, consortium.TUNNEL, consortium.TUNNEL6, "192.0.2.0/24"):
            found.run("ip", "route", "add", one, "dev", found.card)
        yield found
        found.run("ip", "link", "delete", found.card)
    finally:
        holder.kill()
        holder.wait()


def test_one_run_sets_a_gateway_up_and_tells_its_key(yard: Yard) -> None:
    said = yard.harden(GATEWAY)
    assert "4 of 4 promises kept" in said
    found = re.search(r"The gateway's public key: (\S+)", said)
    assert found, said
    yard.keys["gateway"] = found[1]
    assert "wireguard-go" in said or "the work of the kernel" in said


def test_a_desk_points_its_tunnel_there_and_is_not_let_in_before_it_is_listed(yard: Yard) -> None:
    yard.write()
    said = yard.harden(DESK, status=1)
    assert "the gateway does not answer" in said
    found = re.search(r"It has to admit its public key: (\S+) for", said)
    assert found, said
    yard.keys["desk"] = found[1]
    assert yard.run(DESK, page(SYSTEM)) == "nobody"


def test_a_listed_member_reaches_the_library_system_through_the_gateway(yard: Yard) -> None:
    yard.members.append({"name": "elm-desk-1", "public_key": yard.keys["desk"], "addresses": DESK_ADDRESSES})
    yard.write()
    assert "4 of 4 promises kept" in yard.harden(GATEWAY, "ansible")
    eventually(lambda: yard.run(DESK, page(SYSTEM)) != "nobody", "the member does not reach the library system")
    # the desk's own addresses would show that it went another way
    assert yard.run(DESK, page(SYSTEM)) == GATEWAY_ADDRESS
    assert yard.run(DESK, page(SYSTEM6)) == GATEWAY_ADDRESS6
    said = yard.readingroom("verify", "elm", "--limit", DESK, "--role", "vpn", status=None)
    assert re.search(r"kept +vpn.tunnel", said), said


# Somebody at a self-check station who never stops: asks for the library system's state, ten times a second.
TALK = """
import json, signal, socket, sys, time
sys.path.insert(0, "/run")
from sip2 import Message
said = {"answers": 0, "longest": 0.0, "ended": ""}
def end(*_):
    print(json.dumps(said))
    sys.exit()
signal.signal(signal.SIGTERM, end)
station = socket.create_connection((sys.argv[1], 6001), 5)
station.settimeout(60)
def ask(code, fixed, fields, number):
    station.sendall(Message(code, fixed, fields, number).encode())
    got = b""
    while not got.endswith(b"\\r"):
        more = station.recv(4096)
        if not more:
            raise OSError("nobody is there any more")
        got += more
try:
    ask("93", "00", {"CN": "selfcheck-1", "CO": "long-enough-secret"}, 0)
    number, last = 1, time.monotonic()
    while True:
        ask("99", "00302.00", {}, number % 10)
        now = time.monotonic()
        said["answers"] += 1
        said["longest"] = max(said["longest"], now - last)
        last, number = now, number + 1
        time.sleep(0.1)
except OSError as error:
    said["ended"] = str(error) or "ended"
    end()
"""


@contextlib.contextmanager
def talking(yard: Yard, address: str) -> Iterator[dict[str, Any]]:
    """One connection of the desk to the library system, in use while the block runs; afterwards, how it fared."""
    yard.lab.exec(DESK, ["tee", "/run/sip2.py"], input=Path(sip2.__file__).read_text())
    yard.lab.exec(DESK, ["tee", "/run/talk.py"], input=TALK)
    said = f"/run/talk-{address}.said"
    pid = yard.run(DESK, f"setsid python3 /run/talk.py {address} >{said} 2>&1 </dev/null & echo $!")
    found: dict[str, Any] = {}
    yield found
    yard.run(DESK, f"sleep 1; kill {pid}; sleep 0.5", check=False)
    found.update(json.loads(yard.run(DESK, f"cat {said}")))


def test_members_come_and_go_and_the_others_do_not_notice(yard: Yard) -> None:
    with talking(yard, SYSTEM) as fared, caller(yard, OTHER_ADDRESSES) as other:
        time.sleep(6)
        assert not other.is_heard(), "a stranger was admitted"
        assert other.asks(SYSTEM) == "nobody"
        yard.members.append({"name": "oak-desk-1", "public_key": other.public_key, "addresses": OTHER_ADDRESSES})
        yard.write()
        assert "4 of 4 promises kept" in yard.harden(GATEWAY)
        eventually(other.is_heard, "the new member is not admitted")
        assert other.asks(SYSTEM) == GATEWAY_ADDRESS
        assert other.asks(SYSTEM6) == GATEWAY_ADDRESS6
        apart(yard, other)
        yard.members.pop()
        yard.write()
        yard.harden(GATEWAY)
        assert other.asks(SYSTEM) == "nobody", "a member that was taken out still gets through"
    assert fared["ended"] == ""
    assert fared["answers"] > 20
    assert fared["longest"] < 4, f"the other member was without an answer for {fared['longest']:.1f} s"


def apart(yard: Yard, other: Caller) -> None:
    """Two members cannot reach each other, nor the gateway, nor anything else."""
    for address in ("10.89.0.12", "fd89::12"):
        assert subprocess.run(["nsenter", "--target", str(other.pid), "--net", "ping", "-c", "2", "-i", "0.3", "-W", "1", address],
                              capture_output=True, check=False).returncode, "a member reached another"  # fmt: skip
    yard.run(DESK, "wg set wg-library peer $(wg show wg-library peers) allowed-ips 10.88.0.0/24,fd88::/64,10.89.0.0/24")
    yard.run(DESK, "ip route add 10.89.0.0/24 dev wg-library")
    try:
        for port in (22, 80):
            for address in ("10.89.0.21", "10.89.0.1"):
                said = yard.run(
                    DESK, f"timeout 2 bash -c 'echo >/dev/tcp/{address}/{port}' && echo reached", check=False
                )
                assert said == "", f"a member reached {address}"
    finally:
        yard.run(DESK, "ip route delete 10.89.0.0/24 dev wg-library")
        yard.run(DESK, "wg set wg-library peer $(wg show wg-library peers) allowed-ips 10.88.0.0/24,fd88::/64")
    for address, port in (("10.89.0.1", 22), ("192.0.2.7", 80)):
        knock = f"import socket; socket.create_connection(('{address}', {port}), 2)"
        assert other.run("sh", "-c", f'python3 -c "{knock}" 2>/dev/null && echo reached', check=False) == ""


def test_a_key_is_changed_under_an_open_connection(yard: Yard) -> None:
    yard.write(key_change="prepare")
    found = re.search(r"for the gateway to admit as its next_key: (\S+)", yard.harden(DESK))
    assert found
    member = next(one for one in yard.members if one["name"] == "elm-desk-1")
    with talking(yard, SYSTEM) as fared, talking(yard, SYSTEM6) as fared6:
        member["next_key"] = found[1]
        yard.write(key_change="prepare")
        assert "4 of 4 promises kept" in yard.harden(GATEWAY)
        yard.write(key_change="use")
        yard.harden(DESK)
        assert yard.run(DESK, "wg show wg-library public-key") == found[1]
        assert "elm-desk-1 has come in with its next_key" in yard.harden(GATEWAY)
        member["public_key"] = member.pop("next_key")
        yard.write()
        assert "4 of 4 promises kept" in yard.harden(GATEWAY)
    for one in (fared, fared6):
        assert one["ended"] == "", "the connection was lost"
        assert one["longest"] < 10, f"no answer for {one['longest']:.1f} s"
    print(f"longest silence {fared['longest']:.2f} s and {fared6['longest']:.2f} s")
    assert yard.run(DESK, page(SYSTEM)) == GATEWAY_ADDRESS
    assert yard.run(GATEWAY, "wg show wg-members peers") == found[1]
    assert yard.run(DESK, "ls /etc/wireguard | sort") == "readingroom.key\nreadingroom.pub\nwg-library.conf"


def test_a_next_key_that_the_gateway_does_not_know_is_not_used(yard: Yard) -> None:
    yard.write(key_change="prepare")
    yard.harden(DESK)
    before = yard.run(DESK, "cat /etc/wireguard/readingroom.pub")
    yard.write(key_change="use")
    assert "the gateway did not answer this machine's next key" in yard.harden(DESK, status=1)
    assert yard.run(DESK, "wg show wg-library public-key") == before
    eventually(lambda: yard.run(DESK, page(SYSTEM)) == GATEWAY_ADDRESS, "the former key does not work any more")
    yard.write()
    yard.harden(DESK)
    assert "next" not in yard.run(DESK, "ls /etc/wireguard"), "a key that nobody uses stayed"


def test_the_other_engine_finds_nothing_to_change(yard: Yard) -> None:
    assert "Nothing to change" in yard.harden(GATEWAY, "ansible")


def test_a_power_cut_brings_it_back_as_it_was(yard: Yard) -> None:
    yard.lab.hard_kill(GATEWAY)
    yard.lab.up([GATEWAY])
    eventually(lambda: yard.run(DESK, page(SYSTEM)) == GATEWAY_ADDRESS, "the tunnel is not back", within=60)
    assert "Nothing to change" in yard.harden(GATEWAY)


def test_without_its_rules_a_gateway_forwards_nothing(yard: Yard) -> None:
    yard.run(GATEWAY, "systemctl stop readingroom-vpn-gateway-rules.service")
    assert yard.run(GATEWAY, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding") == "0\n0"
    assert yard.run(DESK, page(SYSTEM)) == "nobody"
    assert "4 of 4 promises kept" in yard.harden(GATEWAY)
    eventually(lambda: yard.run(DESK, page(SYSTEM)) == GATEWAY_ADDRESS, "the tunnel is not back")


def test_nothing_tells_where_members_are(yard: Yard) -> None:
    # the lab's own list of its machines holds their addresses
    places = "/etc /usr/local /var/lib/readingroom /var/log /run/systemd"
    look = f"grep -rlaF -e 10.77.0.12 -e fd77::12 {places} 2>/dev/null | grep -vxF /etc/hosts | wc -l"
    assert yard.run(GATEWAY, look) == "0"
    assert yard.run(GATEWAY, "journalctl -q -o cat -u readingroom-vpn-gateway | grep -cF 10.77.0.12 || true") == "0"
    assert "elm-desk-1" not in yard.run(GATEWAY, "cat /etc/readingroom/vpn-gateway.json")


def test_a_gateway_to_the_internet_leads_there_and_nowhere_else(yard: Yard) -> None:
    systems, yard.leads_to = yard.leads_to, ["internet"]
    yard.write(browsing="tunnelled")
    assert "4 of 4 promises kept" in yard.harden(GATEWAY)
    assert re.search(r"kept +vpn.browsing", yard.harden(DESK))
    assert yard.run(DESK, page(consortium.WEB)) == GATEWAY_ADDRESS
    assert yard.run(DESK, page(consortium.WEB6)) == GATEWAY_ADDRESS6
    assert yard.run(DESK, page(SYSTEM)) == "nobody"
    yard.leads_to = systems
    yard.write()
    assert "4 of 4 promises kept" in yard.harden(GATEWAY)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.control}: {one.why[:40]}")
def test_each_promise_can_be_broken_alone_and_is_mended(yard: Yard, scenario: Scenario) -> None:
    for line in scenario.run:
        yard.run(GATEWAY, line)
    assert broken(yard) == {scenario.control: "broken"}
    engine = "ansible" if SCENARIOS.index(scenario) % 4 == 3 else "pyinfra"
    assert "4 of 4 promises kept" in yard.harden(GATEWAY, engine)


def broken(yard: Yard) -> dict[str, str]:
    """The promises of the gateway that are not kept."""
    yard.readingroom("verify", "elm", "--limit", GATEWAY, status=None)
    evidence = Evidence.read(yard.home / "build" / "elm" / "evidence-part.json")
    return {name: one.verdict for name, one in evidence.machines[GATEWAY].controls.items()
            if one.verdict not in ("kept", "not-applicable")}  # fmt: skip


def test_what_is_given_back_leaves_nothing_at_work(yard: Yard) -> None:
    yard.readingroom("undo", "elm", "--limit", GATEWAY, "--yes")
    assert yard.run(GATEWAY, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding") == "0\n0"
    assert yard.run(GATEWAY, "ip link show wg-members 2>/dev/null | wc -l") == "0"
    left = "ls -d /etc/readingroom /usr/local/lib/readingroom /etc/wireguard /etc/sysctl.d/zz-readingroom* 2>/dev/null | wc -l"
    assert yard.run(GATEWAY, left, check=False) == "0"
    assert yard.run(GATEWAY, "systemctl list-unit-files 'readingroom*' --no-legend | wc -l") == "0"
    assert yard.run(GATEWAY, "dpkg -l nftables wireguard-tools 2>/dev/null | grep -c ^ii || true") == "0"
