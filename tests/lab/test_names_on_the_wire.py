"""What somebody at the library's router reads of names that are looked up, and that nobody loses names, whatever fails.

A live staff machine with Debian 13; the rest of the suite has the role on both releases.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from checkout import eventually, uplink
from desk import MACHINE, Desk, barcode
from readingroom.lab import consortium, network
from readingroom.lab.recipe import NETWORKS
from stranger import stranger
from wiretap import Heard, wiretap

pytestmark = pytest.mark.lab
ROLES = ("encrypted_dns", "firewall")
RESOLVER, WEB = consortium.RESOLVER, consortium.WEB
ROUTER = NETWORKS["room"].router
STRANGER = "10.66.0.54"
SETTINGS = "/etc/unbound/readingroom.conf"
NAMED = f"{RESOLVER}#resolver.consortium.example"


def finds(desk: Desk, name: str) -> bool:
    """Is the name looked up, as every program does?"""
    return WEB in desk.says(f"timeout 10 getent ahostsv4 {name}", check=False)


def in_clear(heard: Heard) -> int:
    """How many frames were on their way to the port of lookups in the clear, over IPv4 or IPv6."""
    found = 0
    for frame in heard.frames:
        four, six = frame[12:14] == b"\x08\x00", frame[12:14] == b"\x86\xdd"
        begin = 14 + (frame[14] & 15) * 4 if four else 54
        protocol = frame[23] if four else frame[20] if six else 0
        found += protocol in (6, 17) and frame[begin + 2 : begin + 4] == (53).to_bytes(2, "big")
    return found


def test_before_it_names_are_read_on_the_way(desk: Desk) -> None:
    desk.says(f"echo nameserver {RESOLVER} >/etc/resolv.conf")
    name = barcode()
    with wiretap(desk.lab) as heard:
        assert finds(desk, f"{name}.example")
    assert heard.holding(name), "the wiretap hears nothing, so nothing could be proved with it"
    assert in_clear(heard)


def test_one_run_has_it_kept(desk: Desk) -> None:
    desk.policy("  dns:\n", "  dns:\n    other_resolvers: blocked\n")
    said = desk.harden("ansible", *ROLES)
    for promise in ("dns.transport", "dns.query-log", "dns.other-resolvers"):
        line = next(line for line in said.splitlines() if promise in line)
        assert "→ kept" in line, said


def test_after_it_no_name_can_be_read(desk: Desk) -> None:
    name = barcode()
    with wiretap(desk.lab) as heard:
        assert finds(desk, f"{name}.example")
    assert heard.frames
    assert heard.holding(name) == 0
    assert in_clear(heard) == 0


def test_a_second_run_by_the_other_engine_finds_nothing_to_change(desk: Desk) -> None:
    assert "Nothing to change" in desk.harden("pyinfra", *ROLES)


@contextmanager
def moved_in(desk: Desk, folder: Path) -> Iterator[Path]:
    """A stranger lives in the consortium."""
    space = desk.lab.places.consortium
    subprocess.run(["ip", "-n", space, "address", "add", f"{STRANGER}/24", "dev", "eth0"], check=True)
    try:
        with stranger(desk.lab, folder, STRANGER, 853) as arrived:
            yield arrived
    finally:
        subprocess.run(["ip", "-n", space, "address", "delete", f"{STRANGER}/24", "dev", "eth0"], check=True)


def test_a_resolver_with_a_certificate_for_another_name_hears_none(desk: Desk, tmp_path: Path) -> None:
    name, asks = barcode(), "timeout 8 getent ahostsv4 NAME.example"
    with moved_in(desk, tmp_path) as arrived, wiretap(desk.lab) as heard:
        desk.says(f"nft add element inet readingroom over_tls4 '{{ {STRANGER} }}'")
        desk.says(
            f"cp {SETTINGS} /run/before; sed -i '/fd66/d; s/{RESOLVER}@/{STRANGER}@/' {SETTINGS}; systemctl restart unbound"
        )
        desk.says(asks.replace("NAME", name), check=False)
        assert arrived.read_bytes() == b""
        # without the check of certificates he hears it: the test can fail
        desk.says(f"sed -i 's/@853#.*/@853/; /tls-cert-bundle/d' {SETTINGS}; systemctl restart unbound")
        desk.says(asks.replace("NAME", name), check=False)
        assert name.encode() in arrived.read_bytes()
        desk.says(f"cp /run/before {SETTINGS}; systemctl restart unbound")
    assert heard.holding(name) == 0
    assert in_clear(heard) == 0
    assert finds(desk, f"{barcode()}.example")


def test_a_resolver_that_does_not_prove_who_it_is_is_not_asked_for_in_the_policy_either(
    desk: Desk, tmp_path: Path
) -> None:
    desk.policy(f'"{NAMED}"', f'"{STRANGER}#resolver.consortium.example"')
    desk.policy(f', "{consortium.RESOLVER6}#resolver.consortium.example"', "")
    with moved_in(desk, tmp_path):
        said = desk.harden("pyinfra", *ROLES, status=1)
    assert "certificate that is not its own" in said
    assert finds(desk, f"{barcode()}.example"), "a mistake in the policy took all names away"
    desk.policy(f'"{STRANGER}#resolver.consortium.example"', f'"{NAMED}"')
    assert "→ kept" in desk.harden("ansible", *ROLES)
    assert finds(desk, f"{barcode()}.example")


def test_an_uplink_that_is_gone_and_a_power_cut_leave_it_encrypted(desk: Desk) -> None:
    name = barcode()
    uplink(desk.lab, "down")
    try:
        with wiretap(desk.lab) as heard:
            assert not finds(desk, f"{name}.example")
            desk.lab.hard_kill(MACHINE)
            desk.lab.up([MACHINE])
            assert not finds(desk, f"{name}.example")
            assert desk.reachable()
    finally:
        uplink(desk.lab, "up")
    assert heard.holding(name) == 0
    assert in_clear(heard) == 0
    eventually(lambda: finds(desk, f"{barcode()}.example"), "the uplink is back, and names are not", within=40)


# Answers every question with the address of the gateway, as networks do where one has to sign in.
_PORTAL = """
import socket, sys
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    query, who = door.recvfrom(4096)
    end = query.index(b"\\0", 12) + 5
    told = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x1e\\0\\4" + socket.inet_aton(sys.argv[1])
    four = query[end - 4:end - 2] == b"\\0\\1"
    door.sendto(query[:2] + b"\\x81\\x80\\0\\1\\0" + (b"\\1" if four else b"\\0") + b"\\0\\0\\0\\0" + query[12:end]
                + (told if four else b""), who)
