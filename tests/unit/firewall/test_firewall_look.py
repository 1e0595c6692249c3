"""What the firewall's look makes of a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import firewall_look as look
import pytest


def test_the_address_we_come_from_may_always_come_in() -> None:
    assert look.admins(["10.1.0.0/16"], "203.0.113.5") == ["10.1.0.0/16", "203.0.113.5/32"]


def test_it_is_not_said_twice_where_the_policy_names_its_network() -> None:
    assert look.admins(["10.1.0.0/16", "2001:db8::/32"], "10.1.2.3") == ["10.1.0.0/16", "2001:db8::/32"]


def test_an_ipv4_address_in_an_ipv6_coat_is_ipv4() -> None:
    assert look.admins([], str(look.address("::ffff:192.0.2.7"))) == ["192.0.2.7/32"]


def test_without_a_connection_there_is_nobody_to_keep() -> None:
    assert look.admins([], None) == []


def test_a_neighbour_s_address_with_its_card_is_an_address() -> None:
    assert look.single("fe80::1%eth0") == "fe80::1/128"


def test_the_connection_is_found_although_sudo_has_dropped_it() -> None:
    place = str(Path(look.__file__).parent)
    script = f"import sys; sys.path.insert(0, {place!r}); import firewall_look as look; print(look.came_in())"
    below = ["env", "-i", sys.executable, "-c", script]  # as sudo does
    connection = {**os.environ, "SSH_CONNECTION": "2001:db8::7 50022 2001:db8::1 2222"}
    argv = [sys.executable, "-c", f"import subprocess; subprocess.run({below!r})"]
    said = subprocess.run(argv, env=connection, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "('2001:db8::7', 2222)"


@pytest.mark.parametrize(("routes", "peers"), [
    ([], ["fe80::/10"]),
    ([{"dst": "default", "gateway": "10.0.0.1", "dev": "e0"}, {"dst": "10.0.0.0/24", "dev": "e0"}],
     ["10.0.0.0/24", "fe80::/10"]),
    ([{"dst": "172.17.0.0/16", "dev": "docker0"}, {"dst": "192.168.122.0/24", "dev": "virbr0"}], ["fe80::/10"]),
    ([{"dst": "fe80::/64", "dev": "eth0"}, {"dst": "2001:db8::/64", "dev": "eth0"}], ["2001:db8::/64", "fe80::/10"]),
    ([{"dst": "10.9.0.0/16", "gateway": "10.0.0.9", "dev": "eth0"}], ["fe80::/10"]),
])  # fmt: skip
def test_the_room_is_what_the_machine_s_own_cards_are_in(
    monkeypatch: pytest.MonkeyPatch, routes: list[dict[str, str]], peers: list[str]
) -> None:
    monkeypatch.setattr(look, "run", lambda *argv: json.dumps(routes) if "-4" in argv else "[]")
    assert look.peers() == peers


def test_a_printer_is_opened_at_the_door_that_its_queue_uses_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queues = tmp_path / "printers.conf"
    uris = ("ipp://10.2.0.9/ipp/print", "ipps://[2001:db8::9]/ipp/print", "socket://10.2.0.9", "socket://10.2.0.8:9101",
            "lpd://somebody@10.2.0.7/queue", "https://10.2.0.7:8443/ipp", "ipp://localhost:8631/ipp/print", "usb://A/B",
            "smb://10.2.0.6:445/office", "ipp://no-such-host.invalid/", "ipp://10.2.0.5:none/", "file:///dev/null")  # fmt: skip
    queues.write_text("".join(f"<Printer q{number}>\nDeviceURI {uri}\n</Printer>\n" for number, uri in enumerate(uris)))
    monkeypatch.setattr(look, "QUEUES", queues)
    assert look.printers() == [
        "10.2.0.7 . 515", "10.2.0.7 . 8443", "10.2.0.8 . 9101", "10.2.0.9 . 631", "10.2.0.9 . 9100", "2001:db8::9 . 631",
    ]  # fmt: skip
    monkeypatch.setattr(look, "QUEUES", tmp_path / "none")
    assert look.printers() == []
