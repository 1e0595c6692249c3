"""Can names be looked up encrypted here? {"transport", "resolvers": ["address#name", …]} in, one JSON object out. Changes nothing.

`ready`            whether names may be looked up by our resolver: it is at work already, or one that is named answers
`notes`            what is in the way, and how to mend it
`network_manager`  whether NetworkManager is there, and would write resolv.conf
`dhclient`         whether dhclient is there, and would do so
`resolved`         whether systemd-resolved is there
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import struct
import sys
from pathlib import Path

OURS = "Made by Reading Room"
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
            socket.create_connection((address, 853), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=name) as way,
        ):
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


def in_the_way() -> list[str]:
    """Others who write resolv.conf, and whom we cannot tell not to."""
    found = []
    if any(Path(one).exists() for one in ("/sbin/resolvconf", "/usr/sbin/resolvconf")):
        found.append(
            "Name resolution stays as it is: resolvconf writes resolv.conf. To mend: remove the package, then run again."
        )
    conf = Path("/etc/dhcpcd.conf")
    if Path("/usr/sbin/dhcpcd").exists() and not (conf.is_file() and "\nnohook resolv.conf" in conf.read_text()):
        found.append(
            "Name resolution stays as it is: dhcpcd writes resolv.conf. To mend: add a line `nohook resolv.conf` to its "
            "settings, then run again."
        )
    return found


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    conf, notes = Path("/etc/resolv.conf"), []
    ready = conf.is_file() and not conf.is_symlink() and OURS in conf.read_text()
    if asked["transport"] != "plain":
        found = [] if ready else in_the_way()
        said = []
        for resolver in asked["resolvers"]:
            said.append(answers(resolver, strict=asked["transport"] == "strict"))
            if not said[-1]:
                break
        if "" not in said:
            found.append(why_not(said))
        ready = ready or not found
        notes = found
    answer = {
        "ready": ready,
        "notes": notes,
        "network_manager": Path("/etc/NetworkManager/conf.d").is_dir(),
        "dhclient": Path("/etc/dhcp/dhclient-enter-hooks.d").is_dir(),
        "resolved": Path("/usr/lib/systemd/system/systemd-resolved.service").exists()
        or Path("/lib/systemd/system/systemd-resolved.service").exists(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
