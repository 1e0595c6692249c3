#!/usr/bin/python3
"""Has names looked up as the network says, for as long as readingroom-sign-in.service runs: without it no sign-in page opens.

Writes the settings of that resolver, and lets this machine out to whom they name. Ends with 1 when the network names nobody.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path

# AppArmor lets unbound read there.
SETTINGS = Path("/var/lib/unbound/readingroom-sign-in.conf")
# Where those who configure the network write whom it names: our hooks of dhclient and dhcpcd, NetworkManager, systemd-networkd.
OFFERED = (
    Path("/run/readingroom-resolvers"),
    Path("/run/readingroom-resolvers6"),
    Path("/run/NetworkManager/no-stub-resolv.conf"),
    Path("/run/systemd/netif/state"),
)
RESOLVER = """server:
    interface: 127.0.0.1
    username: unbound
    chroot: ""
    pidfile: ""
    module-config: "iterator"
    unblock-lan-zones: yes
    verbosity: 0
remote-control:
    control-enable: no
forward-zone:
    name: "."
"""


def addresses(words: list[str]) -> list[str]:
    """Those of the words that are addresses of other machines, each once."""
    found = []
    for word in words:
        try:
            one = ipaddress.ip_address(word)
        except ValueError:
            continue
        if not (one.is_loopback or one.is_link_local or one.is_unspecified) and word not in found:
            found.append(word)
    return found


def offered() -> list[str]:
    """The resolvers that the network names; where it names none, its gateways, which often are."""
    texts = [path.read_text() for path in OFFERED if path.is_file()]
    lines = [line for text in texts for line in re.findall(r"^(?:nameserver\s+|DNS=)(.+)", text, re.MULTILINE)]
    return addresses([word for line in lines for word in line.split()])


def gateways() -> list[str]:
    """The ways out of this network, where sign-in pages often are."""
    found = []
    for family in ("-4", "-6"):
        run = subprocess.run(
            ["ip", family, "-json", "route", "show", "default"], capture_output=True, text=True, check=False
        )
        found += [str(route.get("gateway", "")) for route in json.loads(run.stdout or "[]")]
    return addresses(found)


def let_out(ways: list[str]) -> None:
    """Tell the firewall, where Reading Room's is."""
    for one in ways:
        element = ["add", "element", "inet", "readingroom", f"sign_in{'6' if ':' in one else '4'}", f"{{ {one} }}"]
        subprocess.run(["nft", *element], capture_output=True, check=False)


def main() -> int:
    """Write the settings."""
    ways = gateways()
    asked = offered() or ways
    if not asked:
        print("The network names no resolver, and has no gateway. To mend: connect this machine, then start it again.")
        return 1
    SETTINGS.write_text(RESOLVER + "".join(f"    forward-addr: {one}\n" for one in asked))
    let_out(addresses([*asked, *ways]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
