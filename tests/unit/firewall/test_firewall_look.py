"""What the firewall's look makes of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import firewall_look as look
import network
import pytest

NOTHING: dict[str, Any] = {"gateways": [], "administered_from": [], "shared_hosts": [], "local_domains": []}


def test_the_address_we_come_from_may_always_come_in() -> None:
    assert look.admins(["10.1.0.0/16"], network.address("203.0.113.5")) == ["10.1.0.0/16", "203.0.113.5/32"]


def test_it_is_not_said_twice_where_the_policy_names_its_network() -> None:
    named = ["10.1.0.0/16", "2001:db8::/32"]
    assert look.admins(named, network.address("10.1.2.3")) == named


def test_without_a_connection_there_is_nobody_to_keep() -> None:
    assert look.admins([], None) == []


def test_link_local_addresses_are_neighbours_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "neighbourhoods", lambda: ["10.0.0.0/24"])
    assert look.peers() == ["10.0.0.0/24", "fe80::/10"]


@pytest.mark.parametrize(
    ("browsing", "settings", "closed"),
    [("tunnelled", network.TAKES_BROWSING, True), ("tunnelled", "", False), ("direct", network.TAKES_BROWSING, False)],
)
def test_the_internet_is_closed_when_the_tunnel_has_it_and_not_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, browsing: str, settings: str, closed: bool
) -> None:
    monkeypatch.setattr(network, "TUNNEL_SETTINGS", tmp_path / "wg-library.conf")
    (tmp_path / "wg-library.conf").write_text(f"[Interface]\n{settings}\n[Peer]\n")
    asked = {"tunnelled": ["10.88.0.0/24"], "browsing": browsing, "beside": NOTHING}
    found = look.tunnelled(asked, None)
    assert found[0] == "10.88.0.0/24"
    assert ("208.0.0.0/4" in found) is closed
    assert ("2000::/3" in found) is closed


def test_the_tunnel_s_other_end_is_known_with_its_port() -> None:
    ends = look.tunnel_ends([{"endpoint": "[2001:db8::1]:51820"}, {"endpoint": "192.0.2.1:443"}])
    assert ends == [{"address": "2001:db8::1", "port": 51820}, {"address": "192.0.2.1", "port": 443}]
