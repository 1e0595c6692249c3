"""Can names be looked up encrypted here? What the policy says of names in, one JSON object out. Changes nothing.

`ready`            whether names may be looked up by our resolver: it is at work already, or one that is named answers
`transport`, `resolvers`  how it asks, and whom: as the policy says, or as it does already while none of the policy's answers
`notes`            what is in the way, and how to mend it
`network_manager`  whether NetworkManager is there, and would write resolv.conf
`dhclient`         whether dhclient is there, and would do so
`dhcpcd`           whether dhcpcd is there, and would do so
`resolved`         whether systemd-resolved is there
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import ssl
import struct
import sys
from pathlib import Path

from network import TRIED_MARK

OURS = "Made by Reading Room"
CONF, RESOLVER = Path("/etc/resolv.conf"), Path("/etc/unbound/readingroom.conf")
# What Debian's unbound reads, and what its package puts beside that.
DEBIANS = Path("/etc/unbound/unbound.conf")
PACKAGED = ("remote-control.conf", "root-auto-trust-anchor-file.conf")
PATIENCE = 4.0  # seconds for each resolver


def answers(resolver: str, *, strict: bool) -> str:
    """Ask a resolver over TLS: "" when it answers, or why it does not."""
    address, _, name = resolver.partition("#")
    context = ssl.create_default_context()
    if not strict:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    number = secrets.token_bytes(2)
    query = number + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!2H", 2, 1)
    try:
        with (
            socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as plain,
            contextlib.ExitStack() as stack,
        ):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, TRIED_MARK)
            plain.settimeout(PATIENCE)
            plain.connect((address, 853))
            way = stack.enter_context(context.wrap_socket(plain, server_hostname=name))
            way.sendall(struct.pack("!H", len(query)) + query)
            said = way.recv(4)
    except ssl.SSLCertVerificationError:
        return "certificate"
    except OSError:
        return "unreachable"
    return "" if said[2:4] in (number, b"") else "unreachable"


def why_not(found: list[str]) -> str:
    """What to say when nobody answers."""
    if "certificate" in found:
        return (
            "Name resolution stays as it is: a resolver answers with a certificate that is not its own. To mend: compare "
            "the name after # in dns.resolvers, set the machine's clock, and ask who runs the network whether it comes between."
        )
    return (
        "Name resolution stays as it is: no resolver in dns.resolvers answers over TLS. To mend: let tcp/853 out "
        "at the library's router, or name a resolver that can be reached; then run again."
    )


def is_taken() -> bool:
    """Is 127.0.0.1:53 somebody's already, and not that of a resolver that its package has just started?"""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as door:
            try:
                door.bind(("127.0.0.1", 53))
            except OSError:
                own = [one for one in DEBIANS.parent.glob("unbound.conf.d/*.conf") if one.name not in PACKAGED]
                return bool(own) or not DEBIANS.exists()
    return False


def in_the_way() -> list[str]:
    """Others who write resolv.conf, and whom we cannot tell not to, or who look names up already."""
    found = []
    if is_taken():
        found.append(
            "Name resolution stays as it is: a resolver of the library's own (dnsmasq, bind or unbound) is at work on this "
            "machine. To mend: remove it, or have dns: {transport: plain} for this machine."
        )
    # systemd-resolved calls itself so as well; it is stopped
    writers = [one for one in map(Path, ("/sbin/resolvconf", "/usr/sbin/resolvconf")) if one.exists()]
    if any(one.resolve().name != "resolvectl" for one in writers):
        found.append(
            "Name resolution stays as it is: resolvconf writes resolv.conf. To mend: remove the package, then run again."
        )
    return found


def unknown_domain(local: list[dict[str, object]]) -> list[str]:
    """What to say when the network has a domain of its own that the policy does not know."""
    text = CONF.read_text() if CONF.is_file() else ""
    named = {
        word.strip(".").lower()
        for line in re.findall(r"^(?:search|domain)\s+(.+)", text, re.MULTILINE)
        for word in line.split()
    }
    if named <= {"", *(str(one["domain"]) for one in local)}:
        return []
    return [
        "The network names a domain of its own that is not in dns.local_domains: its names will not be found any more. "
        "To mend, where they are needed: add the domain with its resolvers."
    ]


def at_work() -> tuple[str, list[str]] | None:
    """How our resolver asks now, and whom; None when names are not looked up by it."""
    if not CONF.is_file() or CONF.is_symlink() or OURS not in CONF.read_text() or not RESOLVER.is_file():
        return None
    text = RESOLVER.read_text()
    asked = [f"{one}#{name}" for one, name in re.findall(r"forward-addr: (\S+)@853#?(\S*)", text)]
    return ("strict" if "tls-cert-bundle:" in text else "opportunistic", asked) if asked else None


def tried(transport: str, resolvers: list[str]) -> list[str]:
    """What is in the way of asking these; empty when nothing is."""
    said = []
    for resolver in resolvers:
        said.append(answers(resolver, strict=transport == "strict"))
        if not said[-1]:
            return []
    return [why_not(said)]


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    transport, resolvers, notes, ready = asked["transport"], asked["resolvers"], [], False
    if transport != "plain":
        now = at_work()
        notes = [*([] if now else in_the_way()), *tried(transport, resolvers)]
        if notes and now:
            transport, resolvers = now
        ready = bool(now) or not notes
        notes += unknown_domain(asked["local_domains"]) if ready else []
    answer = {
        "ready": ready,
        "transport": transport,
        "resolvers": resolvers,
        "notes": notes,
        "network_manager": Path("/etc/NetworkManager/conf.d").is_dir(),
        "dhclient": Path("/etc/dhcp/dhclient-enter-hooks.d").is_dir(),
        "dhcpcd": Path("/usr/lib/dhcpcd/dhcpcd-hooks").is_dir(),
        "resolved": Path("/usr/lib/systemd/system/systemd-resolved.service").exists()
        or Path("/lib/systemd/system/systemd-resolved.service").exists(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
