"""Networks for one lab instance: bridges in a namespace of their own, one cable to each machine's namespace, and a consortium.

The bridges' namespace is the library's router, between its own networks; behind it lies the consortium's, and nothing else.
None of it touches the host's own network, and there is no way out of it. Since every instance has a namespace
of its own, all of them can use the same addresses. Must not know what a machine is besides its addresses.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import consortium
from .errors import LabError
from .recipe import NETWORKS, Machine, Network

NAMESPACES = Path("/run/netns")
VISITOR = Machine("visitor", "", "", 200)
# The library's router on its other side.
ROUTER, ROUTER6 = "10.66.0.254", "fd66::254"
_UPLINK = "uplink"


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and run.returncode != 0:
        raise LabError(
            "the lab's network could not be set up",
            "this host must allow network namespaces, bridges and veth pairs (kernel modules bridge and veth)",
            f"ip {' '.join(arguments)}\n{run.stderr.strip()}",
        )
    return run


def exists(namespace: str) -> bool:
    """Is there a live network namespace of this name? (After a crash the file may be there without one.)"""
    return _ip("-n", namespace, "link", "show", "lo", check=False).returncode == 0


def is_in(pid: int, namespace: Path) -> bool:
    """Is the process in this network namespace?"""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == namespace.stat().st_ino
    except OSError:
        return False


def _create(namespace: str) -> None:
    delete(namespace)
    _ip("netns", "add", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")


def delete(namespace: str) -> None:
    """Remove the namespace and every interface in it, if it is there."""
    if (NAMESPACES / namespace).exists():
        _ip("netns", "delete", namespace, check=False)
        (NAMESPACES / namespace).unlink(missing_ok=True)


def ensure_switch(switch: str, visitor: str, beyond: str) -> None:
    """Make the instance's bridges, its visitor and what is beyond its router, unless they are there."""
    if not exists(switch):
        _create(switch)
    for name, network in NETWORKS.items():
        if network.router not in _ip("-n", switch, "addr", "show", _bridge(name), check=False).stdout:
            _make_bridge(switch, _bridge(name), network)
    if not exists(visitor) or _ip("-n", switch, "link", "show", f"v-{VISITOR.name}", check=False).returncode:
        plug(switch, visitor, VISITOR)
    if not exists(beyond) or _ip("-n", switch, "link", "show", _UPLINK, check=False).returncode:
        _make_consortium(switch, beyond)


def _bridge(network: str) -> str:
    return f"br{list(NETWORKS).index(network)}"


def _make_bridge(switch: str, bridge: str, network: Network) -> None:
    _ip("-n", switch, "link", "delete", bridge, check=False)
    _ip("-n", switch, "link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    _address(switch, bridge, f"{network.router}/24", f"{network.router6}/64")
    _ip("-n", switch, "link", "set", bridge, "up")


def _make_consortium(switch: str, beyond: str) -> None:
    """The network beyond the router. What is sent anywhere else gets lost, as on a line without an answer."""
    _create(beyond)
    _ip("-n", switch, "link", "delete", _UPLINK, check=False)
    _ip("-n", switch, "link", "add", _UPLINK, "type", "veth", "peer", "name", "eth0", "netns", beyond)
    _address(switch, _UPLINK, f"{ROUTER}/24", f"{ROUTER6}/64")
    _ip("-n", switch, "link", "set", _UPLINK, "up")
    for four, six in (
        (f"{consortium.GATEWAY}/24", f"{consortium.GATEWAY6}/64"),
        (f"{consortium.RESOLVER}/24", f"{consortium.RESOLVER6}/64"),
    ):
        _address(beyond, "eth0", four, six)
    for four, six in (
        (consortium.LIBRARY_SYSTEM, consortium.LIBRARY_SYSTEM6),
        (consortium.WEB, consortium.WEB6),
        (consortium.PUBLIC_RESOLVER, consortium.PUBLIC_RESOLVER6),
    ):
        _address(beyond, "lo", f"{four}/32", f"{six}/128")
    _ip("-n", beyond, "link", "set", "eth0", "up")
    _ip("-n", beyond, "route", "add", "default", "via", ROUTER)
    _ip("-n", beyond, "route", "add", "default", "via", ROUTER6, check=False)
    for four, six in (
        (consortium.SYSTEMS, consortium.SYSTEMS6),
        (consortium.INTERNET, consortium.INTERNET6),
    ):
        _ip("-n", switch, "route", "replace", four, "via", consortium.GATEWAY)
        _ip("-n", switch, "route", "replace", six, "via", consortium.GATEWAY6, check=False)
    _ip("-n", switch, "route", "replace", "blackhole", "default")
    _ip("-n", switch, "-6", "route", "replace", "blackhole", "default", check=False)
    _forward(switch)


def _forward(namespace: str) -> None:
    """Make a namespace a router; the settings belong to the namespace that writes them."""
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        subprocess.run(
            ["nsenter", f"--net={NAMESPACES / namespace}", "tee", f"/proc/sys/net/{setting}"],
            input=b"1",
            capture_output=True,
            check=False,
        )


def _address(namespace: str, card: str, four: str, six: str) -> None:
    _ip("-n", namespace, "address", "add", four, "dev", card)
    # a host may be without IPv6; the lab then is, too
    _ip("-n", namespace, "address", "add", six, "dev", card, "nodad", check=False)


def plug(switch: str, namespace: str, machine: Machine) -> None:
    """Give the machine a fresh namespace with an eth0 on its network's bridge."""
    port, network = f"v-{machine.name}", NETWORKS[machine.network]
    _create(namespace)
    _ip("-n", switch, "link", "delete", port, check=False)
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    # the same card each time: the neighbours would go on talking to the old one for most of a minute
    _ip("-n", namespace, "link", "set", "eth0", "address", f"02:52:52:00:00:{machine.host:02x}")
    _ip("-n", switch, "link", "set", port, "master", _bridge(machine.network), "up")
    _ip("-n", namespace, "addr", "add", f"{machine.address}/24", "dev", "eth0")
    _ip("-n", namespace, "link", "set", "eth0", "up")
    _ip("-n", namespace, "route", "add", "default", "via", network.router)
    if (
        _ip("-n", namespace, "addr", "add", f"{machine.address6}/64", "dev", "eth0", "nodad", check=False).returncode
        == 0
    ):
        _ip("-n", namespace, "route", "add", "default", "via", network.router6, check=False)


def unplug(switch: str, namespace: str, machine: Machine) -> None:
    """Take the machine's namespace and its cable away."""
    delete(namespace)
    _ip("-n", switch, "link", "delete", f"v-{machine.name}", check=False)
