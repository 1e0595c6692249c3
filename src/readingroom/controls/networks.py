"""Free-form values that have to do with networks: servers, tunnels, resolvers. Must not know types or strictness."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..document import Item
from ..errors import Place, did_you_mean
from . import singles
from .durations import Unfit
from .singles import HOST, Json, Shape, text_of

_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")
_TUNNEL_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_CERTIFICATES = re.compile(
    r"(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\n?)+", re.MULTILINE
)


def _server(item: Item) -> str:
    text = text_of(item, _SERVER)
    if text == "none":
        return text
    _host_and_port(text, _SERVER)
    return text


def _host_and_port(text: str, advice: str) -> None:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536 or not _is_host(host):
        raise Unfit(f"{text[:60]!r} is not a host and a port", advice)


def _local_port(item: Item) -> str:
    text = singles.port(text_of(item, _LOCAL_PORT))
    protocol, _, port = text.partition("/")
    if protocol != "tcp" or int(port) < 1024:
        raise Unfit(f"{text} is not a port that a program without rights may have", _LOCAL_PORT)
    return text


def _certificate(item: Item) -> str:
    text = text_of(item, _CERTIFICATE).strip()
    if text == "system":
        return text
    if "PRIVATE KEY" in text:
        raise Unfit("this is a private key, which belongs into no policy", _CERTIFICATE, "bad-key")
    if not _CERTIFICATES.fullmatch(text):
        raise Unfit("this is not a certificate as PEM text", _CERTIFICATE, "bad-key")
    return text


def _own_file(item: Item) -> str:
    text = text_of(item, _OWN_FILE)
    if text != "none" and not _PATH.fullmatch(text):
        raise Unfit(f"{text[:60]!r} is not the path of a file", _OWN_FILE)
    return text


def _tunnel_gateways(item: Item) -> tuple[Mapping[str, str], ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list with the gateway is needed", _GATEWAYS)
    if len(item.items) > 1:
        raise Unfit("a tunnel has one other end", _GATEWAYS)
    return tuple(map(_tunnel_gateway, item.items))


def _tunnel_gateway(entry: Item) -> Mapping[str, str]:
    entries = entry.entries or {}
    if set(entries) != {"endpoint", "public_key"}:
        raise Unfit("a gateway needs an endpoint and a public_key, and nothing else", _GATEWAYS)
    texts = {name: text_of(one, _GATEWAYS).strip() for name, one in entries.items()}
    if not _TUNNEL_KEY.fullmatch(texts["public_key"]):
        raise Unfit("this is not a public key of WireGuard", "paste what `wg pubkey` prints: 44 characters", "bad-key")
    _host_and_port(texts["endpoint"], "write it like vpn.consortium.example:51820")
    return {"endpoint": texts["endpoint"], "public_key": texts["public_key"]}


def _is_host(text: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    if text.startswith("[") and text.endswith("]"):
        try:
            return bool(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            return False
    return bool(HOST.fullmatch(text.lower()))


def _tunnel_addresses(item: Item) -> tuple[str, ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of addresses is needed", _TUNNEL_ADDRESSES)
    texts = (text_of(part, _TUNNEL_ADDRESSES) for part in item.items)
    return tuple(_one_address(text, _TUNNEL_ADDRESSES, ipaddress.ip_interface) for text in texts)


def _dns_resolvers(item: Item) -> tuple[str, ...]:
    if not item.items:
        raise Unfit("a list of resolvers, one at least, is needed", _RESOLVERS)
    return tuple(_named_resolver(text_of(part, _RESOLVERS)) for part in item.items)


def _named_resolver(text: str) -> str:
    address, _, name = text.partition("#")
    if not name or not HOST.fullmatch(name.lower()):
        raise Unfit(f"{text[:60]!r} does not say which name its certificate bears", _RESOLVERS)
    return f"{_one_address(address, _RESOLVERS)}#{name.lower()}"


def _one_address(
    text: str, advice: str, read: Callable[[str], object] = ipaddress.ip_address, place: Place | None = None
) -> str:
    try:
        return str(read(text))
    except ValueError:
        raise Unfit(f"{text[:60]!r} is not an address", advice, place=place) from None


def _dns_local_domains(item: Item) -> tuple[Mapping[str, Any], ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of domains is needed", _LOCAL_DOMAINS)
    return tuple(map(_dns_local_domain, item.items))


def _dns_local_domain(entry: Item) -> Mapping[str, Any]:
    entries = entry.entries or {}
    if set(entries) != {"domain", "resolvers"} or not entries["resolvers"].items:
        raise Unfit("a local domain needs a domain and its resolvers, and nothing else", _LOCAL_DOMAINS)
    found = [_one_address(text_of(one, _LOCAL_DOMAINS), _LOCAL_DOMAINS) for one in entries["resolvers"].items]
    return {"domain": singles.host(text_of(entries["domain"], _LOCAL_DOMAINS)), "resolvers": tuple(found)}


def _key_change(item: Item) -> str:
    text = text_of(item, _KEY_CHANGE)
    if text not in KEY_CHANGES:
        raise Unfit(f"{text[:60]} is no step of a change of keys", did_you_mean(text, KEY_CHANGES), "unknown-choice")
    return text


def _udp_port(item: Item) -> str:
    text = singles.port(text_of(item, _UDP_PORT))
    if not text.startswith("udp/"):
        raise Unfit(f"{text} is not a port of UDP, which WireGuard speaks", _UDP_PORT)
    return text


def _tunnel_members(item: Item) -> tuple[Mapping[str, Any], ...]:
    if item.items is None:
        raise Unfit(f"{item.described} stands where a list of members is needed", _MEMBERS)
    members = tuple(map(_tunnel_member, item.items))
    _refuse_shared(members, item.items)
    return members


def _tunnel_member(entry: Item) -> Mapping[str, Any]:
    fields, needed = entry.entries or {}, ("name", "public_key", "addresses")
    for word in sorted(set(fields) - {*needed, "next_key"}):
        raise Unfit(f"{word[:60]} is not known of a member", _MEMBERS, place=entry.keys[word])
    for word in needed:
        if word not in fields:
            raise Unfit(f"a member needs {word}", _MEMBERS, place=entry.place)
    name = text_of(fields["name"], _MEMBERS)
    if not HOST.fullmatch(name):
        raise Unfit(f"{name[:60]!r} is not the name of a member", _MEMBERS, place=fields["name"].place)
    keys = {word: text_of(fields[word], _MEMBERS).strip() for word in _MEMBER_KEYS if word in fields}
    for word, text in keys.items():
        if not _TUNNEL_KEY.fullmatch(text):
            mend = "paste what `wg pubkey` prints: 44 characters"
            raise Unfit(f"the {word} of {name} is not a public key of WireGuard", mend, "bad-key", fields[word].place)
    return {"name": name, **keys, "addresses": _member_addresses(fields["addresses"])}


def _member_addresses(item: Item) -> tuple[str, ...]:
    """What a member may send from: a machine's own addresses, or the network of a whole branch."""
    if not item.items:
        raise Unfit("a member needs its addresses in the tunnel", _TUNNEL_ADDRESSES, place=item.place)
    return tuple(
        _one_address(text_of(part, _TUNNEL_ADDRESSES), _TUNNEL_ADDRESSES, ipaddress.ip_network, part.place)
        for part in item.items
    )


