"""What the tunnel's role refuses before anything has changed, and when it takes a tunnel for working."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import network
import pytest
import vpn_look

from readingroom import toolkit
from readingroom.apply.rendering import render_file

KEY = "Hkf3l8UdpM8PNQZk9OOLUkhWJP/H6deIGWazzJDl8jM="
ASKED: dict[str, Any] = {
    "networks": ["10.88.0.0/24", "fd88::/64"],
    "browsing": "direct",
    "addresses": ["10.89.0.12/32"],
    "keys": "machine-made",
    "transport": "strict",
}


def refused(
    source: str = "192.0.2.7", through: bool = False, gateways: Sequence[str] = ("192.0.2.1:51820",), **other: Any
) -> str:
    beside = {
        "gateways": [{"endpoint": one, "public_key": KEY} for one in gateways],
        "administered_from": other.pop("administered_from", ["10.99.0.0/24"]),
    }
    came = network.address(source)
    return "\n".join(vpn_look.refusals({**ASKED, **other, "beside": beside}, came, through, other.pop("nearby", [])))


def test_a_whole_policy_is_taken() -> None:
    assert refused() == ""


def test_without_networks_nothing_else_matters() -> None:
    assert refused(networks=[], gateways=[], addresses=[]) == ""


def test_all_that_is_lacking_is_said_at_once() -> None:
    said = refused(gateways=[], addresses=[])
    assert "vpn.gateways" in said
    assert "vpn.addresses" in said


def test_where_somebody_else_brings_the_key_it_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vpn_look, "FOLDER", tmp_path)
    assert "say machine-made" in refused(keys="any")
    (tmp_path / "readingroom.key").write_text("of somebody else\n")
    assert refused(keys="any") == ""


@pytest.mark.parametrize("source", ["10.88.0.7", "::ffff:10.88.0.7", "fd88::7%eth0"])
def test_who_would_lock_itself_out_is_refused_unless_it_comes_through_the_tunnel(source: str) -> None:
    assert "nobody could come in any more" in refused(source)
    assert refused(source, through=True) == ""


@pytest.mark.parametrize("endpoint", ["10.88.0.1:51820", "[fd88::1]:51820"])
def test_a_tunnel_through_itself_is_refused(endpoint: str) -> None:
    assert "through itself" in refused(gateways=[endpoint])


def test_the_network_that_the_machine_is_in_cannot_be_tunnelled() -> None:
    nearby = ["10.0.7.0/24", "fd00::/64"]
    assert "more narrowly" in refused(networks=["10.0.0.0/8"], nearby=nearby)
    assert refused(nearby=nearby) == ""


def test_a_gateway_with_a_name_inside_of_the_networks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda host, port: [(2, 1, 6, "", ("10.88.0.1", 0))])
    assert "through itself" in refused(gateways=["vpn.consortium.example:51820"])


def test_a_gateway_with_a_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "hosts", lambda host: [])
    assert refused(gateways=["vpn.consortium.example:51820"]) == ""


def test_everything_there_is_cannot_be_tunnelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "hosts", lambda host: [])
    assert "vpn.browsing: tunnelled" in refused(networks=["0.0.0.0/0"], gateways=["a.example:1"])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, ""),
        ({"networks": []}, ""),
        ({"gateways": ["vpn.consortium.example:51820"]}, "give the gateway's address"),
        ({"transport": "plain"}, "make it strict"),
        ({"administered_from": ["::/0"]}, "that administrators come from"),
        ({"networks": [], "gateways": []}, "vpn.gateways"),
        ({"networks": [], "addresses": []}, "vpn.addresses"),
    ],
)
def test_browsing_through_the_tunnel_has_conditions(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(network, "hosts", lambda host: [])
    found = refused(browsing="tunnelled", **other)
    assert said in found
    assert bool(said) == bool(found)
    assert "vpn.browsing" not in refused(browsing="direct", **{"networks": ["10.88.0.0/24"], **other})


def test_only_what_the_machine_has_addresses_for_goes_in() -> None:
    assert vpn_look.in_the_tunnel(["1.0.0.0/8", "2000::/3"], ["10.89.0.12/32"]) == ["1.0.0.0/8"]


@pytest.mark.parametrize(("settled", "leads", "up", "browses"), [
    (True, False, False, True), (False, True, True, True), (False, False, True, False), (False, True, False, False),
])  # fmt: skip
def test_browsing_goes_in_once_the_gateway_leads_out_and_then_stays(
    monkeypatch: pytest.MonkeyPatch, settled: bool, leads: bool, up: bool, browses: bool
) -> None:
    monkeypatch.setattr(vpn_look, "PATIENCE", 0.0)
    monkeypatch.setattr(vpn_look, "CARD", "lo" if up else "none")
    monkeypatch.setattr(vpn_look, "leads_out", lambda tries: leads)
    monkeypatch.setattr(network, "takes_browsing", lambda: settled)
    assert vpn_look.browses({"browsing": "tunnelled"}, []) is browses
    assert vpn_look.browses({"browsing": "direct"}, []) is False


FILE = f"""# Made by Reading Room
[Interface]
Address = 10.89.0.12/32, fd89::12/128
PostUp = wg set %i private-key /etc/wireguard/readingroom.key

