"""What the role must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`refusals`  why the tunnel for SIP2 cannot be made, in words
`homes`     the machine's addresses for itself: a tunnel that is told to listen where there is no IPv6 does not start at all
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

UNIT = "readingroom-sip.service"


def refusals(asked: dict[str, Any], holder: str) -> list[str]:
    """What stands against it; `holder` is the program that has the local port already, if any has."""
    if asked["server"] == "none" or asked["transport"] == "plain":
        return []
    found = []
    if asked["trust"] == "pinned" and asked["certificate"] == "system":
        found.append(
            "sip.trust is pinned, and sip.certificate does not hold the server's certificate: paste it there as PEM text"
        )
    found += unfit(asked["client_certificate"])
    port = asked["server"].rpartition(":")[2]
    if f"tcp/{port}" in asked["plain_ports"]:
        found.append(
            f"sip.server is on a port of sip.plain_ports ({port}), which the firewall closes: name the port where the library "
            "system speaks TLS, or take this one out of sip.plain_ports"
        )
    if holder:
        found.append(
            f"{holder} listens on the port of sip.local_port ({asked['local_port']}) already: choose another port, or end "
            "that program"
        )
    return found


def unfit(path: str) -> list[str]:
    """Why the machine cannot show the certificate in this file, in words; its key is compared, and nothing of it said."""
    if path == "none":
        return []
    file, whose = Path(path), "sip.client_certificate"
    if not file.is_file():
        return [f"the file of {whose} is not on this machine: put certificate and key there, as PEM"]
    if file.stat().st_uid or file.stat().st_mode & 0o077:
        return [f"the file of {whose} holds a key, and others than root can read it: chown root:root and chmod 600 it"]
    certified = run("openssl", "x509", "-in", path, "-noout", "-pubkey")
    if not certified or certified != run("openssl", "pkey", "-in", path, "-pubout"):
        return [f"the file of {whose} does not hold a certificate and the key that goes with it, without a passphrase"]
    if not run("openssl", "x509", "-in", path, "-noout", "-checkend", "0").startswith("Certificate will not"):
        return [f"the certificate in the file of {whose} has ended: ask whoever runs the library system for a new one"]
    return []


def holder(port: int) -> str:
    """Who listens on this port already, unless it is our own unit."""
    ours = run("systemctl", "show", "-p", "MainPID", "--value", UNIT).strip()
    for line in run("ss", "-Hlntp", f"sport = :{port}").splitlines():
        if f"pid={ours}," not in line:
            return line.partition('users:(("')[2].partition('"')[0] or "a program"
    return ""


def homes() -> list[str]:
    """127.0.0.1, and ::1 where the machine has it."""
    cards = Path("/proc/net/if_inet6")
    return ["127.0.0.1", *(["::1"] if cards.is_file() and f"{1:032x} " in cards.read_text() else [])]


def run(*argv: str) -> str:
    """What a program prints; nothing when it is not there."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    port = int(asked["local_port"].partition("/")[2])
    print(json.dumps({"refusals": refusals(asked, holder(port)), "homes": homes()}))


if __name__ == "__main__":
    main()
