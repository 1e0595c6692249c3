"""Tries whom the gateway's tunnel admits, on a copy of it in a network of its own.

Runs on the machine, in fresh network and mount namespaces (`unshare --net --mount`), so that no member notices. The copy has what
`wg showconf` says of the tunnel at work, so the same key and the same members. Two callers knock: one that only the copy was told
of, so that silence means something, and a stranger.

In: what `wg showconf` says. Out: {"known": true, "stranger": false}: who got a handshake. Standard library only.
"""

import json
import os
import re
import subprocess
import sys
import time

# WireGuard tries again after five seconds, and a gateway has other work to do.
SECONDS = 20.0


def run(*argv: str, said: str = "") -> str:
    return subprocess.run(argv, input=said, capture_output=True, text=True, check=True).stdout.strip()


def make(card: str) -> None:
    kernel = subprocess.run(["ip", "link", "add", card, "type", "wireguard"], capture_output=True, check=False)
    if kernel.returncode:
        environment = {**os.environ, "LOG_LEVEL": "silent"}
        subprocess.run(["wireguard-go", card], env=environment, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)  # fmt: skip


def knock(card: str, gateway: str, port: str) -> str:
    """Have a caller with a key of its own knock; its public key."""
    key = run("wg", "genkey")
    make(card)
    run("wg", "set", card, "private-key", "/dev/stdin", "peer", gateway, "endpoint", f"127.0.0.1:{port}", "allowed-ips",
        "198.18.0.0/15", "persistent-keepalive", "1", said=key)  # fmt: skip
    return run("wg", "pubkey", said=key)


def heard(card: str) -> bool:
    return run("wg", "show", card, "latest-handshakes").split()[1] != "0"


def main() -> None:
    settings = sys.stdin.read()
    os.makedirs("/run/wireguard", exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/wireguard")
    run("ip", "link", "set", "lo", "up")
    make("copy")
    # members' endpoints would be knocked at in vain
    run("wg", "setconf", "copy", "/dev/stdin", said=re.sub(r"(?m)^(Endpoint|PersistentKeepalive) = .*\n", "", settings))
    gateway, port = run("wg", "show", "copy", "public-key"), run("wg", "show", "copy", "listen-port")
    run("ip", "link", "set", "copy", "up")
    known = knock("known", gateway, port)
    knock("stranger", gateway, port)
    run("wg", "set", "copy", "peer", known)
    # the stranger first: it has had the longer time when the other has got through
    run("ip", "link", "set", "stranger", "up")
    run("ip", "link", "set", "known", "up")
    end = time.monotonic() + SECONDS
    while not heard("known") and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    print(json.dumps({"known": heard("known"), "stranger": heard("stranger")}))
    for card in ("known", "stranger", "copy"):
        subprocess.run(["ip", "link", "delete", card], capture_output=True, check=False)


main()