[Peer]
PublicKey = {KEY}
Endpoint = 192.0.2.1:51820
AllowedIPs = 10.88.0.0/24, fd88::/64
"""
CARDS = '[{"addr_info": [{"local": "10.89.0.12", "prefixlen": 32, "scope": "global"}, \
{"local": "fd89::12", "prefixlen": 128, "scope": "global"}, {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]'
WAYS = [{"dst": "10.88.0.0/24", "dev": "wg-library"}, {"dst": "fd88::/64", "dev": "wg-library"}]
SHOWN = f"[Interface]\nListenPort = 4\n\n[Peer]\nPublicKey = {KEY}\nAllowedIPs = fd88::/64, 10.88.0.0/24\n"


@pytest.mark.parametrize(
    ("shown", "cards", "ways", "key", "works"),
    [
        (SHOWN, CARDS, WAYS, "ours", True),
        (None, CARDS, WAYS, "ours", False),
        (SHOWN.replace("fd88::/64, ", ""), CARDS, WAYS, "ours", False),
        (SHOWN.replace("fd88::/64, ", "fd88::/64, 9.9.9.9/32, "), CARDS, WAYS, "ours", True),
        (SHOWN.replace("fd88::/64, ", "fd88::/64, 8.8.8.8/32, "), CARDS, WAYS, "ours", False),
        (SHOWN.replace(KEY, KEY.swapcase()), CARDS, WAYS, "ours", False),
        (SHOWN, "[]", WAYS, "ours", False),
        (SHOWN, CARDS, WAYS[:1], "ours", False),
        (SHOWN, CARDS, WAYS, "another", False),
    ],
)
def test_a_tunnel_works_when_it_is_what_its_file_says(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shown: str | None,
    cards: str,
    ways: list[dict[str, str]],
    key: str,
    works: bool,
) -> None:
    (tmp_path / "wg-library.conf").write_text(FILE)
    (tmp_path / "readingroom.pub").write_text("ours\n")
    said = {"showconf": shown, "wg-library": cards, "public-key": f"{key}\n"}
    monkeypatch.setattr(vpn_look, "FOLDER", tmp_path)
    monkeypatch.setattr(vpn_look, "run", lambda *argv: said["showconf" if "showconf" in argv else argv[-1]])
    monkeypatch.setattr(network, "routes", lambda: iter(ways))
    assert vpn_look.works(["9.9.9.9/32"]) is works


@pytest.mark.parametrize("browses", [True, False])
def test_the_settings_say_whether_browsing_goes_in_as_the_firewall_reads_it(browses: bool) -> None:
    found = {"browses": browses, "through": ["10.88.0.0/24"], "tries": []}
    given = {"vpn_addresses": ASKED["addresses"], "vpn_gateways": [{"endpoint": "192.0.2.1:51820", "public_key": KEY}]}
    template = toolkit.root() / "roles" / "vpn" / "templates" / "wg-library.conf.j2"
    text = render_file(template, {**given, "__vpn_found": found})
    assert (network.TAKES_BROWSING in text.splitlines()) is browses
