"""Machines whose addresses come by DHCP and router announcements keep them, and their names, when they are hardened.

Live public machines, one for each client that Debian's users have, all at once. In the room stands a router with a DHCP server,
then another: the second does not know the leases of the first, who hears nothing any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from checkout import Checkout, eventually, fresh_lab
from desk import barcode
from readingroom.apply import Engine, harden
from readingroom.fleet import load_site
from readingroom.lab import consortium, network, recipe
from readingroom.lab.consortium.tunnel import member_addresses
from wiretap import wiretap

pytestmark = pytest.mark.lab
ROLES = ("encrypted_dns", "vpn", "firewall")
ROOM = recipe.NETWORKS["room"]
# Whom the network names as its resolver: no gateway of it.
NAMED, NAMED6 = ROOM.address(77), ROOM.address6(77)
# Renewed after so many seconds, and asked of everybody after twice as many; a server gives none for less than two minutes, and
# IPv6 is renewed when half of them are over.
RENEWED, LEASE = 6, 120
# A report in the first version of MLD, and from the port of DHCP's clients to that of its servers.
MLD_REPORT = bytes([131])
BOOTP = (68).to_bytes(2, "big") + (67).to_bytes(2, "big")

# What has the lab's machines begin as real ones do, without an address.
WITHOUT = """
cat >/etc/systemd/system/lab-without-address.service <<'END'
[Unit]
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
ExecStart=sh -c 'ip address flush dev eth0; ip -6 route flush dev eth0; ip link set eth0 down; ip link set eth0 up'
[Install]
WantedBy=sysinit.target
END
systemctl --quiet enable lab-without-address
echo nameserver 192.0.2.1 >/etc/resolv.conf
"""
IFUPDOWN = """
apt-get -qq install --no-install-recommends ifupdown CLIENT >/dev/null
printf 'auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n' >/etc/network/interfaces
"""
MANAGER = """
cat >/etc/NetworkManager/system-connections/room.nmconnection <<'END'
[connection]
id=room
uuid=6f3e1c9a-5f5e-4c58-9d3c-0d6f2a1b7c11
type=ethernet
interface-name=eth0
END
chmod 600 /etc/NetworkManager/system-connections/room.nmconnection
systemctl --quiet unmask NetworkManager NetworkManager-dispatcher
systemctl --quiet enable NetworkManager
"""
NETWORKD = """
printf '[Match]\nName=eth0\n[Network]\nDHCP=yes\n' >/etc/systemd/network/room.network
systemctl --quiet enable systemd-networkd
"""
DHCLIENT = IFUPDOWN.replace("CLIENT", "isc-dhcp-client") + "echo 'iface eth0 inet6 dhcp' >>/etc/network/interfaces\n"
DHCPCD = IFUPDOWN.replace("CLIENT", "dhcpcd-base")
# Two machines with Debian 12, three with 13; here all are public.
CLIENTS = {"public-2": DHCLIENT, "staff-1": MANAGER, "public-1": DHCPCD, "staff-2": MANAGER, "gateway-1": NETWORKD}


def asked_for(machine: str) -> str:
    """The group in which a machine is asked for its card's address."""
    return f"ff02::1:ff00:{recipe.load().machine(machine).host}"


