"""What free-form values look like: people, bookmarks, what networks.py knows. Must not know types or strictness."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..document import Item
from ..errors import did_you_mean
from .durations import Unfit
from .networks import NETWORK_SHAPES
from .singles import Json, Shape, login, text_of, web_address

_TERMS = "{searchTerms}"
_SSH_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]{16,}( [^\n\"']*)?")


def _web_address(item: Item) -> str:
    text = text_of(item, _ONE_ADDRESS)
    return text if text == "about:blank" else web_address(text, _ONE_ADDRESS)


def _search_engine(item: Item) -> Mapping[str, str]:
    fields = _fields(item, "name", "url", _ENGINE)
    url = fields["url"]
    if url.count(_TERMS) != 1:
        raise Unfit(f"the address of a search engine must hold {_TERMS} once", _ENGINE, "bad-address")
    web_address(url.replace(_TERMS, "terms"), _ENGINE, "https")
    return fields


def _bookmarks(item: Item) -> tuple[Mapping[str, str], ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of bookmarks is needed", _BOOKMARKS)
    bookmarks = tuple(_fields(entry, "title", "url", _BOOKMARKS) for entry in item.items)
    for bookmark in bookmarks:
        web_address(bookmark["url"], _BOOKMARKS)
    return bookmarks


def _fields(item: Item, label: str, address: str, advice: str) -> dict[str, str]:
    """The two fields of an entry with a name for people and an address."""
    entries = item.entries or {}
    if set(entries) != {label, address}:
        raise Unfit(f"this needs a {label} and a {address}, and nothing else", advice)
    texts = {name: text_of(entry, advice).strip() for name, entry in entries.items()}
    if not re.fullmatch(r"[^\x00-\x1f\x7f{}]{1,60}", texts[label]):
        raise Unfit(f"{texts[label][:60]!r} is not a {label} for people to read", "use 1 to 60 characters, no { or }")
    return {label: texts[label], address: texts[address]}


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
    return {"login": login(text_of(fields["login"], _PEOPLE)), "keys": lines}


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
_ONE_ADDRESS = "write a web address such as https://library.example/, or about:blank"
_ENGINE = "write it like {name: DuckDuckGo, url: https://duckduckgo.com/?q={searchTerms}}"
_BOOKMARKS = "write a list of bookmarks: [{title: Catalogue, url: https://catalogue.example/}]"
_AREAS = "write the areas whose deletion pauses: [logs], [printing] or both"


_PERSON: Json = {
    "type": "object",
    "required": ["login"],
    "additionalProperties": False,
    "properties": {
        "login": {"type": "string", "description": "The login name."},
        "keys": {"type": "array", "items": {"type": "string"}, "description": "SSH public keys."},
    },
}


def _pair(label: str, about: str) -> Json:
    fields = {label: about, "url": "The web address."}
    return {
        "type": "object",
        "required": list(fields),
        "additionalProperties": False,
        "properties": {name: {"type": "string", "description": said} for name, said in fields.items()},
    }


SHAPES: Mapping[str, Shape] = {
    "login": Shape(lambda item: login(text_of(item, _ONE_LOGIN)), {"type": "string"}, _ONE_LOGIN),
    "people": Shape(_people, {"type": "array", "items": _PERSON}, _PEOPLE),
    "web-address": Shape(_web_address, {"type": "string"}, _ONE_ADDRESS),
    "search-engine": Shape(_search_engine, _pair("name", "What the engine is called."), _ENGINE),
    "bookmarks": Shape(
        _bookmarks, {"type": "array", "items": _pair("title", "What the bookmark is called.")}, _BOOKMARKS
    ),
    **NETWORK_SHAPES,
    "hold-areas": Shape(
        _hold_areas, {"type": "array", "items": {"enum": list(HOLD_AREAS)}, "uniqueItems": True}, _AREAS
    ),
}
