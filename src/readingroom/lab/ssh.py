"""Keys of the lab's invented people, host keys of its machines, and the ssh_config that leads to them.

Everything is made here, for one instance, and never leaves the host. Must not know how machines run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .places import Places
from .recipe import Machine

# Who has a key, and in which accounts' authorized_keys it lies. Two people's keys in the shared login: as found.
AUTHORIZED: dict[str, tuple[str, ...]] = {
    "operator": ("operator",),
    "root": ("vendor",),
    "circdesk": ("ada", "former-colleague"),
    "ada": ("ada",),
    "ben": ("ben",),
}


def make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair at `path`, unless it is there."""
    if path.exists() and path.with_suffix(".pub").exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        check=True,
        capture_output=True,
    )


def make_keys(places: Places) -> None:
    """Make a key for everybody who has one, in the instance's key directory."""
    for person in sorted({person for people in AUTHORIZED.values() for person in people}):
        make_key(places.keys / person, f"{person}@lab")


def authorized_keys(places: Places, account: str) -> str:
    """The text of the account's authorized_keys."""
    return "".join((places.keys / f"{person}.pub").read_text() for person in AUTHORIZED[account])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.rename(path)


def write_config(places: Places, machines: Iterable[Machine]) -> None:
    """Write ssh_config and known_hosts for these machines; both are whole at any moment."""
    machines = list(machines)
    hosts = "".join(
        f"Host {machine.name}\n    HostName {machine.address}\n    HostKeyAlias {machine.name}\n\n"
        for machine in machines
    )
    common = f"""\
Host *
    User operator
    IdentityFile {places.keys / "operator"}
    IdentitiesOnly yes
    PasswordAuthentication no
    UserKnownHostsFile {places.known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    ProxyCommand nsenter --net=/run/netns/{places.switch} nc %h %p
    ConnectTimeout 10
    ServerAliveInterval 5
    ServerAliveCountMax 3
    ControlMaster auto
    ControlPersist 60
    ControlPath {places.control}/%r@%n
    LogLevel ERROR
"""
    known = []
    for machine in machines:
        public = (places.machine_state(machine.name) / "host_key.pub").read_text().split()
        known.append(f"{machine.name},{machine.address},{machine.address6} {public[0]} {public[1]}\n")
    places.control.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(places.known_hosts, "".join(known))
    _write(places.ssh_config, f"# the lab '{places.instance}'; written by readingroom lab up\n{hosts}{common}")


def end_connections(places: Places, machine: Machine) -> None:
    """End the shared connection to a machine: one to a machine that is gone would hang whoever comes next."""
    for socket in places.control.glob(f"*@{machine.name}"):
        subprocess.run(
            ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", machine.name],
            capture_output=True,
            check=False,
        )
        socket.unlink(missing_ok=True)
