"""Runs the plays of one machine, as many at work as it has processors, and leaves what each said as `NAME.json`.

    python3 launch.py FOLDER, where `jobs.json` is

Ends by itself: each play has a limit of its own. Ended from outside, it takes all plays along.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

ALONE = (
    "unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
IDLE = "idle"  # what a play says when it leaves its browser alone for a while, and so makes room for another


def main(folder: Path) -> None:
    """Start the next play whenever there is room."""
    os.nice(10)  # whoever works at the machine comes first, and so do checks that have a person's patience
    room = threading.Semaphore(max(2, os.cpu_count() or 1))
    running: list[subprocess.Popen[str]] = []
    signal.signal(signal.SIGTERM, lambda *_: [play.kill() for play in running] and os._exit(1))
    waiting = []
    for job in json.loads((folder / "jobs.json").read_text()):
        room.acquire()
        program = [*ALONE, sys.executable, str(Path(__file__).parent / "play.py")]
        complaints = tempfile.TemporaryFile("w+")
        play = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd="/"
        )
        running.append(play)
        waiting.append(threading.Thread(target=_hear, args=(play, complaints, job, folder, room)))
        waiting[-1].start()
    for one in waiting:
        one.join()


def _hear(
    play: subprocess.Popen[str], complaints: IO[str], job: dict[str, str], folder: Path, room: threading.Semaphore
) -> None:
    assert play.stdin is not None
    assert play.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        play.stdin.write(json.dumps(job))
        play.stdin.close()
    said, at_work = "", True
    for line in play.stdout:
        if line.strip() != IDLE:
            said = line
        elif at_work:
            at_work = False
            room.release()
    play.wait()
    if at_work:
        room.release()
    try:
        json.loads(said)
    except ValueError:
        complaints.seek(0)
        ending = f"it ended with {play.returncode} and said: {said[-500:]}{complaints.read()[-2000:]}"
        said = json.dumps({"failed": ending})
    place = folder / f"{job['browser']}-{job['play']}.json"
    place.with_suffix(".part").write_text(said)
    place.with_suffix(".part").rename(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
