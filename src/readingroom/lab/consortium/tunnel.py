"""The gateway's end of the tunnel: WireGuard of the kernel, or wireguard-go where the kernel has none.

Works in the namespace it is run in. Must not know what goes through.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from readingroom.lab.places import Places
from readingroom.lab.recipe import Machine

from . import TUNNEL, TUNNEL6, TUNNEL_PORT, credentials

CARD, SOCKETS = "rr-gateway", "/run/wireguard"
# Where a member's machine keeps what the gateway must know of it.
PUBLIC_KEY = Path("etc/wireguard/readingroom.pub")


@contextlib.contextmanager
def up(folder: Path) -> Iterator[None]:
    """Have the tunnel's end while the block runs."""
    key = folder / "tunnel.key"
    key.write_text(credentials.wireguard("gateway")[0] + "\n")
    helper = _card()
    try:
        _run("wg", "set", CARD, "listen-port", str(TUNNEL_PORT), "private-key", str(key))
        for network in (TUNNEL, TUNNEL6):
            first = network.partition("/")
            subprocess.run(
                ["ip", "address", "add", f"{first[0].removesuffix('0')}1/{first[2]}", "dev", CARD],
                capture_output=True,
                check=":" not in network,
            )
        _run("ip", "link", "set", CARD, "up")
        yield
    finally:
        if helper is not None:
            helper.terminate()
            helper.wait()


def _card() -> subprocess.Popen[bytes] | None:
    """Make the card; the program behind it, where the kernel needs one."""
    if (
        subprocess.run(["ip", "link", "add", CARD, "type", "wireguard"], capture_output=True, check=False).returncode
        == 0
    ):
        return None
    helper = subprocess.Popen(["wireguard-go", "-f", CARD], stderr=subprocess.DEVNULL)
    for _ in range(200):
        if Path(SOCKETS, f"{CARD}.sock").exists():
            return helper
        time.sleep(0.05)
    helper.terminate()
    raise SystemExit("wireguard-go did not start")


def admit(places: Places, machines: Sequence[Machine]) -> None:
    """Let in those whose machines show a public key, each with its own addresses and no other."""
    known = _run("wg", "show", CARD, "allowed-ips")
    for machine in machines:
        key = shown_key(places, machine)
        if key and key not in known:
            _run("wg", "set", CARD, "peer", key, "allowed-ips", ",".join(member_addresses(machine)))


def member_addresses(machine: Machine) -> tuple[str, str]:
    """The addresses that a machine has in the tunnel."""
    return f"10.89.0.{machine.host}/32", f"fd89::{machine.host}/128"


def shown_key(places: Places, machine: Machine) -> str:
    """The public key that lies on a machine's file system; empty when there is none."""
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads((places.machine_state(machine.name) / "machine.json").read_text())
        return (Path(facts["layers"]) / "upper" / PUBLIC_KEY).read_text().strip()
    return ""


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