"""


@contextmanager
def portal(desk: Desk) -> Iterator[None]:
    """The library's router looks names up, and tells lies."""
    enter = ["nsenter", f"--net={network.NAMESPACES / desk.lab.places.switch}", sys.executable, "-I", "-c", _PORTAL]
    process = subprocess.Popen([*enter, ROUTER], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def test_a_network_with_a_sign_in_page_can_be_signed_in_to_and_no_longer(desk: Desk) -> None:
    drop_in = "/run/systemd/system/readingroom-sign-in.service.d"
    sooner = f"mkdir -p {drop_in}; systemctl cat readingroom-sign-in | sed -n 's/timeout 10m/timeout 6/p'"
    desk.says(f"{{ echo [Service]; echo ExecStart=; {sooner}; }} >/run/shorter; mv /run/shorter {drop_in}/shorter.conf")
    desk.says("systemctl daemon-reload")
    with portal(desk):
        asked = f"timeout 5 getent ahostsv4 {barcode()}.example"
        assert ROUTER not in desk.says(asked, check=False)
        desk.says("systemctl start readingroom-sign-in")
        eventually(lambda: ROUTER in desk.says(asked, check=False), "the network's own names are not there")
        assert ROUTER in desk.says("nft list set inet readingroom sign_in4")
        eventually(
            lambda: desk.says("systemctl is-active unbound", check=False) == "active", "it does not end by itself"
        )
        assert finds(desk, f"{barcode()}.example")
    assert "elements" not in desk.says("nft list set inet readingroom sign_in4")
    assert desk.says("systemctl is-failed readingroom-sign-in", check=False) == "inactive"
    assert "Nothing to change" in desk.harden("pyinfra", *ROLES)


def test_given_back_it_is_as_it_was(desk: Desk) -> None:
    desk.readingroom("undo", "elm", "--role", "encrypted_dns", "--yes")
    assert desk.says("cat /etc/resolv.conf") == f"nameserver {RESOLVER}"
    assert desk.says("systemctl list-unit-files --no-legend 'unbound*' 'readingroom-sign*'", check=False) == ""
