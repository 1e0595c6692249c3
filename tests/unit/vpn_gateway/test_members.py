"""Which key has a member's addresses, and what WireGuard is told when members come, go and change their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import vpn_gateway
from hypothesis import given
from hypothesis import strategies as st
from vpn_gateway import Peer

ELM = {"keys": ["elm"], "addresses": ["10.89.0.12/32", "fd89::12/128"]}
OAK = {"keys": ["oak", "oak-next"], "addresses": ["10.89.0.21/32"]}
NONE: frozenset[str] = frozenset()


def peers(**heard: tuple[int, Sequence[str]]) -> dict[str, Peer]:
    return {name.replace("_", "-"): Peer(frozenset(addresses), when) for name, (when, addresses) in heard.items()}


def told(words: list[list[str]], before: Mapping[str, Peer]) -> dict[str, set[str]]:
    """What WireGuard has after these words: who is given an address takes it from whoever had it."""
    found = {key: set(peer.addresses) for key, peer in before.items()}
    for _, key, verb, *rest in words:
        if verb == "remove":
            del found[key]
            continue
        given_now = set(filter(None, rest[0].split(",")))
        for others in found.values():
            others -= given_now
        found[key] = given_now
    return found


@pytest.mark.parametrize(
    ("known", "holds"),
    [
        pytest.param({}, "oak", id="nobody was heard of yet"),
        pytest.param(peers(oak_next=(0, OAK["addresses"])), "oak-next", id="nobody was heard of since a restart"),
        pytest.param(peers(oak=(100, OAK["addresses"]), oak_next=(0, [])), "oak", id="only the old key"),
        pytest.param(peers(oak=(100, OAK["addresses"]), oak_next=(101, [])), "oak-next", id="the next key came in"),
        pytest.param(peers(oak=(100, OAK["addresses"]), oak_next=(100, [])), "oak-next", id="both in one second"),
        pytest.param(peers(oak=(102, []), oak_next=(101, OAK["addresses"])), "oak", id="back to the old key"),
    ],
)
def test_a_members_addresses_belong_to_the_key_last_heard_of(known: dict[str, Peer], holds: str) -> None:
    assert vpn_gateway.holder(OAK, known) == holds


def test_whoever_is_not_concerned_is_not_mentioned() -> None:
    now = peers(elm=(5, ELM["addresses"]), stray=(7, ["10.89.0.99/32"]))
    words = vpn_gateway.changes([ELM, OAK], now)
    assert {word[1] for word in words} == {"stray", "oak", "oak-next"}
    assert vpn_gateway.changes([ELM], peers(elm=(5, ELM["addresses"]))) == []


def test_somebody_elses_addresses_are_taken_back() -> None:
    words = vpn_gateway.changes([ELM], peers(elm=(5, [*ELM["addresses"], "10.89.0.0/24"])))
    assert words == [["peer", "elm", "allowed-ips", "10.89.0.12/32,fd89::12/128"]]


def test_following_leaves_other_members_alone() -> None:
    now = peers(elm=(5, []), oak=(5, OAK["addresses"]), oak_next=(6, []))
    assert {word[1] for word in vpn_gateway.moves([OAK], now)} == {"oak", "oak-next"}


KEYS = st.sampled_from(["elm", "oak", "oak-next", "stray"])
ADDRESSES = st.lists(st.sampled_from([*ELM["addresses"], *OAK["addresses"], "10.89.0.99/32"]), unique=True)


@given(st.dictionaries(KEYS, st.tuples(st.integers(0, 3), ADDRESSES)), st.lists(st.sampled_from([0, 1]), unique=True))
def test_whatever_was_there_exactly_the_members_are_admitted(
    found: dict[str, tuple[int, list[str]]], chosen: list[int]
) -> None:
    members: list[Any] = [[ELM, OAK][number] for number in chosen]
    before = {key: Peer(frozenset(addresses), when) for key, (when, addresses) in found.items()}
    after = told(vpn_gateway.changes(members, before), before)
    assert set(after) == {key for member in members for key in member["keys"]}
    for member in members:
        held = [after[key] for key in member["keys"] if after[key]]
        assert held == [set(member["addresses"])]
    now = {key: Peer(frozenset(after[key]), before[key].heard if key in before else 0) for key in after}
    assert vpn_gateway.changes(members, now) == [], "a second look finds something to change"