def _refuse_shared(members: Sequence[Mapping[str, Any]], entries: Sequence[Item]) -> None:
    """Refuse two members with one name, one key or one address: a gateway could not tell them apart."""
    taken: dict[tuple[str, str], str] = {}
    for member, entry in zip(members, entries, strict=True):
        for word in ("name", *_MEMBER_KEYS):
            kind = "name" if word == "name" else "key"
            if word not in member:
                continue
            if (other := taken.get((kind, member[word]))) is not None:
                said = f"{other} and {member['name']} have one key"
                if word == "name":
                    said = f"two members are called {other}"
                elif other == member["name"]:
                    said = f"the next_key of {other} is the key it has"
                raise Unfit(said, f"give each member a {kind} of its own", f"shared-{kind}", _at(entry, word))
            taken[kind, member[word]] = member["name"]
    # in this order, a network that overlaps another follows one that does
    spans = sorted(
        ((ipaddress.ip_network(text), number) for number, one in enumerate(members) for text in one["addresses"]),
        key=lambda span: (span[0].version, int(span[0].network_address), span[0].prefixlen, span[1]),
    )
    for (span, first), (following, second) in itertools.pairwise(spans):
        if span.version == following.version and following.network_address in span:
            early, late = sorted((first, second))
            said = f"{members[early]['name']} and {members[late]['name']} both have {following}"
            raise Unfit(said, "give each address to one member", "shared-address", _at(entries[late], "addresses"))


