"""Keeps one machine running: starts it, starts it again when it reboots itself, and ends when it is switched off.

Run by the lab as a program of its own, in a session of its own, so that a machine outlives the command that started
it; only the standard library, so that it stays small. TERM switches the machine off in order. Must not know what a
machine is: it is given the whole nspawn command.

usage: supervisor.py [--join CGROUP-PROCS-FILE]... -- COMMAND...
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import FrameType

# What nspawn's exit says when the machine asked for a reboot and nobody else starts it again (--keep-unit).
REBOOT = 133
_PR_SET_PDEATHSIG = 1


def _end_with_parent(parent: int) -> None:
    """Should this supervisor be killed, the machine is switched off rather than left without one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)  # it was killed before the kernel knew


def supervise(joins: list[Path], command: list[str]) -> int:
    """Run `command` until it ends otherwise than by a reboot; returns its exit status."""
    for join in joins:
        try:
            join.write_text(str(os.getpid()))
        except OSError as problem:
            print(f"supervisor: cannot join {join}: {problem.strerror}", flush=True)
    current: subprocess.Popen[bytes] | None = None
    stopping = False
    tied = partial(_end_with_parent, os.getpid())

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if current is not None:
            current.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        current = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=tied)
        if stopping:
            current.send_signal(signal.SIGTERM)
        status = current.wait()
        print(f"supervisor: the machine ended with {status}", flush=True)
        if status != REBOOT or stopping:
            return status


def main(arguments: list[str]) -> int:
    """Read the arguments described above."""
    split = arguments.index("--")
    options = arguments[:split]
    joins = [Path(value) for flag, value in zip(options[::2], options[1::2], strict=True) if flag == "--join"]
    return supervise(joins, arguments[split + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
