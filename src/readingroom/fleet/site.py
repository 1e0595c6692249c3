"""Reads a site's inventory into machines, and writes the ssh configuration that all tools share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..controls import Kind
from ..errors import ReadingRoomError, did_you_mean
from ..lab import Lab

LAB = "lab"


@dataclass(frozen=True)
class Machine:
    """A machine of the inventory. `kind` is what its class is like; `hostvars` are the inventory's own variables."""

    name: str
    machine_class: str
    kind: Kind
    hostvars: Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """Everything needed to reach a site's machines and to find its compiled policy."""

    name: str
    root: Path
    inventory: Path
    build: Path
    ssh_config: Path
    machines: tuple[Machine, ...]

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

    `kinds` says which kind a class of the library's own is like; `public` and `staff` need no saying. Raises
    `ReadingRoomError` when the inventory is missing, unreadable, empty, or puts a machine in no class or in two.
    """
    inventory = inventory_of(name, root)
    classes: dict[str, Kind] = {"public": "public", "staff": "staff", **(kinds or {})}
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
    if name == LAB:
        return Site(name, root, inventory, build, Lab.current().ssh_config, machines)
    ssh_config = build / "ssh_config"
    _write_ssh_config(ssh_config, machines)
    return Site(name, root, inventory, build, ssh_config, machines)


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
