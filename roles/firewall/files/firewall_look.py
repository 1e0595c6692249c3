"""What the firewall's rules must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`admins`     networks that may come in over SSH: the policy's, and the address this very connection comes from
`ssh_ports`  the ports that sshd listens on
`peers`      the networks that this machine's own cards are in
`resolvers`  the hosts that look names up for it, with its gateways, which often do
`over_tls`   the resolvers that are asked over TLS: those that the library named, and those that are asked now
`indoors`    the resolvers in the building that know the library's own domains
`printers`   the doors that its print queues lead to, each an address and a port
`sip_hosts`  the addresses of the library system that takes SIP2 over TLS
`speaks_plain`  whether a program on this machine speaks SIP2 in clear just now
`services`   units of known services that answer the network and that nobody asked for
`tables`     tables of rules that are not ours
`loaded`     whether the rules that are at work are those in the file
`stays`      whether the file is there
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RULES = Path("/etc/readingroom/firewall.nft")
QUEUES = Path("/etc/cups/printers.conf")
RESOLVER = Path("/etc/unbound/readingroom.conf")
OURS = "inet readingroom"
# Where CUPS knocks when a queue's address names no port.
PRINT_PORTS = {"http": 80, "https": 443, "ipp": 631, "ipps": 631, "lpd": 515, "socket": 9100}
# Answer the whole network, and announce the machine by name.
SERVICES = ("avahi-daemon.socket", "avahi-daemon.service", "cups-browsed.service", "rpcbind.socket", "rpcbind.service")


def run(*argv: str, stdin: str | None = None) -> str | None:
    """What a program prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def came_in() -> tuple[str, int] | None:
    """The address this connection comes from and the port it came in at; sudo keeps neither, an ancestor has both."""
    pid = os.getpid()
    while pid > 1:
        place = Path("/proc", str(pid))
        for word in (place / "environ").read_bytes().split(b"\0"):
            if word.startswith(b"SSH_CONNECTION="):
                client, _, _, port = word.partition(b"=")[2].decode().split()
                return str(address(client)), int(port)
        pid = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone; one that a dual-stack socket shows as IPv6 is what it really is."""
    found = ipaddress.ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def single(text: str) -> str:
    """A host as a network of one."""
    return str(ipaddress.ip_network(address(text)))


def admins(networks: list[str], source: str | None) -> list[str]:
    """The policy's networks, and the way we came in where they do not hold it."""
    if source is None or any(address(source) in ipaddress.ip_network(one) for one in networks):
        return ordered(networks)
    return ordered([*networks, single(source)])


def ordered(networks: Iterable[str]) -> list[str]:
    """Sorted, each once."""
    return [
        str(one) for one in sorted({ipaddress.ip_network(one) for one in networks}, key=lambda one: (one.version, one))
    ]


def ssh_ports(port: int | None) -> list[int]:
    """Where sshd listens by its own word, and where we came in."""
    said = run("/usr/sbin/sshd", "-T") or ""
    ports = {int(line.split()[1]) for line in said.splitlines() if line.startswith("port ")}
    return sorted(ports | ({port} if port else set())) or [22]


def routes() -> Iterator[dict[str, str]]:
    """The main table's routes, of both families; those of tunnels and containers' bridges as well."""
    for family in ("-4", "-6"):
        yield from json.loads(run("ip", "-j", family, "route", "show") or "[]")


def peers() -> list[str]:
    """The networks on this machine's own cables and radios. Link-local addresses are neighbours everywhere."""
    found = [
        one["dst"] for one in routes() if "gateway" not in one and one["dst"] != "default" and physical(one["dev"])
    ]
    return ordered(["fe80::/10", *(one for one in found if not one.startswith("fe80:"))])


def physical(device: str) -> bool:
    """Is it a card, or stands for one? Container bridges and tunnels are no room with people in it."""
    return not re.match(r"lo$|docker|br-|virbr|veth|wg|tun|tap|podman|cni", device)


def resolvers(asked: dict[str, Any]) -> list[str]:
    """Who looks names up: whom programs ask now, and the gateways, which often do, unless other resolvers are to be shut out."""
    found = [] if shuts_others_out(asked) else [str(one["gateway"]) for one in routes() if "gateway" in one]
    for name in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        text = Path(name).read_text() if Path(name).is_file() else ""
        found += re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)
    return ordered(single(one) for one in found if not address(one).is_loopback)