@dataclasses.dataclass
class Router:
    """A way out of the room that gives addresses, in one of the lab's namespaces."""

    namespace: str
    card: str
    address: str
    # whom it names as resolver
    named: str
    folder: Path

    @property
    def log(self) -> str:
        """What its server said."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def said(self, word: str) -> set[str]:
        """The machines of whose addresses it said this: DHCPACK, or DHCPREPLY of IPv6."""
        spoken = re.findall(rf"{word}\(\S+\) (\S+)", self.log)
        return {one.name for one in map(recipe.load().machine, CLIENTS) if {one.address, one.address6} & set(spoken)}

    def forget(self) -> None:
        """Begin a new log."""
        (self.folder / "log").write_text("")

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Give addresses, and lead out."""
        self.folder.mkdir(exist_ok=True)
        hosts = [recipe.load().machine(name) for name in CLIENTS]
        words = [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file=", "--user=root",
            f"--interface={self.card}", f"--dhcp-leasefile={self.folder / 'leases'}",
            f"--log-facility={self.folder / 'log'}", "--log-dhcp",
            "--dhcp-authoritative", f"--dhcp-range={ROOM.address(0)},static,{LEASE}",
            f"--dhcp-range={ROOM.six}::,static,64,{LEASE}", "--enable-ra", f"--ra-param={self.card},5,20",
            *(f"--dhcp-host=02:52:52:00:00:{one.host:02x},{one.address},[{one.address6}]" for one in hosts),
            f"--dhcp-option=option:router,{self.address}", f"--dhcp-option=option:dns-server,{self.named}",
            f"--dhcp-option=option6:dns-server,[{NAMED6}]",
            f"--dhcp-option-force=option:T1,{RENEWED}", f"--dhcp-option-force=option:T2,{2 * RENEWED}",
        ]  # fmt: skip
        self._forward("1")
        process = subprocess.Popen([*self._inside, *words])
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            self._forward("0")

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", f"--net={network.NAMESPACES / self.namespace}"]

    def _forward(self, value: str) -> None:
        """Be a router or none; the settings are the namespace's own."""
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            subprocess.run(
                [*self._inside, "tee", f"/proc/sys/net/{setting}"],
                input=value.encode(),
                capture_output=True,
                check=True,
            )


# What a machine is asked, whenever it should be well.
LOOK = f"""
ip address show dev eth0
echo "resolvers: $(grep -h ^nameserver /etc/resolv.conf | xargs)"
timeout 5 getent ahostsv4 NAME.example
visit() {{ timeout 5 bash -c "exec 3<>/dev/tcp/$1/80; printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"; }}
visit {consortium.WEB}
visit {consortium.WEB6}
"""


@dataclasses.dataclass
class Room(Checkout):
    """The machines, the checkout of their library, and the two routers: whoever is at work ends with `served`."""

    served: contextlib.ExitStack

    def furnish_all(self) -> None:
        """Every machine is public, and has addresses in the tunnel; names, too, go through it, to one resolver."""
        self.furnish(dict.fromkeys(CLIENTS, "public"))
        text = self.policy_file.read_text()
        text = text.replace(f'"{consortium.RESOLVER}#', f'"{consortium.PUBLIC_RESOLVER}#')
        text = text.replace(f', "{consortium.RESOLVER6}#resolver.consortium.example"', "")
        own = {name: member_addresses(recipe.load().machine(name)) for name in CLIENTS}
        lines = (f'  {name}: {{vpn: {{addresses: [{four}, "{six}"]}}}}\n' for name, (four, six) in own.items())
        self.policy_file.write_text(f"{text}machines:\n{''.join(lines)}")

    @property
    def routers(self) -> tuple[Router, Router]:
        """The one that a visitor brought, and the library's own, which names the resolver that the policy names as well."""
        places = self.lab.places
        first = Router(places.visitor, "eth0", network.VISITOR.address, NAMED, self.home / "first")
        return first, Router(places.switch, "br0", ROOM.router, consortium.PUBLIC_RESOLVER, self.home / "second")

    def serve(self, router: Router | None) -> None:
        """From now on this one is at work, or none."""
        self.served.close()
        if router:
            self.served.enter_context(router.at_work())

    def everywhere(self, script: str) -> dict[str, str]:
        """What a script says, on all machines at once."""
        with ThreadPoolExecutor() as pool:
            said = pool.map(lambda name: self.lab.exec(name, ["bash", "-c", script], check=False, timeout=300), CLIENTS)
            return {name: one.stdout for name, one in zip(CLIENTS, said, strict=True)}

    def power_cut(self) -> None:
        """Everywhere at once; how it goes on is told when all answer."""
        for name in CLIENTS:
            self.lab.hard_kill(name)

    def harden(self, engine: Engine, *machines: str) -> int:
        """Bring the roles to these machines; how many changes that took. Proving is these tests' own matter."""
        self.readingroom("compile", "elm")
        site = dataclasses.replace(load_site("elm", self.home), ssh_config=self.lab.ssh_config)
        done = harden(site, engine=engine, roles=ROLES, machines=machines)
        assert done.ok, [one.message for one in done.machines.values()]
        return sum(len(one.changes) for one in done.machines.values())

    def faults(self) -> dict[str, list[str]]:
        """What the machines lack: their addresses, their own resolver and no other, names, or the tunnel."""
        found = {}
        for name, said in self.everywhere(LOOK.replace("NAME", barcode())).items():
            one = recipe.load().machine(name)
            inside = [address.partition("/")[0] for address in member_addresses(one)]
            wanted = [
                f"inet {one.address}/24", f"inet6 {one.address6}/128", "resolvers: nameserver 127.0.0.1\n", f"{consortium.WEB} ",
                *(f"You come from {address}\n" for address in inside),
            ]  # fmt: skip
            if lacks := [text for text in wanted if text not in said]:
                found[name] = lacks
        return found

    def are_well(self, but: Collection[str] = ()) -> None:
        """Wait until nothing is lacking anywhere."""
        with contextlib.suppress(AssertionError):
            eventually(lambda: self.faults().keys() <= set(but), "", 40)
        found = self.faults()
        assert found.keys() <= set(but), found


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with fresh_lab("leases", list(CLIENTS)) as lab, contextlib.ExitStack() as served:
        room = Room(lab, tmp_path_factory.mktemp("library"), served)
        room.furnish_all()
        with ThreadPoolExecutor() as pool:
            scripts = (["bash", "-ec", WITHOUT + one] for one in CLIENTS.values())
            list(pool.map(lambda name, script: lab.exec(name, script, timeout=300), CLIENTS, scripts))
        room.power_cut()
        room.serve(room.routers[0])
        lab.up(list(CLIENTS))
        yield room


