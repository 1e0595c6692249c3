"""A child process that is asked to stop before it is made to, and the lines it writes to a pipe.

This module must not know what the lines mean, nor which engine it is.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import IO


class Child:
    """The engine's process, and how to end it: ask first, wait, and then insist.

    When it was asked to stop, it may take `patience` seconds, but go on talking about its work for `deaf` seconds only.
    """

    def __init__(self, process: subprocess.Popen[bytes], patience: float, deaf: float) -> None:
        self._process, self._patience, self._deaf = process, patience, deaf
        self._asked_at: float | None = None

    def stop(self) -> str:
        """What a Ctrl-C does; what to tell the person."""
        if self._asked_at is not None:
            self._kill()
            return "Ended at once."
        self._asked_at = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        return "Stopping after the step at hand. Press Ctrl-C again to end at once."

    def gone(self, *, talks: bool = False) -> bool:
        """Whether it has ended. Ansible can lock itself up while it stops, or go on as if nothing was: then it is ended."""
        limit = self._deaf if talks else self._patience
        if self._asked_at is not None and time.monotonic() - self._asked_at > limit:
            self._kill()
        return self._process.poll() is not None

    def _kill(self) -> None:
        # Ansible's workers have sessions of their own, so that the process group is not all of it.
        for pid in [*descendants(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, deepest first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = path.read_text().rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(path.parent.name))

    def below(one: int) -> list[int]:
        return [found for child in children.get(one, []) for found in [*below(child), child]]

    return below(pid)


class Lines:
    """Whole lines from a pipe."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._rest, self.ended = pipe, b"", False
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)

    def arrived(self, timeout: float) -> list[bytes]:
        """The lines that have arrived, waiting at most `timeout` seconds for some."""
        if not self._selector.select(timeout):
            return []
        chunk = self._pipe.read(65536)
        self.ended = not chunk
        *lines, self._rest = (self._rest + (chunk or b"")).split(b"\n")
        return lines
