"""What single values and free-form values look like: logins, networks, people. Must not know types or strictness."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..document import Item
from ..errors import did_you_mean
from .durations import Duration, Unfit, parse_duration

Json = dict[str, Any]
_LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_SSH_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]{16,}( [^\n\"']*)?")


def text_of(item: Item, advice: str) -> str:
    if item.text is None:
        raise Unfit(f"{item.described} stands where a single value is needed", advice)
    return item.text


def _login(text: str) -> str:
    if not _LOGIN.fullmatch(text):
        raise Unfit(f"{text[:40]!r} is not a login name", "use lower-case letters, digits, dots, dashes (32 at most)")
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise Unfit(f"{text[:60]!r} is not a network", "write it like 192.0.2.0/24 or 2001:db8::/64") from None


def _ipp_address(text: str) -> str:
    if not re.fullmatch(r"ipps?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/%-]*)?", text):
        raise Unfit(
            f"{text[:60]!r} is not the address of an IPP printer", "write it like ipp://copier.example/ipp/print"
        )
    return text


def _span(text: str) -> Duration:
    span = parse_duration(text)
    if not span.seconds:
        raise Unfit(f"{text} is not a length of time", "write spans such as 10m or 1m")
    return span


MEMBERS: Mapping[str, Callable[[str], Any]] = {
    "login": _login,
    "network": _network,
    "ipp-address": _ipp_address,
    "span": _span,
}


def _people(item: Item) -> tuple[Mapping[str, Any], ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of people is needed", _PEOPLE)
    people = [_person(entry) for entry in item.items]
    logins = [person["login"] for person in people]
    if len(set(logins)) < len(logins):
        raise Unfit("two people have the same login", "give each person a login of their own", "shared-login")
    return tuple(people)


def _person(entry: Item) -> Mapping[str, Any]:
    fields = entry.entries or {}
    unknown = sorted(set(fields) - {"login", "keys"})
    if "login" not in fields or unknown:
        raise Unfit(f"{unknown[0]} is not known here" if unknown else "a person needs a login", _PEOPLE)
    keys = fields["keys"].items or () if "keys" in fields else ()
    lines = tuple(text_of(key, _PEOPLE).strip() for key in keys)
    if not all(map(_SSH_KEY.fullmatch, lines)):
        raise Unfit("this is not an SSH public key", "paste the whole line of the .pub file", "bad-key")
    return {"login": _login(text_of(fields["login"], _PEOPLE)), "keys": lines}


def _hold_areas(item: Item) -> tuple[str, ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list is needed", _AREAS)
    areas = tuple(sorted({text_of(part, _AREAS) for part in item.items}))
    if unknown := [area for area in areas if area not in HOLD_AREAS]:
        raise Unfit(f"{unknown[0]} is not an area", did_you_mean(unknown[0], HOLD_AREAS), "unknown-choice")
    return areas


HOLD_AREAS = ("logs", "printing")
_ONE_LOGIN = "write one login name"
_PEOPLE = "write a list of people: [{login: ada, keys: [ssh-ed25519 …]}]"
_AREAS = "write the areas whose deletion pauses: [logs], [printing] or both"


@dataclass(frozen=True)
class Shape:
    """A free-form value: how it is read, its JSON Schema, and how it is written in a few words."""

    parse: Callable[[Item], Any]
    schema: Json
    advice: str


_PERSON: Json = {
    "type": "object",
    "required": ["login"],
    "additionalProperties": False,
    "properties": {"login": {"type": "string"}, "keys": {"type": "array", "items": {"type": "string"}}},
}
SHAPES: Mapping[str, Shape] = {
    "login": Shape(lambda item: _login(text_of(item, _ONE_LOGIN)), {"type": "string"}, _ONE_LOGIN),
    "people": Shape(_people, {"type": "array", "items": _PERSON}, _PEOPLE),
    "hold-areas": Shape(
        _hold_areas, {"type": "array", "items": {"enum": list(HOLD_AREAS)}, "uniqueItems": True}, _AREAS
    ),
}
