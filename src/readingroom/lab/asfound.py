"""Gives a new machine what is its own: name, identity, keys, and what its class is found with.

Works on the machine's file system before it first boots. Must not know how the file system came about or what boots it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import uuid4

from . import ssh
from .errors import LabError
from .places import Places
from .recipe import SEED, Machine


def personalise(root: Path, machine: Machine, places: Places, neighbours: list[Machine]) -> None:
    """Make the file system at `root`, fresh from an image, that of this one machine."""
    _run_seed(root, machine)
    hosts = "".join(f"{address} {one.name}\n" for one in neighbours for address in (one.address, one.address6))
    _put(root / "etc/hostname", f"{machine.name}\n")
    _put(root / "etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{hosts}")
    _put(root / "etc/machine-id", f"{uuid4().hex}\n", mode=0o444)
    for suffix, mode in (("", 0o600), (".pub", 0o644)):
        key = (places.machine_state(machine.name) / f"host_key{suffix}").read_text()
        _put(root / f"etc/ssh/ssh_host_ed25519_key{suffix}", key, mode)
    accounts = _accounts(root)
    for account in ssh.AUTHORIZED:
        uid, gid, home = accounts[account]
        directory = root / home.lstrip("/") / ".ssh"
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)
        os.chown(directory, uid, gid)
        _put(directory / "authorized_keys", ssh.authorized_keys(places, account), 0o600, (uid, gid))


def _run_seed(root: Path, machine: Machine) -> None:
    run = subprocess.run(
        ["chroot", str(root), "/bin/bash", "-s", machine.machine_class],
        input=(SEED / "machine").read_text(),
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    if run.returncode != 0:
        raise LabError(
            f"{machine.name} could not be made a {machine.machine_class} machine",
            "mend seed/machine of the lab, then run the same command again",
            run.stderr.strip(),
        )


def _put(path: Path, text: str, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> None:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, *owner)


def _accounts(root: Path) -> dict[str, tuple[int, int, str]]:
    rows = (line.split(":") for line in (root / "etc/passwd").read_text().splitlines())
    return {row[0]: (int(row[2]), int(row[3]), row[5]) for row in rows}
