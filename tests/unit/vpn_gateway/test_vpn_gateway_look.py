"""What the gateway's role refuses before anything has changed."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import network
import pytest
import vpn_gateway_look

from readingroom import toolkit
from readingroom.apply.rendering import render_file

ASKED: dict[str, Any] = {
    "addresses": ["10.89.0.1/24", "fd89::1/64"],
    "members": [{"name": "elm-desk-1", "public_key": "elm", "addresses": ["10.89.0.12/32", "fd89::12/128"]}],
    "networks": ["10.88.0.0/24", "fd88::/64"],
    "port": "udp/51820",
    "key": "machine-made",
}
NEARBY = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/64")]


def refused(source: str = "192.0.2.7", **other: Any) -> str:
    return "\n".join(vpn_gateway_look.refusals({**ASKED, **other}, ipaddress.ip_address(source), NEARBY))


def test_a_key_that_somebody_else_was_to_bring_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vpn_gateway_look, "KEY", tmp_path / "wg-members.key")
    brought = {**ASKED, "key": "any"}
    assert "leaves the key to somebody else" in "\n".join(vpn_gateway_look.hindrances(brought))
    for name in ("wg-members.key", "wg-members.pub"):
        (tmp_path / name).write_text("a key\n")
    assert "leaves the key" not in "\n".join(vpn_gateway_look.hindrances(brought))


def member(*addresses: str) -> list[dict[str, Any]]:
    return [{"name": "oak", "public_key": "oak", "addresses": list(addresses)}]


def test_a_whole_policy_is_taken() -> None:
    assert refused() == ""


def test_a_gateway_may_wait_for_its_first_member() -> None:
    assert refused(members=[]) == ""


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param({"addresses": []}, "vpn.gateway_addresses", id="no address of its own"),
        pytest.param({"members": member("10.90.0.5/32")}, "no network of vpn.gateway_addresses", id="elsewhere"),
        pytest.param({"members": member("10.89.0.0/16")}, "no network of vpn.gateway_addresses", id="too wide"),
        pytest.param({"members": member("10.89.0.0/28")}, "the gateway's own", id="the gateway's own address"),
        pytest.param({"networks": ["10.0.0.0/8"]}, "reach each other", id="systems around the tunnel"),
        pytest.param({"networks": ["::/0"]}, "reach each other", id="everything there is"),
        pytest.param({"addresses": ["192.0.2.1/25"]}, "take it over", id="a network by another card"),
        pytest.param({"source": "10.89.0.12"}, "comes in through the tunnel", id="through the tunnel itself"),
    ],
)
def test_what_would_lead_nowhere_or_lock_somebody_out_is_refused(other: dict[str, Any], said: str) -> None:
    assert said in refused(**other)


@pytest.mark.parametrize(("ours", "refusing"), [(False, True), (True, False)])
def test_a_machine_that_forwards_for_others_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ours: bool, refusing: bool
) -> None:
    monkeypatch.setattr(vpn_gateway_look, "setting", lambda name: "1")
    monkeypatch.setattr(vpn_gateway_look, "run", lambda *argv: "")
    monkeypatch.setattr(vpn_gateway_look, "FORWARDING", tmp_path / "forwarding.conf")
    if ours:
        vpn_gateway_look.FORWARDING.write_text("")
    assert ("forwards for others" in "\n".join(vpn_gateway_look.hindrances(ASKED))) is refusing


def test_who_came_in_with_the_next_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpn_gateway_look, "run", lambda *argv: "a\t5\na2\t9\nb\t9\nb2\t5\nc\t9\n")
    members = [
        {"name": "a", "public_key": "a", "next_key": "a2"},
        {"name": "b", "public_key": "b", "next_key": "b2"},
        {"name": "c", "public_key": "c"},
    ]
    assert vpn_gateway_look.changed_keys(members) == ["a"]


def test_the_settings_on_the_machine_name_nobody() -> None:
    template = toolkit.root() / "roles" / "vpn_gateway" / "templates" / "vpn-gateway.json.j2"
    two = [*ASKED["members"], {"name": "oak", "public_key": "o1", "next_key": "o2", "addresses": ["10.89.0.3/32"]}]
    given = {
        "vpn_gateway_port": "udp/51820", "vpn_gateway_addresses": ASKED["addresses"], "vpn_gateway_members": two,
    }  # fmt: skip
    text = render_file(template, given)
    assert vpn_gateway_look.json.loads(text) == {
        "port": 51820,
        "addresses": ASKED["addresses"],
        "members": [
            {"keys": ["elm"], "addresses": ["10.89.0.12/32", "fd89::12/128"]},
            {"keys": ["o1", "o2"], "addresses": ["10.89.0.3/32"]},
        ],
    }


def test_members_of_a_gateway_to_the_internet_do_not_reach_the_gateway_itself() -> None:
    template = toolkit.root() / "roles" / "vpn_gateway" / "templates" / "vpn-gateway.nft.j2"
    found = {"tunnel": ["10.89.0.0/24"], "internet": network.everywhere()}
    text = render_file(
        template, {"vpn_gateway_member_networks": ["10.88.0.0/24", "internet"], "__vpn_gateway_found": found}
    )
    forward, received = text.partition("chain forward")[2].split("chain input")
    assert "ip daddr @internet4 accept" in forward
    assert "internet" not in received.partition("chain postrouting")[0]
    assert "elements = { 10.88.0.0/24 }" in text
    assert "elements = { 2000::/3" in text


def test_the_internet_is_no_network_that_could_hold_the_tunnel() -> None:
    assert refused(networks=["10.88.0.0/24", "internet"]) == ""