@contextlib.contextmanager
def talking(room: Room) -> Iterator[None]:
    """Administrators are on every machine, and stay there all the while."""
    way = ["ssh", "-F", str(room.lab.ssh_config), "-o", "ControlPath=none", "-l", "operator"]
    with contextlib.ExitStack() as ends:
        talks = [
            ends.enter_context(
                subprocess.Popen([*way, one, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for one in CLIENTS
        ]
        for said in ("on the machine\n", "still on the machine\n"):
            for talk in talks:
                assert talk.stdin
                assert talk.stdout
                talk.stdin.write(said)
                talk.stdin.flush()
                assert talk.stdout.readline() == said
            if said.startswith("on"):
                yield


def test_before_it_the_network_says_what_a_machine_s_address_and_resolver_are(room: Room) -> None:
    for name, said in room.everywhere("ip address show dev eth0 scope global; cat /etc/resolv.conf").items():
        one = recipe.load().machine(name)
        assert f"inet {one.address}/24" in said
        assert f"inet6 {one.address6}/128" in said
        assert said.count(" dynamic ") == said.count("inet"), said
        # systemd-networkd leaves it to others; of dhclient's two, who renewed last has the word
        named = {f"nameserver {NAMED}", f"nameserver {NAMED6}"} & set(said.splitlines())
        assert bool(named) == (CLIENTS[name] is not NETWORKD)


def test_hardened_by_either_engine_they_are_well(room: Room) -> None:
    room.harden("pyinfra", *(name for name in CLIENTS if name != "public-1"))
    room.harden("ansible", "public-1")
    room.are_well()


def test_each_lease_is_renewed_with_the_server_that_gave_it(room: Room) -> None:
    server = room.routers[0]
    with wiretap(room.lab) as heard:
        server.forget()
        eventually(lambda: server.said("DHCPACK") == set(CLIENTS), "a lease is not renewed", 3 * RENEWED)
    to_server = socket.inet_aton(server.address) + BOOTP
    asked = {socket.inet_ntoa(frame[26:30]) for frame in heard.frames if frame[30:38] == to_server}
    assert asked == {recipe.load().machine(name).address for name in CLIENTS}
    eventually(lambda: server.said("DHCPREPLY") == set(CLIENTS), "a lease of IPv6 is not renewed", LEASE)
    assert not re.search("DHCPDISCOVER|DHCPSOLICIT", server.log), "a lease was lost on the way"
    room.are_well()


def test_whom_the_network_names_is_known_to_whoever_signs_in(room: Room) -> None:
    asked = "grep forward-addr /var/lib/unbound/readingroom-sign-in.conf"
    for said in room.everywhere(
        f"systemctl start readingroom-sign-in; {asked}; systemctl stop readingroom-sign-in"
    ).values():
        assert said.split()[1::2][0] == NAMED
        assert room.routers[0].address not in said


def test_a_switch_that_asks_who_listens_is_answered(room: Room) -> None:
    """In the first version of MLD, as many do. Whom such a switch does not hear of, nobody finds any more over IPv6."""
    card = ["ip", "-n", room.lab.places.switch, "link", "set", "br0", "type", "bridge"]
    # in hundredths of a second
    asks = "mcast_mld_version 1 mcast_query_interval 200 mcast_query_response_interval 200 mcast_querier 1"
    with wiretap(room.lab) as heard:
        subprocess.run([*card, *asks.split()], check=True)
        time.sleep(6)  # for two questions, each answered at leisure
        subprocess.run([*card, "mcast_querier", "0"], check=True)
    reports = {frame[70:86] for frame in heard.frames if frame[62:63] == MLD_REPORT}
    missing = [one for one in CLIENTS if socket.inet_pton(socket.AF_INET6, asked_for(one)) not in reports]
    assert not missing, f"{missing} do not say that they listen"


def test_another_router_takes_over_and_nobody_is_cut_off(room: Room) -> None:
    second = room.routers[1]
    with talking(room):
        room.serve(second)
        eventually(lambda: second.said("DHCPACK") == set(CLIENTS), "a lease is not asked of everybody", 4 * RENEWED)
        eventually(lambda: second.said("DHCPREPLY") == set(CLIENTS), "one of IPv6 is not asked of everybody", LEASE)
        assert not re.search("DHCPDISCOVER|DHCPSOLICIT", second.log), "a lease was lost on the way"
        # Debian's dhclient minds another gateway when its address changes, or when it starts anew
        room.are_well(but=("public-2",))
    for name, said in room.everywhere("ip route show default").items():
        assert f"via {second.address} " in said or name == "public-2"
    assert room.harden("pyinfra", *CLIENTS) == 0


def test_with_another_gateway_the_kill_switch_still_holds(room: Room) -> None:
    look = LOOK.replace("NAME", barcode())
    said = room.everywhere(f"systemctl stop readingroom-vpn; {look} systemctl start readingroom-vpn")
    assert not [one for one in said.values() if "You come from" in one]


def test_a_lease_that_ran_out_while_power_and_server_were_off_comes_back_by_itself(room: Room) -> None:
    second = room.routers[1]
    room.serve(None)
    room.power_cut()
    time.sleep(LEASE)
    with ThreadPoolExecutor() as pool:
        back = pool.submit(room.lab.up, list(CLIENTS))
        eventually(lambda: all(room.lab.is_running(name) for name in CLIENTS), "a machine does not start")
        time.sleep(10)
        second.forget()
        room.serve(second)
        back.result()
    room.are_well()


def test_given_back_the_network_says_again_who_is_asked_for_names(room: Room) -> None:
    room.readingroom("undo", "elm", "--role", "encrypted_dns", "--yes")
    ours = {name for name, one in CLIENTS.items() if one is not NETWORKD}
    named = f"grep -qx 'nameserver {consortium.PUBLIC_RESOLVER}' /etc/resolv.conf && echo named"
    # NetworkManager writes when something changes, the others at each renewal
    room.everywhere("systemctl --quiet is-active NetworkManager || echo nameserver 192.0.2.1 >/etc/resolv.conf")
    eventually(
        lambda: {name for name, said in room.everywhere(named).items() if said} == ours, "somebody else is asked", LEASE
    )
