"""A control group of its own for every machine, in whatever hierarchies this host has.

Without one, the systemds of several machines would find each other's groups and trample them.

Three kinds of host: several v1 hierarchies (perhaps with v2 beside them), v2 alone without systemd, and v2 alone with
systemd as PID 1. On the last one groups belong to systemd, and a machine is started in a delegated scope instead
(`systemd-run --scope -p Delegate=yes`). The first kind is tried by every run of the tests here; the last was tried by
hand in a virtual machine (Debian 12: start, reboot, power cut, destroy); v2 without systemd has not run yet.

Must not know what runs in a group.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/mounts")
# The group that holds all of ours, at the top of each hierarchy.
PARENT = "readingroom-lab"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted tree of control groups."""

    path: Path
    controllers: frozenset[str]


def hierarchies(mounts: str) -> list[Hierarchy]:
    """The trees in the text of /proc/mounts.

    >>> [str(tree.path) for tree in hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0")]
    ['/sys/fs/cgroup']
    """
    found = []
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and where.startswith("/sys/fs/cgroup"):
            found.append(Hierarchy(Path(where), frozenset(options.split(","))))
    return found


def systemd_owns_groups() -> bool:
    """Is this host's PID 1 a systemd on a pure v2 tree, which must be asked for a group?"""
    pure = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return pure and Path("/run/systemd/system").is_dir() and shutil.which("systemd-run") is not None


def scope_command(label: str) -> list[str]:
    """What to put before a command so that it runs in a delegated scope of systemd's."""
    return ["systemd-run", "--quiet", "--scope", "--collect", f"--unit={label}.scope", "-p", "Delegate=yes", "--"]


def create(label: str) -> list[Path]:
    """Make the group `label` in every tree that lets us; returns the files a process joins them through."""
    joins = []
    for tree in hierarchies(MOUNTS.read_text()):
        parent = tree.path / PARENT
        group = parent / label
        try:
            parent.mkdir(exist_ok=True)
            group.mkdir(exist_ok=True)
            if "cpuset" in tree.controllers:
                # a new v1 cpuset has no processors and takes no process until it is given some
                for directory in (parent, group):
                    for name in ("cpuset.cpus", "cpuset.mems"):
                        (directory / name).write_text((directory.parent / name).read_text())
        except OSError:
            continue
        joins.append(group / "cgroup.procs")
    return joins


def remove(label: str, patience: float = 3) -> None:
    """Remove the group `label` and everything below it from every tree, and ours when it is the last."""
    for tree in hierarchies(MOUNTS.read_text()):
        group = tree.path / PARENT / label
        deadline = time.monotonic() + patience
        while group.exists():
            for directory in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
            if time.monotonic() > deadline:
                break
            if group.exists():
                # processes that were killed leave their group a moment later
                time.sleep(0.05)
        with contextlib.suppress(OSError):
            (tree.path / PARENT).rmdir()
