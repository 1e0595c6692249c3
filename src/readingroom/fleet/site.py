"""Reads a site's inventory into machines, and writes the ssh configuration that all tools share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..controls import Kind
from ..errors import ReadingRoomError, did_you_mean
from ..lab import Lab

LAB = "lab"
# The inventory's variable that lists groups in the order in which they are hardened; the rest follows.
RINGS = "readingroom_rings"
REST = "rest"


@dataclass(frozen=True)
class Machine:
    """A machine of the inventory. `kind` is what its class is like; `hostvars` are the inventory's own variables."""

    name: str
    machine_class: str
    kind: Kind
    hostvars: Mapping[str, Any]


@dataclass(frozen=True)
class Ring:
    """Machines that are hardened together; the next ring begins when they are proved to keep their promises."""

    name: str
    machines: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Everything needed to reach a site's machines and to find its compiled policy."""

    name: str
    root: Path
    inventory: Path
    build: Path
    ssh_config: Path
    machines: tuple[Machine, ...]
    rings: tuple[Ring, ...] = ()
    # What to put before a command to run it elsewhere on the machines' network; the first is where our own connections come
    # from, which is this computer unless it is the lab.
    vantages: tuple[tuple[str, ...], ...] = ((),)

    def rings_of(self, machines: Iterable[str] | None, rings: Iterable[str] | None = None) -> tuple[Ring, ...]:
        """The rings called `rings` (None: all), in their order, with those of `machines` that are in them.

        A site without rings is one ring without a name. An unknown ring is an error.
        """
        known = {ring.name: ring for ring in self.rings}
        for name in rings or ():
            if name not in known:
                mend = (
                    did_you_mean(name, known) if known else f"list it in {RINGS} of inventories/{self.name}/hosts.yml"
                )
                raise ReadingRoomError(f"{name} is not a ring of {self.name}\n  to mend  {mend}")
        wanted = {machine.name for machine in self.machines} if machines is None else set(machines)
        every = self.rings or (Ring("", tuple(machine.name for machine in self.machines)),)
        chosen = [ring for ring in every if rings is None or ring.name in set(rings)]
        parts = (Ring(ring.name, tuple(name for name in ring.machines if name in wanted)) for ring in chosen)
        return tuple(ring for ring in parts if ring.machines)

    def limited_to(self, names: Iterable[str] | None) -> tuple[Machine, ...]:
        """The machines called `names` (machines or classes), all when it is None; an unknown name is an error."""
        if names is None:
            return self.machines
        wanted = list(names)
        known = {machine.name for machine in self.machines} | {machine.machine_class for machine in self.machines}
        for name in wanted:
            if name not in known:
                raise ReadingRoomError(
                    f"{name} is not a machine or a class of {self.name}\n  to mend  {did_you_mean(name, known)}"
                )
        return tuple(machine for machine in self.machines if {machine.name, machine.machine_class} & set(wanted))


def inventory_of(name: str, root: Path) -> Path:
    """The inventory file of the site `name`; an error that says what to create when there is none."""
    if "/" in name or name in ("", ".", ".."):
        raise ReadingRoomError(f"{name!r} is not the name of a site\n  to mend  name a folder of inventories/")
    path = root / "inventories" / name / "hosts.yml"
    if not path.is_file():
        known = sorted(folder.parent.name for folder in (root / "inventories").glob("*/hosts.yml"))
        raise ReadingRoomError(
            f"there is no inventory of {name}: inventories/{name}/hosts.yml\n"
            f"  to mend  {did_you_mean(name, known)}; or copy inventories/example/ and list your machines"
        )
    return path


def load_site(name: str, root: Path, kinds: Mapping[str, Kind] | None = None) -> Site:
    """The site `name` of the checkout at `root`.

    `kinds` says which kind a class of the library's own is like; `public`, `staff` and `gateway` need no saying. Raises
    `ReadingRoomError` when the inventory is missing, unreadable, empty, or puts a machine in no class or in two.
    """
    inventory = inventory_of(name, root)
    classes: dict[str, Kind] = {"public": "public", "staff": "staff", "gateway": "gateway", **(kinds or {})}
    listed = _listed(inventory)
    hostvars = listed.get("_meta", {}).get("hostvars", {})
    members: dict[str, list[str]] = {}
    for machine_class in classes:
        for host in _hosts(listed, machine_class):
            members.setdefault(host, []).append(machine_class)
    strays = sorted(set(_hosts(listed, "all")) - set(members))
    if strays:
        raise ReadingRoomError(
            f"inventories/{name}/hosts.yml puts {', '.join(strays)} in no class\n"
            f"  to mend  list each machine under one of: {', '.join(classes)}"
        )
    twice = sorted(host for host, found in members.items() if len(found) > 1)
    if twice:
        raise ReadingRoomError(
            f"inventories/{name}/hosts.yml puts {', '.join(twice)} in two classes\n"
            "  to mend  list each machine under one class"
        )
    if not members:
        raise ReadingRoomError(
            f"inventories/{name}/hosts.yml lists no machine\n  to mend  see inventories/example/hosts.yml"
        )
    machines = tuple(
        Machine(host, found[0], classes[found[0]], hostvars.get(host, {})) for host, found in sorted(members.items())
    )
    build = root / "build" / name
    rings = _rings(name, listed, machines)
    if name == LAB:
        lab = Lab.current()
        return Site(name, root, inventory, build, lab.ssh_config, machines, rings, lab.vantages)
    ssh_config = build / "ssh_config"
    _write_ssh_config(ssh_config, machines)
    return Site(name, root, inventory, build, ssh_config, machines, rings)


