"""What single values look like: logins, networks, ports, web addresses; and what a shape is. Must not know types or strictness."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..document import Item
from .durations import Duration, Unfit, parse_duration

Json = dict[str, Any]
_LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_EXTENSION = re.compile(
    r"[a-p]{32}|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|[A-Za-z0-9._-]{0,60}@[A-Za-z0-9._-]{1,60}"
)
_ADDRESS_CHARACTERS = r"A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-"


@dataclass(frozen=True)
class Shape:
    """A free-form value: how it is read, its JSON Schema, and how it is written in a few words."""

    parse: Callable[[Item], Any]
    schema: Json
    advice: str


def text_of(item: Item, advice: str) -> str:
    """The text of a single value, as written."""
    if item.text is None:
        raise Unfit(f"{item.described} stands where a single value is needed", advice)
    return item.text


def login(text: str) -> str:
    """A login name."""
    if not _LOGIN.fullmatch(text):
        raise Unfit(f"{text[:40]!r} is not a login name", "use lower-case letters, digits, dots, dashes (32 at most)")
    return text


def network(text: str) -> str:
    """A network, as Python writes it."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise Unfit(f"{text[:60]!r} is not a network", "write it like 192.0.2.0/24 or 2001:db8::/64") from None


def network_or_internet(text: str) -> str:
    """A network, or the word for all that is public."""
    return text if text == "internet" else network(text)


def port(text: str) -> str:
    """A port with its protocol."""
    found = re.fullmatch(r"(tcp|udp)/([1-9][0-9]{0,4})", text)
    if not found or int(found[2]) > 65535:
        raise Unfit(f"{text[:60]!r} is not a port", "write it like tcp/631 or udp/123")
    return text


def ipp_address(text: str) -> str:
    """The address of a printer that speaks IPP."""
    if not re.fullmatch(r"ipps?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/%-]*)?", text):
        raise Unfit(
            f"{text[:60]!r} is not the address of an IPP printer", "write it like ipp://copier.example/ipp/print"
        )
    return text


def span(text: str) -> Duration:
    """A length of time."""
    span = parse_duration(text)
    if not span.seconds:
        raise Unfit(f"{text} is not a length of time", "write spans such as 10m or 1m")
    return span


def host(text: str) -> str:
    """The name of a host, in lower case."""
    if len(text) > 253 or not HOST.fullmatch(text.lower()):
        raise Unfit(f"{text[:60]!r} is not the name of a host", "write it like catalogue.example, without http://")
    return text.lower()


def extension(text: str) -> str:
    """The id of a browser's extension."""
    if not _EXTENSION.fullmatch(text):
        raise Unfit(
            f"{text[:60]!r} is not the id of an extension",
            "write it like uBlock0@raymondhill.net (Firefox), or as 32 letters from a to p (Chromium)",
        )
    return text


def web_address(text: str, advice: str, schemes: str = "https?") -> str:
    """A web address as written. It names no login, and holds nothing that a template or a shell could take for its own."""
    found = re.fullmatch(
        rf"{schemes}://([^/?#:@\[\]]+|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?([/?#][{_ADDRESS_CHARACTERS}]*)?", text
    )
    if not found or not (found[1].startswith("[") or HOST.fullmatch(found[1].lower())):
        raise Unfit(f"{text[:60]!r} is not a web address", advice, "bad-address")
    return text


def resolver(text: str) -> str:
    """Who looks names up for a browser."""
    return text if text in ("browser-decides", "system") else web_address(text, ADVICE["browser-resolver"], "https")


MEMBERS: Mapping[str, Callable[[str], Any]] = {
    "login": login,
    "network": network,
    "network-or-internet": network_or_internet,
    "port": port,
    "ipp-address": ipp_address,
    "span": span,
    "host": host,
    "extension": extension,
    "browser-resolver": resolver,
}
ADVICE = {
    "network-or-internet": "write networks, and `internet` for all that is public: [10.88.0.0/24, internet]",
    "browser-resolver": "write system, browser-decides, or the address of a resolver such as https://dns.example/dns-query",
}
