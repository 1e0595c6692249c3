"""The network as a machine sees it, for the looks of roles that have to do with it. Changes nothing.

It also says what of the internet a tunnel takes: routes and firewall have to agree on that.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What bears it is let out by our firewall to any resolver over TLS, so that one can be tried before it is named. Root's alone.
TRIED_MARK = 0x5252
# The tunnel of a machine that is a member of one: its card, and where its settings are.
TUNNEL, TUNNEL_SETTINGS = "wg-library", Path("/etc/wireguard/wg-library.conf")
# Stands in these settings when what is browsed goes through the tunnel: see roles/vpn/templates/wg-library.conf.j2.
TAKES_BROWSING = "# vpn.browsing: tunnelled"

QUEUES = Path("/etc/cups/printers.conf")
# Where CUPS knocks when a queue's address names no port.
PRINT_PORTS = {"http": 80, "https": 443, "ipp": 631, "ipps": 631, "lpd": 515, "socket": 9100}

# What never leaves a building or the provider's network (RFC 6890), and what is spoken to all at once. The rest is the internet.
LOCAL = ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
         "198.18.0.0/15", "224.0.0.0/3")  # fmt: skip
# What addresses have been given out of, and what stands for IPv4 in a network without it (RFC 6052).
INTERNET6 = ("2000::/3", "64:ff9b::/96")


def run(*argv: str) -> str | None:
    """What a program prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def came_in() -> tuple[Address, int] | None:
    """The address this connection comes from and the port it came in at; sudo keeps neither, an ancestor has both."""
    pid = os.getpid()
    while pid > 1:
        place = Path("/proc", str(pid))
        for word in (place / "environ").read_bytes().split(b"\0"):
            if word.startswith(b"SSH_CONNECTION="):
                client, _, _, port = word.partition(b"=")[2].decode().split()
                return address(client), int(port)
        pid = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def address(text: str) -> Address:
    """An address without its zone; one that a dual-stack socket shows as IPv6 is what it really is."""
    found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def single(one: str | Address) -> str:
    """A host as a network of one."""
    return str(ipaddress.ip_network(address(str(one))))


def ordered(networks: Iterable[str]) -> list[str]:
    """Sorted, each once."""
    return [
        str(one) for one in sorted({ipaddress.ip_network(one) for one in networks}, key=lambda one: (one.version, one))
    ]


def is_name(host: str) -> bool:
    """Does it have to be looked up?"""
    try:
        address(host)
    except ValueError:
        return True
    return False


def hosts(name: str) -> list[Address]:
    """Where a host is: an address, or a name as far as it can be looked up."""
    if not is_name(name):
        return [address(name)]
    try:
        return [address(str(one[4][0])) for one in socket.getaddrinfo(name, None)]
    except (OSError, UnicodeError):
        return []


def endpoint(text: str) -> tuple[str, int]:
    """Host and port, such as `vpn.consortium.example:51820` or `[2001:db8::1]:51820`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def tunnel_ends(gateways: Iterable[Mapping[str, str]]) -> list[tuple[Address, int]]:
    """Where a tunnel leads to, with its port, as far as names can be looked up."""
    ends = (endpoint(one["endpoint"]) for one in gateways)
    return [(one, port) for host, port in ends for one in hosts(host)]


def routes() -> Iterator[dict[str, Any]]:
    """The main table's routes, of both families; those of tunnels and containers' bridges as well."""
    for family in ("-4", "-6"):
        yield from json.loads(run("ip", "-j", family, "route", "show") or "[]")


def neighbourhoods() -> list[str]:
    """The networks on this machine's own cables and radios, without link-local addresses, which are neighbours everywhere.

    Routes to single hosts in them are left out: they come and go with a lease.
    """
    found = [
        ipaddress.ip_network(one["dst"])
        for one in routes()
        if "gateway" not in one and one["dst"] != "default" and "dev" in one and physical(one["dev"])
    ]
    near = ([one for one in found if one.version == version and not one.is_link_local] for version in (4, 6))
    return [str(one) for family in near for one in ipaddress.collapse_addresses(family)]


def physical(device: str) -> bool:
    """Is it a card, or stands for one? Container bridges and tunnels are no room with people in it."""
    return not re.match(r"lo$|docker|br-|virbr|veth|wg|tun|tap|podman|cni", device)


def rules_work(rules: Path, table: str) -> bool:
    """Is what a table holds at work what its file says? The file is read in a network of its own, and both are listed alike."""
    listing = ("nft", "--stateless", "list", "table", *table.split())
    if not rules.is_file() or not shutil.which("nft"):
        return False
    meant = run("unshare", "--net", "sh", "-c", 'nft -f "$0" && exec "$@"', str(rules), *listing)
    return meant is not None and meant == run(*listing)


def printers() -> list[tuple[Address, int]]:
    """The doors that print queues lead to, as far as their addresses can be found out."""
    text = QUEUES.read_text() if QUEUES.is_file() else ""
    found = set()
    for uri in re.findall(r"^DeviceURI (\S+)", text, re.MULTILINE):
        try:
            parts = urlsplit(uri)
            usual = PRINT_PORTS[parts.scheme]
            port = parts.port or usual
        except (ValueError, KeyError):
            continue
        found |= {(one, port) for one in hosts(parts.hostname or "") if not one.is_loopback}
    return sorted(found, key=lambda one: (one[0].version, int(one[0]), one[1]))


def in_kernel() -> bool:
    """Is WireGuard part of the kernel, or can it be?"""
    return Path("/sys/module/wireguard").is_dir() or run("modprobe", "--dry-run", "--quiet", "wireguard") is not None


def takes_browsing() -> bool:
    """Does what is browsed here go through the tunnel by its settings?"""
    return TUNNEL_SETTINGS.is_file() and TAKES_BROWSING in TUNNEL_SETTINGS.read_text().splitlines()


def internet(beside: Mapping[str, Any], source: Address | None = None) -> list[str]:
    """The internet as a tunnel takes it: without what has to be reached beside the tunnel.

    `beside` holds the policy's words of whom: `gateways`, `administered_from`, `shared_hosts`, `local_domains`; the machine itself
    knows of its neighbours and its printers. `source` is where this connection comes from, when it comes in past the tunnel.
    """
    apart = [
        *(single(one) for one, _ in tunnel_ends(beside["gateways"])),
        *beside["administered_from"],
        *beside["shared_hosts"],
        *(single(one) for domain in beside["local_domains"] for one in domain["resolvers"]),
        *neighbourhoods(),
        *(single(one) for one, _ in printers()),
        *([single(source)] if source else []),
    ]
    return ordered(without(everywhere(), apart))


def everywhere() -> list[str]:
    """The whole internet."""
    return [*without(["0.0.0.0/0"], LOCAL), *INTERNET6]


def without(networks: Iterable[str], others: Iterable[str]) -> list[str]:
    """These networks without others: what is left of them."""
    left: list[Network] = [ipaddress.ip_network(one) for one in networks]
    for other in map(ipaddress.ip_network, others):
        left = [part for one in left for part in _without(one, other)]
    return [str(one) for one in left]


def _without(one: Network, other: Network) -> Iterator[Network]:
    if one.version != other.version or not one.overlaps(other):
        yield one
    elif other.prefixlen > one.prefixlen:
        yield from one.address_exclude(other)  # type: ignore[arg-type]