def _rings(name: str, listed: Mapping[str, Any], machines: Sequence[Machine]) -> tuple[Ring, ...]:
    """The rings of the inventory: each machine in the first that holds it, and what no ring holds comes last."""
    said = [machine.hostvars[RINGS] for machine in machines if RINGS in machine.hostvars]
    if not said:
        return ()
    order = said[0]
    if any(other != order for other in said) or not isinstance(order, list) or len(said) != len(machines):
        raise ReadingRoomError(
            f"inventories/{name}/hosts.yml: {RINGS} must be one list of groups, the same for every machine\n"
            f"  to mend  put it under all: vars:, for example {RINGS}: [canary, main_street]"
        )
    unknown = [group for group in order if group not in listed]
    if unknown:
        groups = [group for group in listed if group not in ("_meta", "all", "ungrouped")]
        raise ReadingRoomError(
            f"inventories/{name}/hosts.yml: the ring {unknown[0]} is not a group of the inventory, or it is empty\n"
            f"  to mend  {did_you_mean(unknown[0], groups) or 'list its machines under children:'}"
        )
    left = [machine.name for machine in machines]
    rings = []
    for group in dict.fromkeys(order):
        inside = set(_hosts(listed, group))
        rings.append(Ring(group, tuple(one for one in left if one in inside)))
        left = [one for one in left if one not in inside]
    return tuple(ring for ring in (*rings, Ring(REST, tuple(left))) if ring.machines)


def _hosts(listed: Mapping[str, Any], group: str) -> list[str]:
    """The hosts of a group and of the groups below it."""
    if group == "all":
        names = [host for name in listed if name not in ("_meta", "all") for host in listed[name].get("hosts", [])]
        return [*names, *listed.get("_meta", {}).get("hostvars", {})]
    found = listed.get(group, {})
    below = [host for child in found.get("children", []) for host in _hosts(listed, child)]
    return [*found.get("hosts", []), *below]


_READ_STRICTLY = {
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
    "ANSIBLE_INVENTORY_ENABLED": "yaml",  # else each further format adds its own complaint
    "ANSIBLE_NOCOLOR": "1",
}


def _listed(inventory: Path) -> dict[str, Any]:
    """The inventory as `ansible-inventory --list` gives it."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(inventory), "--list"]
    environment = {**os.environ, **_READ_STRICTLY}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=inventory.parent,
        stdin=subprocess.DEVNULL,  # Ansible refuses a standard input that an earlier child left non-blocking
    )
    if done.returncode != 0:
        shown = f"inventories/{inventory.parent.name}/{inventory.name}"
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in said if "pars" in line.lower() and "plugin" not in line), said[-1])
        where = next((line for line in said if line.startswith("Origin:") and line[-1].isdigit()), "").rpartition(
            ".yml:"
        )[2]
        mend = f"look at line {where}" if where else "compare it with inventories/example/hosts.yml"
        raise ReadingRoomError(f"Ansible cannot read {shown}\n  it says  {reason}\n  to mend  {mend}")
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


_SSH_KEYS = {
    "ansible_host": "HostName",
    "ansible_user": "User",
    "ansible_port": "Port",
    "ansible_ssh_private_key_file": "IdentityFile",
}


# A Unix socket's path has at most 107 bytes; ssh adds a digest of 40 and, while it connects, 17 more.
_LONGEST_SOCKET_FOLDER = 107 - len("/readingroom-") - 40 - 17


def _write_ssh_config(path: Path, machines: Iterable[Machine]) -> None:
    """One ssh configuration for Ansible, pyinfra and testinfra: the inventory's words first, then the person's own."""
    own = Path("~/.ssh").expanduser()
    sockets = os.environ.get("XDG_RUNTIME_DIR") or str(own)
    lines = ["# Made from the inventory by Reading Room; change the inventory, not this file."]
    for machine in machines:
        lines += ["", f"Host {machine.name}"]
        lines += [f"  {word} {machine.hostvars[key]}" for key, word in _SSH_KEYS.items() if machine.hostvars.get(key)]
    lines += ["", "Host *"]
    if len(sockets) <= _LONGEST_SOCKET_FOLDER:
        lines += ["  ControlMaster auto", "  ControlPersist 60", f"  ControlPath {sockets}/readingroom-%C"]
    lines += [
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
        "  ConnectTimeout 10",
        "  BatchMode yes",
        f"  Include {own}/config",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
