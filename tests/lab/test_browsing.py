"""What somebody on the library's internet line sees of what is browsed: before the tunnel, in it, and when it goes down.

A live public machine with Debian 12; the rest of the suite has it on Debian 13. The internet is the lab's own.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from checkout import eventually, uplink
from desk import Desk, barcode
from readingroom.lab import consortium
from wiretap import wiretap

pytestmark = pytest.mark.lab
MACHINE = "public-2"
ROLES = ("encrypted_dns", "vpn", "firewall")
PROMISES = ("vpn.browsing", "vpn.kill-switch", "vpn.keys", "vpn.visit-log", "dns.transport", "dns.other-resolvers")
VISITED = [
    socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one)
    for one in (consortium.WEB, consortium.WEB6, consortium.PUBLIC_RESOLVER, consortium.PUBLIC_RESOLVER6)
]
DIRECT, TUNNELLED = ("10.77.0.13", "fd77::13"), ("10.89.0.13", "fd89::13")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk.fresh(tmp_path_factory.mktemp("library"), MACHINE) as desk:
        for private, public in (
            (consortium.RESOLVER, consortium.PUBLIC_RESOLVER),
            (consortium.RESOLVER6, consortium.PUBLIC_RESOLVER6),
        ):
            desk.policy(f'"{private}#', f'"{public}#')
        yield desk


def visits(desk: Desk, site: str, *, six: bool = False) -> str:
    """Somebody opens a page; whom the site takes them for, or nothing."""
    family = "AF_INET6" if six else "AF_INET"
    program = (
        f"import socket; to = socket.getaddrinfo('{site}.example', 80, socket.{family}, socket.SOCK_STREAM)[0]; "
        f"door = socket.socket(*to[:3]); door.settimeout(4); door.connect(to[4]); "
        f"door.sendall(b'GET / HTTP/1.1\\r\\nHost: {site}.example\\r\\n\\r\\n'); print(door.makefile().read())"
    )
    said = desk.says(f'timeout 12 python3 -c "{program}" 2>/dev/null', check=False)
    return said.rpartition("You come from ")[2].strip()


def taken_for(desk: Desk, site: str) -> tuple[str, str]:
    return visits(desk, site), visits(desk, site, six=True)


def test_before_it_everybody_on_the_line_sees_the_site(desk: Desk) -> None:
    desk.says(f"echo nameserver {consortium.PUBLIC_RESOLVER} >/etc/resolv.conf")
    site = barcode()
    with wiretap(desk.lab) as heard:
        assert taken_for(desk, site) == DIRECT
    assert heard.holding(site) >= 2
    assert heard.holding(*VISITED) >= 2, "the wiretap hears nothing, so nothing could be proved with it"


@contextmanager
def leading_nowhere(desk: Desk) -> Iterator[None]:
    """The gateway admits this machine, and does not lead it to the internet."""
    space = desk.lab.places.consortium
    for one in TUNNELLED:
        subprocess.run(["ip", "-n", space, "route", "add", "blackhole", one], check=True)
    try:
        yield
    finally:
        for one in TUNNELLED:
            subprocess.run(["ip", "-n", space, "route", "delete", "blackhole", one], check=True)


def test_a_gateway_that_leads_nowhere_takes_nobodys_internet_away(desk: Desk) -> None:
    with leading_nowhere(desk):
        said = desk.harden("pyinfra", "encrypted_dns", "vpn", status=1)
        assert "the gateway answers, and does not lead to the internet" in said, said
        assert taken_for(desk, barcode()) == DIRECT


def test_one_run_has_it_up_and_kept(desk: Desk) -> None:
    said = desk.harden("ansible", *ROLES)
    for promise in PROMISES:
        line = next(line for line in said.splitlines() if f" {promise} " in line)
        assert "kept" in line.split("→")[-1], said
    assert "as before" not in said


def test_after_it_the_line_shows_neither_the_site_nor_its_name(desk: Desk) -> None:
    site = barcode()
    with wiretap(desk.lab) as heard:
        assert taken_for(desk, site) == TUNNELLED
    assert heard.frames
    assert heard.holding(site, *VISITED) == 0


def test_a_second_run_by_the_other_engine_finds_nothing_to_change(desk: Desk) -> None:
    assert "Nothing to change" in desk.harden("pyinfra", *ROLES)


def test_a_download_that_began_in_the_tunnel_ends_with_it(desk: Desk) -> None:
    site = barcode()
    talk = (
        f"exec 3<>/dev/tcp/{consortium.WEB}/80; printf 'GET / HTTP/1.1\\r\\nHost: ' >&3; "
        f"systemctl stop readingroom-vpn.service; printf '{site}\\r\\n\\r\\n' >&3; timeout 2 cat <&3"
    )
    with wiretap(desk.lab) as heard:
        desk.says(talk, check=False)
        assert taken_for(desk, site) == ("", "")
        assert desk.reachable()
    assert heard.frames
    assert heard.holding(site, *VISITED) == 0, "with the tunnel down, a packet tells of the site"


def test_a_restart_without_a_gateway_shows_nothing_and_locks_nobody_out(desk: Desk) -> None:
    site = barcode()
    with wiretap(desk.lab) as heard:
        uplink(desk.lab, "down")
        try:
            desk.lab.hard_kill(MACHINE)
            desk.lab.up([MACHINE])
            assert desk.reachable()
            assert taken_for(desk, site) == ("", "")
            said = desk.harden("pyinfra", *ROLES, status=1)
            assert "the gateway does not answer" in " ".join(said.split())
            assert desk.reachable()
        finally:
            uplink(desk.lab, "up")
    assert heard.holding(site, *VISITED) == 0, "without a gateway, a packet tells of the site"
    eventually(lambda: taken_for(desk, barcode()) == TUNNELLED, "the gateway is back, and nobody noticed", within=40)


def test_names_in_the_clear_beside_it_are_refused_before_anything_changes(desk: Desk) -> None:
    before = desk.policy_file.read_text()
    desk.policy("  dns:\n", "  dns:\n    transport: plain\n")
    said = desk.readingroom("plan", "elm", "--role", "vpn", status=1)
    assert "dns.transport has their names looked up in the clear" in " ".join(said.split())
    desk.policy_file.write_text(before)


def test_the_way_back_is_a_word_in_the_policy(desk: Desk) -> None:
    desk.policy("browsing: tunnelled", "browsing: direct")
    desk.harden("pyinfra", *ROLES)
    assert taken_for(desk, barcode()) == DIRECT
