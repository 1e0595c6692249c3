"""Finds and ends the processes of a lab machine, and prepares commands that run inside one.

A machine's processes are known by its label on their command line, so nothing depends on files with numbers in them
that a crash leaves behind. Must not know what else a machine has on the host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class MachineProcesses:
    """The host's side of a running machine: its supervisor, its nspawn, and its own PID 1 (the leader)."""

    supervisors: tuple[int, ...]
    nspawns: tuple[int, ...]
    leader: int | None

    @property
    def all(self) -> tuple[int, ...]:
        """Every one of them, those that would start others first."""
        return (*self.supervisors, *((self.leader,) if self.leader else ()), *self.nspawns)


def find(label: str) -> MachineProcesses:
    """Look up what runs for the machine of this label."""
    mark = f"--machine={label}".encode()
    supervisors, nspawns = [], []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        words = _command_line(entry)
        if mark not in words:
            continue
        if any(word.endswith(b"supervisor.py") for word in words):
            supervisors.append(int(entry.name))
        elif Path(os.fsdecode(words[0])).name == "systemd-nspawn":
            nspawns.append(int(entry.name))
    return MachineProcesses(tuple(supervisors), tuple(nspawns), _leader(nspawns))


def named(*words: str) -> tuple[int, ...]:
    """The processes whose command line ends in these words."""
    wanted = [word.encode() for word in words]
    found = ((entry, _command_line(entry)) for entry in PROC.iterdir() if entry.name.isdigit())
    return tuple(int(entry.name) for entry, line in found if line[:-1][-len(wanted) :] == wanted)


def _command_line(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _leader(nspawns: list[int]) -> int | None:
    """The child that is number 1 in a process namespace of its own."""
    for pid in nspawns:
        with contextlib.suppress(OSError):
            for child in (PROC / f"{pid}/task/{pid}/children").read_text().split():
                numbers = _status_field(int(child), "NSpid")
                if len(numbers) > 1 and numbers[-1] == "1" and not is_gone(int(child)):
                    return int(child)
    return None


def _status_field(pid: int, name: str) -> list[str]:
    for line in (PROC / f"{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    return []


def is_gone(pid: int) -> bool:
    """Has the process ended? One that is dead but not yet reaped counts: some hosts' PID 1 takes seconds over it."""
    try:
        return (PROC / f"{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may just have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_gone(pid: int, patience: float) -> bool:
    """Wait until the process has ended; false when it has not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not is_gone(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def enter_command(leader: int) -> list[str]:
    """What to put before a command so that it runs inside, with its rights cut down first.

    nsenter alone would keep all rights of the host's root: setting the clock "inside" would set the host's.
    """
    bounding = int(_status_field(leader, "CapBnd")[0], 16)
    last = int((PROC / "sys/kernel/cap_last_cap").read_text())
    kept = ",".join(["-all", *(f"+cap_{number}" for number in range(last + 1) if bounding >> number & 1)])
    cut = ["setpriv", "--bounding-set", kept, "--inh-caps", "-all"]
    return [*cut, "nsenter", "--target", str(leader), "--all", "--"]


def inside_environment() -> dict[str, str]:
    """The environment a command inside gets: nothing of the host's but the kind of terminal."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
    }
