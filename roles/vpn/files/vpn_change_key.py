"""Changes this machine's tunnel over to its next key, which the gateway has to answer first; else everything stays.

The tunnel is not taken down: open connections go on. In: {"networks": what is reached through it}. Ends with 1 and a sentence when
the gateway did not answer. Nothing of a key is said.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

CARD = "wg-library"
KEY, NEXT = Path("/etc/wireguard/readingroom.key"), Path("/etc/wireguard/readingroom.next.key")
NOBODYS = "192.0.2.0/24"  # RFC 5737; in the tunnel when what is browsed is
ANSWER_SECONDS = 12.0  # WireGuard asks anew every five


def wg(*words: str) -> str:
    """What `wg` says."""
    return subprocess.run(["wg", *words], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def heard() -> int:
    """When the gateway answered last, in whole seconds."""
    return max((int(line.split()[1]) for line in wg("show", CARD, "latest-handshakes").splitlines()), default=0)


def speak(networks: list[str]) -> None:
    """Send something through the tunnel, so that it asks the gateway: nothing, to somebody's discard port, or to nobody's."""
    for network in map(ipaddress.ip_network, networks or [NOBODYS]):
        family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as door:
            door.sendto(b"", (str(network[min(1, network.num_addresses - 1)]), 9))


def answered(networks: list[str], before: int) -> bool:
    """Does the gateway answer, later than `before`?"""
    end = time.monotonic() + ANSWER_SECONDS
    while heard() <= before:
        if time.monotonic() > end:
            return False
        speak(networks)
        time.sleep(0.1)
    return True


def main() -> None:
    """Try the next key, and keep it or go back."""
    networks = json.load(sys.stdin)["networks"]
    if not Path("/sys/class/net", CARD).exists():
        sys.exit("the tunnel is not up, so its next key cannot be tried; the key was not changed")
    # an answer to the next key is told apart by its second
    while (before := heard()) >= int(time.time()):
        time.sleep(0.05)
    wg("set", CARD, "private-key", str(NEXT))
    if not answered(networks, before):
        wg("set", CARD, "private-key", str(KEY))
        sys.exit(
            "the gateway did not answer this machine's next key, so the tunnel has its former key again: have the gateway admit "
            "the next one first, as the member's next_key"
        )
    # the public part first: as long as the next key is there, this can be done again
    with contextlib.suppress(FileNotFoundError):
        NEXT.with_suffix(".pub").replace(KEY.with_suffix(".pub"))
    NEXT.replace(KEY)


main()
