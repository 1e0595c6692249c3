"""Ctrl-C ends the engine: politely if it listens, for certain if it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from readingroom.apply.child import Child, Lines

POLITE = "import time\ntry:\n    print('up', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    print('bye', flush=True)"
# As Ansible is: a worker in a session of its own, and a main process that may lock itself up while it stops.
STUBBORN = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "pid = os.fork()\n"
    "if pid == 0:\n    os.setsid()\n    time.sleep(60)\n"
    "print(pid, flush=True)\n"
    "time.sleep(60)\n"
)


def _start(program: str) -> tuple[subprocess.Popen[bytes], Lines]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True, bufsize=0
    )
    assert process.stdout
    return process, Lines(process.stdout)


def _first_line(lines: Lines) -> bytes:
    return next(line for _ in range(100) for line in lines.arrived(0.2))


def _soon(true: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_listens_ends_in_its_own_words() -> None:
    process, lines = _start(POLITE)
    assert _first_line(lines) == b"up"
    child = Child(process, patience=60, deaf=60)
    assert "Ctrl-C again" in child.stop()
    assert _first_line(lines) == b"bye"
    assert _soon(child.gone)


@pytest.mark.parametrize("how", ["a second Ctrl-C", "patience that runs out", "talk of its work"])
def test_a_child_that_does_not_listen_is_ended_with_all_its_workers(how: str) -> None:
    process, lines = _start(STUBBORN)
    worker = int(_first_line(lines))
    child = Child(process, patience=0.3 if how.startswith("patience") else 60, deaf=0.3)
    child.stop()
    time.sleep(0.1)
    assert not child.gone()
    if how == "a second Ctrl-C":
        assert child.stop() == "Ended at once."
    assert _soon(lambda: child.gone(talks=how.startswith("talk")))
    assert _soon(lambda: not _runs(worker))
    process.wait()


def test_lines_arrive_whole_however_they_are_written() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        lines = Lines(pipe)
        assert lines.arrived(0.01) == []
        os.write(writing, b"one\ntw")
        assert lines.arrived(1) == [b"one"]
        os.write(writing, b"o\nthree\n")
        assert lines.arrived(1) == [b"two", b"three"]
        os.close(writing)
        assert lines.arrived(1) == []
        assert lines.ended