def _at(entry: Item, word: str) -> Place:
    """Where a field of an entry stands."""
    return (entry.entries or {}).get(word, entry).place


KEY_CHANGES = ("none", "prepare", "use")
_MEMBER_KEYS = ("public_key", "next_key")
_SERVER = "write it like sip.consortium.example:6443, or none"
_LOCAL_PORT = "write it like tcp/6001; 1024 at least"
_CERTIFICATE = "paste the certificate, from -----BEGIN CERTIFICATE----- on, as a block after `|`; or write system"
_OWN_FILE = "write the file's whole path, such as /etc/ssl/private/sip-client.pem; or write none"
_GATEWAYS = "write one gateway: [{endpoint: vpn.consortium.example:51820, public_key: …}]"
_TUNNEL_ADDRESSES = "write the machine's addresses in the tunnel: [10.89.0.12/32]"
_RESOLVERS = "write addresses with the name in the certificate: [9.9.9.9#dns.quad9.net]"
_LOCAL_DOMAINS = "write the library's own domains: [{domain: library.lan, resolvers: [10.0.0.53]}]"
_KEY_CHANGE = "write none, prepare or use"
_UDP_PORT = "write it like udp/51820"
_MEMBERS = "write a list of members: [{name: elm-desk-1, public_key: …, addresses: [10.89.0.12/32]}]"


_GATEWAY: Json = {
    "type": "object",
    "required": ["endpoint", "public_key"],
    "additionalProperties": False,
    "properties": {
        "endpoint": {"type": "string", "description": "Its host and port, such as vpn.consortium.example:51820."},
        "public_key": {"type": "string", "description": "Its public key."},
    },
}


_LOCAL_DOMAIN: Json = {
    "type": "object",
    "required": ["domain", "resolvers"],
    "additionalProperties": False,
    "properties": {
        "domain": {"type": "string", "description": "The domain, such as library.lan."},
        "resolvers": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Who is asked for it.",
        },
    },
}


_MEMBER: Json = {
    "type": "object",
    "required": ["name", "public_key", "addresses"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "description": "What the member is called, such as elm-desk-1."},
        "public_key": {"type": "string", "description": "Its public key."},
        "next_key": {"type": "string", "description": "The public key that it is about to change to."},
        "addresses": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Its addresses in the tunnel, such as 10.89.0.12/32; nobody else has them.",
        },
    },
}


NETWORK_SHAPES: Mapping[str, Shape] = {
    "server": Shape(_server, {"type": "string"}, _SERVER),
    "local-port": Shape(_local_port, {"type": "string"}, _LOCAL_PORT),
    "certificate": Shape(_certificate, {"type": "string"}, _CERTIFICATE),
    "own-file": Shape(_own_file, {"type": "string"}, _OWN_FILE),
    "tunnel-gateways": Shape(_tunnel_gateways, {"type": "array", "items": _GATEWAY, "maxItems": 1}, _GATEWAYS),
    "tunnel-addresses": Shape(_tunnel_addresses, {"type": "array", "items": {"type": "string"}}, _TUNNEL_ADDRESSES),
    "dns-resolvers": Shape(_dns_resolvers, {"type": "array", "items": {"type": "string"}, "minItems": 1}, _RESOLVERS),
    "dns-local-domains": Shape(_dns_local_domains, {"type": "array", "items": _LOCAL_DOMAIN}, _LOCAL_DOMAINS),
    "key-change": Shape(_key_change, {"type": "string", "enum": list(KEY_CHANGES)}, _KEY_CHANGE),
    "tunnel-members": Shape(_tunnel_members, {"type": "array", "items": _MEMBER}, _MEMBERS),
    "udp-port": Shape(_udp_port, {"type": "string"}, _UDP_PORT),
}
