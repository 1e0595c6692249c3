"""One at a time: a lock that says who holds it while we wait.

Must not know what is being protected.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError


@contextmanager
def locked(path: Path, what: str, say: Callable[[str], None], patience: float = 900) -> Iterator[None]:
    """Hold the lock at `path`; when somebody else has it, say so once and wait `patience` seconds.

    The kernel drops the lock with the process that holds it, however that ends, so it can never be stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        deadline = time.monotonic() + patience
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                if not told:
                    say(f"another command (process {holder}) is at work on {what}; waiting for it")
                    told = True
                if time.monotonic() > deadline:
                    raise LabError(
                        f"process {holder} has been at work on {what} for a long time",
                        f"wait for it, or stop it (kill {holder}), and try again",
                    ) from None
                time.sleep(0.2)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
