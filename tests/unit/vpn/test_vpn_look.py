"""What the tunnel's role refuses before anything has changed, and when it takes a tunnel for working."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
import vpn_look

KEY = "Hkf3l8UdpM8PNQZk9OOLUkhWJP/H6deIGWazzJDl8jM="
ASKED: dict[str, Any] = {
    "networks": ["10.88.0.0/24", "fd88::/64"],
    "gateways": [{"endpoint": "192.0.2.1:51820", "public_key": KEY}],
    "addresses": ["10.89.0.12/32"],
    "keys": "machine-made",
}


def refused(source: str | None = "192.0.2.7", through: bool = False, **other: Any) -> str:
    return "\n".join(vpn_look.refusals({**ASKED, **other}, source, through))


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
    assert "through itself" in refused(gateways=[{"endpoint": endpoint, "public_key": KEY}])


def test_the_network_that_the_machine_is_in_cannot_be_tunnelled() -> None:
    nearby = [ipaddress.ip_network("10.0.7.0/24"), ipaddress.ip_network("fd00::/64")]
    wide = "\n".join(vpn_look.refusals({**ASKED, "networks": ["10.0.0.0/8"]}, "192.0.2.7", False, nearby))
    assert "more narrowly" in wide
    assert vpn_look.refusals(ASKED, "192.0.2.7", False, nearby) == []


def test_a_gateway_with_a_name_inside_of_the_networks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpn_look.socket, "getaddrinfo", lambda host, port: [(2, 1, 6, "", ("10.88.0.1", 0))])
    assert "through itself" in refused(gateways=[{"endpoint": "vpn.consortium.example:51820", "public_key": KEY}])


def test_a_gateway_with_a_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpn_look, "addresses", lambda endpoint: [])
    assert refused(gateways=[{"endpoint": "vpn.consortium.example:51820", "public_key": KEY}]) == ""


def test_everything_there_is_cannot_be_tunnelled() -> None:
    assert "no way out" in refused(networks=["0.0.0.0/0"], gateways=[{"endpoint": "a.example:1", "public_key": KEY}])


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
SHOWN = f"[Interface]\nListenPort = 4\n\n[Peer]\nPublicKey = {KEY}\nAllowedIPs = fd88::/64, 10.88.0.0/24\n"


@pytest.mark.parametrize(
    ("shown", "cards", "key", "works"),
    [
        (SHOWN, CARDS, "ours", True),
        (None, CARDS, "ours", False),
        (SHOWN.replace("fd88::/64, ", ""), CARDS, "ours", False),
        (SHOWN.replace(KEY, KEY.swapcase()), CARDS, "ours", False),
        (SHOWN, "[]", "ours", False),
        (SHOWN, CARDS, "another", False),
    ],
)
def test_a_tunnel_works_when_it_is_what_its_file_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shown: str | None, cards: str, key: str, works: bool
) -> None:
    (tmp_path / "wg-library.conf").write_text(FILE)
    (tmp_path / "readingroom.pub").write_text("ours\n")
    said = {"showconf": shown, "wg-library": cards, "public-key": f"{key}\n"}
    monkeypatch.setattr(vpn_look, "FOLDER", tmp_path)
    monkeypatch.setattr(vpn_look, "run", lambda *argv: said["showconf" if "showconf" in argv else argv[-1]])
    assert vpn_look.works() is works
