"""What the firewall's rules must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`admins`     networks that may come in over SSH: the policy's, and the address this very connection comes from
`ssh_ports`  the ports that sshd listens on
`peers`      the networks that this machine's own cards are in
`resolvers`  the hosts that look names up for it, with its gateways, which often do
`over_tls`   the resolvers that are asked over TLS: those that the library named, and those that are asked now
`indoors`    the resolvers in the building that know the library's own domains
`printers`   the doors that its print queues lead to, each an address and a port
`tunnelled`  the networks that are reached through the tunnel and in no other way
`tunnel_ends`  where the tunnel leads to, with its port: each with `address` and `port`
`tried_mark` what root marks a resolver's trial with: such a packet may go out to any, over TLS
`sip_hosts`  the addresses of the library system that takes SIP2 over TLS
`speaks_plain`  whether a program on this machine speaks SIP2 in clear just now
`services`   units of known services that answer the network and that nobody asked for
`tables`     tables of rules that are not ours
`loaded`     whether the rules that are at work are those in the file
`stays`      whether the file is there
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import network
from network import address, ordered, run, single

RULES = Path("/etc/readingroom/firewall.nft")
RESOLVER = Path("/etc/unbound/readingroom.conf")
OURS = "inet readingroom"
# Answer the whole network, and announce the machine by name.
SERVICES = ("avahi-daemon.socket", "avahi-daemon.service", "cups-browsed.service", "rpcbind.socket", "rpcbind.service")


def admins(networks: list[str], source: network.Address | None) -> list[str]:
    """The policy's networks, and the way we came in where they do not hold it."""
    if source is None or not network.without([single(source)], networks):
        return ordered(networks)
    return ordered([*networks, single(source)])


def ssh_ports(port: int | None) -> list[int]:
    """Where sshd listens by its own word, and where we came in."""
    said = run("/usr/sbin/sshd", "-T") or ""
    ports = {int(line.split()[1]) for line in said.splitlines() if line.startswith("port ")}
    return sorted(ports | ({port} if port else set())) or [22]


def peers() -> list[str]:
    """The networks on this machine's own cables and radios. Link-local addresses are neighbours everywhere."""
    return ordered(["fe80::/10", *network.neighbourhoods()])


def resolvers(asked: dict[str, Any]) -> list[str]:
    """Who looks names up: whom programs ask now, and the gateways, which often do, unless other resolvers are to be shut out."""
    found = [] if shuts_others_out(asked) else [str(one["gateway"]) for one in network.routes() if "gateway" in one]
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
    domains = asked["beside"]["local_domains"] if asked["dns_transport"] != "plain" else []
    return ordered(single(one) for domain in domains for one in domain["resolvers"])


def printers() -> list[str]:
    """The doors that print queues lead to, as rules write them: no other door of a printer is opened."""
    return [f"{host} . {port}" for host, port in network.printers()]


def sip_hosts(server: str) -> list[str]:
    """Where the library system is, as far as its name can be looked up."""
    return ordered(single(one) for one in network.hosts(network.endpoint(server)[0])) if server != "none" else []


def tunnelled(asked: dict[str, Any], source: network.Address | None) -> list[str]:
    """What the policy names, and the internet, when the tunnel has what is browsed as well."""
    browsing = asked["browsing"] == "tunnelled" and network.takes_browsing()
    return asked["tunnelled"] + (network.internet(asked["beside"], source) if browsing else [])


def tunnel_ends(gateways: list[dict[str, str]]) -> list[dict[str, str | int]]:
    """Where the tunnel leads to, for the rules."""
    return [{"address": str(one), "port": port} for one, port in network.tunnel_ends(gateways)]


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


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    source, port = network.came_in() or (None, None)
    answer = {
        "admins": admins(asked["beside"]["administered_from"], source),
        "ssh_ports": ssh_ports(port),
        "peers": peers(),
        "resolvers": resolvers(asked),
        "over_tls": over_tls(asked),
        "indoors": indoors(asked),
        "printers": printers(),
        "tunnelled": tunnelled(asked, source),
        "tunnel_ends": tunnel_ends(asked["beside"]["gateways"]),
        "tried_mark": network.TRIED_MARK,
        "sip_hosts": sip_hosts(asked["sip_server"]),
        "speaks_plain": speaks_plain(asked["plain_sip_ports"]),
        "services": services(),
        "tables": tables(),
        "loaded": network.rules_work(RULES, OURS),
        "stays": RULES.is_file(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
