"""The two engines as child processes: what to start, what to feed it, and nothing more.

An engine is started with a command line that holds no secret, gets what is secret over standard input, and writes one
event per line to a pipe. This module must not interpret events, nor import Ansible or pyinfra.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from readingroom.apply.model import Engine
from readingroom.errors import ReadingRoomError
from readingroom.fleet import Machine, Site

EVENTS_FD = "READINGROOM_EVENTS_FD"
SIDE_BY_SIDE = 32


@dataclass(frozen=True)
class Request:
    """One run, ready to start. `passwords` maps machines to sudo passwords; `unfinished` were cut short before."""

    site: Site
    roles: tuple[str, ...]
    machines: tuple[Machine, ...]
    check: bool
    passwords: Mapping[str, str]
    asked_password: str | None
    unfinished: frozenset[str]


@dataclass(frozen=True)
class Command:
    """A child process to start: its arguments, its environment and its standard input."""

    argv: list[str]
    environment: dict[str, str]
    stdin: str


def command_for(engine: Engine, request: Request) -> Command:
    """How to start `engine` for `request`; the events' file descriptor is added by whoever starts it."""
    return _ansible(request) if engine == "ansible" else _pyinfra(request)


def playbook(root: Path) -> Path:
    """The playbook of both engines: it says which roles there are, and in which order."""
    return root / "playbooks" / "harden.yml"


def roles_in_order(root: Path) -> tuple[str, ...]:
    """The roles that the playbook applies, in its order."""
    plays = yaml.safe_load(playbook(root).read_text(encoding="utf-8"))
    entries = [entry for play in plays for entry in play.get("roles", [])]
    return tuple(entry if isinstance(entry, str) else entry["role"] for entry in entries)


def _ansible(request: Request) -> Command:
    site = request.site
    handlers = [name for role in request.roles for name in handler_names(site.root / "roles" / role)]
    # Always passed: without it a fact or a leftover variable could answer in its place.
    extra = {"readingroom_unfinished": sorted(request.unfinished), "readingroom_handlers": handlers}
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")), str(playbook(site.root)),
        "--inventory", str(site.inventory), "--inventory", str(site.build / "inventory"),
        "--ssh-common-args", f"-F {shlex.quote(str(site.ssh_config))}",
        "--limit", ",".join(machine.name for machine in request.machines),
        "--forks", str(min(len(request.machines), SIDE_BY_SIDE)),
        "--tags", ",".join(request.roles),
        "--extra-vars", json.dumps(extra),
    ]  # fmt: skip
    if request.check:
        # Diffs only here: each costs Ansible two more modules on the machine, and a plan has shown them before.
        argv += ["--check", "--diff"]
    if request.asked_password is not None:
        argv += ["--become-password-file", "-"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(site.root / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("ansible_callback")),
        "ANSIBLE_STDOUT_CALLBACK": "readingroom_events",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return Command(argv, environment, request.asked_password or "")


def handler_names(role: Path) -> list[str]:
    """The handlers of a role, named so that no other role's handler answers."""
    path = role / "handlers" / "main.yml"
    handlers = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return [f"{role.name} : {handler['name']}" for handler in handlers or []]


def _pyinfra(request: Request) -> Command:
    site = request.site
    jobs = [
        {
            "machine": machine.name,
            "roles": roles_for(request.roles, variables),
            "variables": variables,
            "ssh_config": str(site.ssh_config),
            "roles_path": str(site.root / "roles"),
            "check": request.check,
            "password": request.passwords.get(machine.name, request.asked_password),
            "unfinished": machine.name in request.unfinished,
        }
        for machine, variables in ((one, variables_of(site, one)) for one in request.machines)
    ]
    stdin = json.dumps({"side_by_side": SIDE_BY_SIDE, "jobs": jobs}, default=str)
    return Command([sys.executable, "-m", "readingroom.apply.pyinfra_run"], dict(os.environ), stdin)


def variables_of(site: Site, machine: Machine) -> dict[str, Any]:
    """A machine's compiled variables, with Ansible's precedence: all, then its class, then the machine itself."""
    folder = site.build / "inventory"
    values: dict[str, Any] = {}
    for path in (
        folder / "group_vars" / "all.yml",
        folder / "group_vars" / f"{machine.machine_class}.yml",
        folder / "host_vars" / f"{machine.name}.yml",
    ):
        if path.is_file():
            values.update(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return values


def roles_for(roles: Sequence[str], variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of `roles` that come to a machine with these variables; the playbook says the same to Ansible."""
    return tuple(role for role in roles if role in variables.get("readingroom_roles", roles))


def refuse_uncompiled(site: Site, roles: Sequence[str]) -> None:
    """Refuse to start without a compiled policy, or with roles that are not there."""
    if not (site.build / "inventory").is_dir():
        raise ReadingRoomError(
            f"the policy of {site.name} is not compiled: build/{site.name}/inventory is missing\n"
            f"  to mend  readingroom compile {site.name}"
        )
    missing = [role for role in roles if not (site.root / "roles" / role).is_dir()]
    if missing:
        raise ReadingRoomError(f"there is no role called {', '.join(missing)} in {site.root / 'roles'}")
