"""A room with two public machines and a staff machine, all on one cable: what each reaches of the others, before and after.

The compliance checks knock from places that are no machines; here the machines themselves do.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator

import pytest

from checkout import Checkout, eventually, fresh_lab

pytestmark = pytest.mark.lab
ROOM = {"public-1": "public", "public-2": "public", "staff-1": "staff"}
HOSTS = {"public-1": 11, "public-2": 13, "staff-1": 12}
# Administration, what the lab's policy lets in from elsewhere (tcp/5900), and what nobody listed.
TCP, UDP = (22, 5900, 8000), (5353, 8000)
PAIRS = list(itertools.permutations(ROOM, 2))

ANSWERS = """
import socket, threading
def tcp(port):
    door = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        door.accept()[0].close()
def udp(port):
    door = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    door.bind(("::", port))
    while True:
        word, who = door.recvfrom(99)
        door.sendto(word, who)
for port in (5900, 8000):
    threading.Thread(target=tcp, args=(port,)).start()
for port in (5353, 8000):
    threading.Thread(target=udp, args=(port,)).start()
"""

# Prints what answered: of each address tcp and udp ports, and echo.
KNOCKS = """
import socket, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
tcp, udp = ([int(one) for one in ports.split(",")] for ports in sys.argv[1:3])
def by_tcp(address, port):
    try:
        with socket.create_connection((address, port), 2):
            return f"tcp/{port} of {address}"
    except OSError:
        return ""
def by_udp(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.settimeout(2)
        try:
            door.sendto(b"?", (address, port))
            return f"udp/{port} of {address}" if door.recv(9) else ""
        except OSError:
            return ""
def by_echo(address, _):
    done = subprocess.run(["ping", "-c", "1", "-W", "2", address], capture_output=True)
    return "" if done.returncode else f"echo of {address}"
with ThreadPoolExecutor(32) as pool:
    found = [pool.submit(how, address, port) for address in sys.argv[3:]
             for how, ports in ((by_tcp, tcp), (by_udp, udp), (by_echo, [0])) for port in ports]
print(*filter(None, (one.result() for one in found)), sep="\\n")
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with fresh_lab("room", list(ROOM)) as lab:
        room = Checkout(lab, tmp_path_factory.mktemp("room"))
        room.furnish(ROOM)
        for machine in ROOM:
            lab.exec(machine, ["tee", "/run/answers.py"], input=ANSWERS)
            lab.exec(machine, ["tee", "/run/knocks.py"], input=KNOCKS)
            # somebody may have udp/5353 already, which then answers nothing of ours
            room.run(machine, "systemctl stop avahi-daemon.socket avahi-daemon 2>/dev/null; true")
            room.run(machine, "systemd-run --quiet --collect python3 /run/answers.py")
            eventually(lambda machine=machine: "8000" in room.run(machine, "ss -Hlntu"), "nobody answers")
        yield room


def reached(room: Checkout, machine: str, other: str) -> list[str]:
    """What a machine reaches of another one, over IPv4 and IPv6."""
    number = HOSTS[other]
    ports = (",".join(map(str, some)) for some in (TCP, UDP))
    said = room.run(machine, f"python3 /run/knocks.py {' '.join(ports)} 10.77.0.{number} fd77::{number}")
    return said.splitlines()


def test_as_found_everybody_reaches_everybody(room: Checkout) -> None:
    for machine, other in PAIRS:
        found = reached(room, machine, other)
        assert len(found) == 2 * (len(TCP) + len(UDP) + 1), f"{machine} does not reach all of {other}: {found}"


def test_hardened_they_do_not_reach_each_other(room: Checkout) -> None:
    room.readingroom("harden", "elm", "--engine", "pyinfra", "--role", "firewall", status=None)
    wrong = {}
    for machine, other in PAIRS:
        if found := reached(room, machine, other):
            wrong[f"{machine} → {other}"] = found
    assert wrong == {}


def test_those_who_administer_get_in_everywhere(room: Checkout) -> None:
    for machine in ROOM:
        way = [
            "ssh",
            "-F",
            str(room.lab.ssh_config),
            "-o",
            "ControlPath=none",
            "-l",
            "operator",
            machine,
            "sudo -n true",
        ]
        assert subprocess.run(way, capture_output=True, check=False, timeout=30).returncode == 0, machine


def test_a_machine_that_lost_its_rules_is_reached_and_the_others_still_are_not(room: Checkout) -> None:
    room.run("public-2", "nft delete table inet readingroom")
    assert reached(room, "staff-1", "public-2"), "the test cannot see a machine without rules"
    assert reached(room, "public-2", "public-1") == []
    assert reached(room, "public-1", "public-2") == [], (
        "what a public machine may send is its own firewall's part as well"
    )
