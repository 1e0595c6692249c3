"""What a machine's look makes of its network, and what of the internet a tunnel takes."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import network
import pytest


def test_an_ipv4_address_in_an_ipv6_coat_is_ipv4() -> None:
    assert network.single("::ffff:192.0.2.7") == "192.0.2.7/32"


def test_a_neighbour_s_address_with_its_card_is_an_address() -> None:
    assert network.single("fe80::1%eth0") == "fe80::1/128"


def test_the_connection_is_found_although_sudo_has_dropped_it() -> None:
    place = str(Path(network.__file__).parent)
    script = f"import sys; sys.path.insert(0, {place!r}); import network; print(*network.came_in())"
    below = ["env", "-i", sys.executable, "-c", script]  # as sudo does
    connection = {**os.environ, "SSH_CONNECTION": "2001:db8::7 50022 2001:db8::1 2222"}
    argv = [sys.executable, "-c", f"import subprocess; subprocess.run({below!r})"]
    said = subprocess.run(argv, env=connection, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "2001:db8::7 2222"


@pytest.mark.parametrize(("routes", "near"), [
    ([], []),
    ([{"dst": "default", "gateway": "10.0.0.1", "dev": "e0"}, {"dst": "10.0.0.0/24", "dev": "e0"}], ["10.0.0.0/24"]),
    ([{"dst": "172.17.0.0/16", "dev": "docker0"}, {"dst": "192.168.122.0/24", "dev": "virbr0"}], []),
    ([{"dst": "fe80::/64", "dev": "eth0"}, {"dst": "2001:db8::/64", "dev": "eth0"}], ["2001:db8::/64"]),
    ([{"dst": "10.9.0.0/16", "gateway": "10.0.0.9", "dev": "eth0"}], []),
    ([{"dst": "8.0.0.0/7", "dev": "wg-library"}], []),
    ([{"dst": "10.0.0.0/24", "dev": "e0"}, {"dst": "10.0.0.53", "dev": "e0"}], ["10.0.0.0/24"]),
])  # fmt: skip
def test_the_room_is_what_the_machine_s_own_cards_are_in(
    monkeypatch: pytest.MonkeyPatch, routes: list[dict[str, str]], near: list[str]
) -> None:
    monkeypatch.setattr(network, "run", lambda *argv: json.dumps(routes) if "-4" in argv else "[]")
    assert network.neighbourhoods() == near


POLICY: dict[str, Any] = {
    "gateways": [{"endpoint": "198.51.100.9:51820", "public_key": "…"}],
    "administered_from": ["203.0.113.0/24"],
    "shared_hosts": ["2001:db8:5::7/128"],
    "local_domains": [{"domain": "library.lan", "resolvers": ["198.51.100.53"]}],
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    monkeypatch.setattr(network, "neighbourhoods", lambda: ["192.0.2.0/25", "2001:db8:1::/64"])
    monkeypatch.setattr(network, "printers", lambda: [(network.address("198.51.100.77"), 631)])
    return [ipaddress.ip_network(one) for one in network.internet(POLICY, network.address("2001:db8:9::5"))]


@pytest.mark.parametrize("host", ["1.1.1.1", "192.0.2.200", "223.255.255.255", "2001:db8::1", "64:ff9b::1.1.1.1"])
def test_the_internet_goes_into_the_tunnel(taken: list[Any], host: str) -> None:
    assert sum(ipaddress.ip_address(host) in one for one in taken) == 1


@pytest.mark.parametrize("host", [
    "10.1.2.3", "172.20.0.1", "192.168.0.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "224.0.0.251", "255.255.255.255",
    "fe80::1", "fd00::1", "ff02::fb", "::1",
])  # fmt: skip
def test_what_never_leaves_the_building_stays_outside(taken: list[Any], host: str) -> None:
    assert not any(ipaddress.ip_address(host) in one for one in taken)


@pytest.mark.parametrize("host", [
    "198.51.100.9", "203.0.113.9", "2001:db8:5::7", "198.51.100.53", "192.0.2.9", "2001:db8:1::9", "198.51.100.77",
    "2001:db8:9::5",
])  # fmt: skip
def test_who_has_to_be_reached_beside_it_stays_outside(taken: list[Any], host: str) -> None:
    assert not any(ipaddress.ip_address(host) in one for one in taken)


def test_without_takes_nothing_else_away() -> None:
    assert network.without(["10.0.0.0/30", "fd00::/64"], ["10.0.0.1/32", "192.0.2.0/24"]) == [
        "10.0.0.2/31", "10.0.0.0/32", "fd00::/64",
    ]  # fmt: skip
    assert network.without(["10.0.0.0/30"], ["10.0.0.0/8"]) == []


def test_a_printer_s_door_is_the_one_that_its_queue_uses_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queues = tmp_path / "printers.conf"
    uris = ("ipp://10.2.0.9/ipp/print", "ipps://[2001:db8::9]/ipp/print", "socket://10.2.0.9", "socket://10.2.0.8:9101",
            "lpd://somebody@10.2.0.7/queue", "https://10.2.0.7:8443/ipp", "ipp://localhost:8631/ipp/print", "usb://A/B",
            "smb://10.2.0.6:445/office", "ipp://no-such-host.invalid/", "ipp://10.2.0.5:none/", "file:///dev/null")  # fmt: skip
    queues.write_text("".join(f"<Printer q{number}>\nDeviceURI {uri}\n</Printer>\n" for number, uri in enumerate(uris)))
    monkeypatch.setattr(network, "QUEUES", queues)
    assert [f"{host} . {port}" for host, port in network.printers()] == [
        "10.2.0.7 . 515", "10.2.0.7 . 8443", "10.2.0.8 . 9101", "10.2.0.9 . 631", "10.2.0.9 . 9100", "2001:db8::9 . 631",
    ]  # fmt: skip
    monkeypatch.setattr(network, "QUEUES", tmp_path / "none")
    assert network.printers() == []