def shuts_others_out(asked: dict[str, Any]) -> bool:
    """Is nobody to be asked but those that the library named?"""
    return bool(asked["dns_transport"] != "plain" and asked["other_resolvers"] == "blocked")


def over_tls(asked: dict[str, Any]) -> list[str]:
    """The resolvers that the library named, and those that are asked while none of them answers."""
    if asked["dns_transport"] == "plain":
        return []
    now = re.findall(r"forward-addr: (\S+)@853", RESOLVER.read_text()) if RESOLVER.is_file() else []
    return ordered(single(one) for one in [*(named.partition("#")[0] for named in asked["dns_resolvers"]), *now])


def indoors(asked: dict[str, Any]) -> list[str]:
    """Those in the building that know the library's own domains."""
    domains = asked["dns_local_domains"] if asked["dns_transport"] != "plain" else []
    return ordered(single(one) for domain in domains for one in domain["resolvers"])


def printers() -> list[str]:
    """Where the print queues lead to, as far as their addresses can be found out: no other door of a printer is opened."""
    text = QUEUES.read_text() if QUEUES.is_file() else ""
    found = set()
    for uri in re.findall(r"^DeviceURI (\S+)", text, re.MULTILINE):
        try:
            parts = urlsplit(uri)
            usual = PRINT_PORTS[parts.scheme]
            port = parts.port or usual
            answers = socket.getaddrinfo(parts.hostname, None) if parts.hostname else []
        except (OSError, ValueError, KeyError):
            continue
        found |= {(address(str(one[4][0])), port) for one in answers}
    doors = sorted(found, key=lambda one: (one[0].version, int(one[0]), one[1]))
    return [f"{host} . {port}" for host, port in doors if not host.is_loopback]


def sip_hosts(server: str) -> list[str]:
    """Where the library system is, as far as its name can be looked up."""
    try:
        found = socket.getaddrinfo(server.rpartition(":")[0].strip("[]"), None) if server != "none" else []
    except OSError:
        found = []
    return ordered(single(str(one[4][0])) for one in found)


def speaks_plain(ports: list[str]) -> bool:
    """Is a connection to one of these ports open, to another machine?"""
    if not ports:
        return False
    wanted = " or ".join(f"dport = :{one.partition('/')[2]}" for one in ports)
    said = run("ss", "-Htn", "state", "established", f"( {wanted} )") or ""
    return any(not line.split()[-1].startswith(("127.", "[::1]")) for line in said.splitlines() if line.split())


def services() -> list[str]:
    """Those of `SERVICES` that are installed."""
    said = run("systemctl", "list-unit-files", "--no-legend", "--plain", *SERVICES) or ""
    return sorted({line.split()[0] for line in said.splitlines()} & set(SERVICES))


def tables() -> list[str]:
    """The tables that are not ours."""
    said = run("nft", "list", "tables") or ""
    return sorted(name for line in said.splitlines() if (name := line.removeprefix("table ").strip()) != OURS)


def loaded() -> bool:
    """Are the rules at work those in the file? The file is read in a network of its own, and both are listed alike."""
    listing = ("nft", "--stateless", "list", "table", *OURS.split())
    if not RULES.is_file() or not shutil.which("nft"):
        return False
    script = 'nft -f "$0" && exec "$@"'
    meant = run("unshare", "--net", "sh", "-c", script, str(RULES), *listing)
    return meant is not None and meant == run(*listing)


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    way = came_in()
    answer = {
        "admins": admins(asked["admin_networks"], way[0] if way else None),
        "ssh_ports": ssh_ports(way[1] if way else None),
        "peers": peers(),
        "resolvers": resolvers(asked),
        "over_tls": over_tls(asked),
        "indoors": indoors(asked),
        "printers": printers(),
        "sip_hosts": sip_hosts(asked["sip_server"]),
        "speaks_plain": speaks_plain(asked["plain_sip_ports"]),
        "services": services(),
        "tables": tables(),
        "loaded": loaded(),
        "stays": RULES.is_file(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
