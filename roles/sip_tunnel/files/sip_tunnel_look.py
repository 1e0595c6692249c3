"""What the role must know of this machine: the policy's words in, one JSON object out. Changes nothing.

`refusals`  why the tunnel for SIP2 cannot be made, in words
"""

from __future__ import annotations

import json
import subprocess
import sys

UNIT = "readingroom-sip.service"


def refusals(asked: dict[str, str], holder: str) -> list[str]:
    """What stands against it; `holder` is the program that has the local port already, if any has."""
    if asked["server"] == "none" or asked["transport"] == "plain":
        return []
    found = []
    if asked["trust"] == "pinned" and asked["certificate"] == "system":
        found.append(
            "sip.trust is pinned, and sip.certificate does not hold the server's certificate: paste it there as PEM text"
        )
    if holder:
        found.append(
            f"{holder} listens on the port of sip.local_port ({asked['local_port']}) already: choose another port, or end "
            "that program"
        )
    return found


def holder(port: int) -> str:
    """Who listens on this port already, unless it is our own unit."""
    ours = run("systemctl", "show", "-p", "MainPID", "--value", UNIT).strip()
    for line in run("ss", "-Hlntp", f"sport = :{port}").splitlines():
        if f"pid={ours}," not in line:
            return line.partition('users:(("')[2].partition('"')[0] or "a program"
    return ""


def run(*argv: str) -> str:
    """What a program prints; nothing when it is not there."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    print(json.dumps({"refusals": refusals(asked, holder(int(asked["local_port"].partition("/")[2])))}))


if __name__ == "__main__":
    main()
