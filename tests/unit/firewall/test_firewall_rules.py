"""The rules as the template writes them, by what must be true of them for every policy."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from readingroom import toolkit
from readingroom.apply.rendering import render_file

TEMPLATE = toolkit.root() / "roles" / "firewall" / "templates" / "firewall.nft.j2"
FOUND: dict[str, Any] = {
    "admins": ["203.0.113.5/32"], "ssh_ports": [22, 2222], "peers": ["10.0.0.0/24", "fe80::/10"],
    "resolvers": ["10.0.0.1/32"], "printers": ["10.0.0.9 . 631", "2001:db8::9 . 9100"],
    "sip_hosts": ["192.0.2.7/32"], "over_tls": ["9.9.9.9/32"], "indoors": ["10.0.0.53/32"],
    "tunnelled": ["10.88.0.0/24", "fd88::/64"],
    "tried_mark": 21074,
    "tunnel_ends": [{"address": "192.0.2.1", "port": 51820}],
}  # fmt: skip
POLICIES = [
    dict(zip(("firewall_incoming", "firewall_outgoing", "firewall_peers", "firewall_visit_log"), words, strict=True))
    for words in itertools.product(
        ("any", "listed"), ("any", "listed"), ("reachable", "isolated"), ("any", "counters", "nothing")
    )
]


def rules(**policy: Any) -> str:
    off = {"kill_switch": "any", "plain_sip": "any", "sip_server": "none", "other_resolvers": "reachable",
           "dns_transport": "plain", "browsing": "direct"}  # fmt: skip
    policy = {f"firewall_{name}": word for name, word in off.items()} | policy
    lists = (
        "plain_sip_ports",
        "tunnelled_networks",
        "closed_networks",
        "shared_hosts",
        "incoming_ports",
        "outgoing_ports",
    )
    return render_file(
        Path(TEMPLATE), {f"firewall_{name}": [] for name in lists} | policy | {"__firewall_found": FOUND}
    )


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: "-".join(one.values()))
def test_whatever_the_policy_says(policy: dict[str, str]) -> None:
    text = rules(**policy)
    assert "flush ruleset" not in text, "rules of others are not ours to remove"
    assert " log" not in text, "a visit would be written down"
    assert text.index("ip saddr @admins4 tcp dport { 22, 2222 } accept") < text.index("chain output")
    if "ip saddr @peers4" in text:
        assert text.index("@admins4 tcp dport") < text.index("ip saddr @peers4"), (
            "who administers from the same room is shut out"
        )
    assert ("counter" in text) == (policy["firewall_visit_log"] == "counters")


def test_a_list_of_both_families_is_taken_apart() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="any", firewall_peers="isolated", firewall_visit_log="nothing"
    )
    assert "elements = { 10.0.0.0/24 }" in text
    assert "elements = { fe80::/10 }" in text


def tunnelled(kill_switch: str) -> str:
    return rules(
        firewall_incoming="listed", firewall_outgoing="any", firewall_peers="reachable", firewall_visit_log="nothing",
        firewall_kill_switch=kill_switch, firewall_tunnelled_networks=["10.88.0.0/24", "fd88::/64"],
    ).partition("chain output")[2]  # fmt: skip


def test_what_belongs_into_the_tunnel_is_refused_before_what_is_established_is_let_through() -> None:
    text = tunnelled("closed")
    for word in ("ip daddr @tunnelled4", "ip6 daddr @tunnelled6"):
        assert text.index(f"{word} fib saddr type != local drop") < text.index(f"{word} reject"), (
            "a refusal would follow an address that has gone with the tunnel, and show outside what it refuses"
        )
        assert text.index(word) < text.index("ct state established"), (
            "what began in the tunnel would go on outside of it"
        )
        assert text.index("@admins6 tcp sport") < text.index(word), "who administers from there would be shut out"


def test_the_tunnel_itself_gets_out_of_a_machine_that_lets_little_out() -> None:
    text = tunnelled("closed")
    end = text.index("udp dport 51820 ip daddr 192.0.2.1 accept")
    assert text.index("@tunnelled4") < end < text.index("ct state established")


def test_without_a_kill_switch_nothing_more_is_refused() -> None:
    assert "tunnelled4" not in tunnelled("any")


def test_sip_in_clear_is_refused_before_what_is_established_and_not_inside_a_tunnel() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="any", firewall_peers="reachable", firewall_visit_log="nothing",
        firewall_plain_sip="refused", firewall_plain_sip_ports=["tcp/6001", "tcp/8023"],
    ).partition("chain output")[2]  # fmt: skip
    assert text.index('oifname != "wg*" tcp dport @plain_sip_tcp') < text.index("ct state established")
    assert "systems4" not in text


def test_sip_in_clear_is_refused_in_a_tunnel_to_the_internet_as_well_but_for_the_library_s_systems() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="any", firewall_peers="reachable", firewall_visit_log="nothing",
        firewall_plain_sip="refused", firewall_plain_sip_ports=["tcp/6001"], firewall_browsing="tunnelled",
    ).partition("chain output")[2]  # fmt: skip
    refused = text.index('oifname "wg-library" ip daddr != @systems4 tcp dport @plain_sip_tcp reject')
    assert refused < text.index("ct state established")


def test_other_resolvers_are_refused_after_those_that_are_named() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="listed", firewall_peers="isolated", firewall_visit_log="nothing",
        firewall_other_resolvers="blocked", firewall_outgoing_ports=["udp/53", "tcp/853"],
    ).partition("chain output")[2]  # fmt: skip
    refused = text.index("th dport { 53, 853 } reject")
    assert text.index("ip daddr @over_tls4 accept") < refused
    assert text.index("th dport 53 ip daddr @indoors4 accept") < refused
    assert refused < text.index("udp dport @outgoing_udp"), "the list of ports would let them out"


def test_a_public_station_gets_out_to_the_library_system_and_nowhere_else_on_its_port() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="listed", firewall_peers="isolated", firewall_visit_log="nothing",
        firewall_sip_server="sip.example:6443",
    )  # fmt: skip
    assert "elements = { 192.0.2.7/32 }" in text
    assert text.index("tcp dport 6443 ip daddr @sip4 accept") < text.index(
        "ip daddr @peers4", text.index("chain output")
    )


def test_a_printer_in_a_closed_network_is_reached_at_its_door() -> None:
    text = rules(
        firewall_incoming="listed", firewall_outgoing="listed", firewall_peers="isolated", firewall_visit_log="nothing",
        firewall_closed_networks=["10.0.0.0/24", "2001:db8::/64"],
    )  # fmt: skip
    for family, door in (("4", "10.0.0.9 . 631"), ("6", "2001:db8::9 . 9100")):
        assert f"elements = {{ {door} }}" in text
        assert text.index(f"@printers{family} accept") < text.index(f"@closed{family} reject")
    assert text.count("@printers") == 2, "a printer is reached by another rule as well"
