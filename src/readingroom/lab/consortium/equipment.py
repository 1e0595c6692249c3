"""Starts and ends what answers in a lab's consortium. Must not know what it answers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from readingroom.lab import network, processes
from readingroom.lab.errors import LabError
from readingroom.lab.places import Places

_MODULE = "readingroom.lab.consortium.serve"
_PATIENCE = 20.0


def ensure(places: Places) -> None:
    """Have it answer; what runs already is left alone, unless its namespace was made anew since."""
    namespace = network.NAMESPACES / places.consortium
    if any(network.is_in(pid, namespace) for pid in running(places)):
        return
    end(places)
    log = places.run / "consortium.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    enter = ["nsenter", f"--net={namespace}", "unshare", "--mount"]
    with log.open("wb") as said:
        started = subprocess.Popen(
            [*enter, sys.executable, "-I", "-m", _MODULE, places.instance],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + _PATIENCE
    while "ready" not in (text := log.read_text(errors="replace")):
        if started.poll() is not None or time.monotonic() > deadline:
            started.terminate()
            raise LabError(
                "the lab's consortium did not start",
                f"try again; what it said is in {log}",
                "\n".join(text.splitlines()[-6:]),
            )
        time.sleep(0.05)


def running(places: Places) -> tuple[int, ...]:
    """The processes of it."""
    return processes.named(_MODULE, places.instance)


def end(places: Places) -> None:
    """End it, in order."""
    for pid in running(places):
        processes.send(pid, signal.SIGTERM)
        processes.wait_gone(pid, 10)
