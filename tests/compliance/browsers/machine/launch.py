"""Runs the plays of one machine, as many at once as it has processors, and leaves what each said as `NAME.json`.

    python3 launch.py FOLDER, where `jobs.json` is

Ends by itself: each play has a limit of its own. Ended from outside, it takes all plays along.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

ALONE = (
    "unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip


def main(folder: Path) -> None:
    """Start the next play whenever there is room."""
    room = threading.Semaphore(max(2, os.cpu_count() or 1))
    running: list[subprocess.Popen[str]] = []
    signal.signal(signal.SIGTERM, lambda *_: [play.kill() for play in running] and os._exit(1))
    waiting = []
    for job in json.loads((folder / "jobs.json").read_text()):
        room.acquire()
        program = [*ALONE, sys.executable, str(Path(__file__).parent / "play.py")]
        play = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
        )
        running.append(play)
        waiting.append(threading.Thread(target=_hear, args=(play, job, folder, room)))
        waiting[-1].start()
    for one in waiting:
        one.join()


def _hear(play: subprocess.Popen[str], job: dict[str, str], folder: Path, room: threading.Semaphore) -> None:
    said, complaints = play.communicate(json.dumps(job))
    room.release()
    try:
        json.loads(said)
    except ValueError:
        ending = f"it ended with {play.returncode} and said: {said[-500:]}{complaints[-2000:]}"
        said = json.dumps({"failed": ending})
    place = folder / f"{job['browser']}-{job['play']}.json"
    place.with_suffix(".part").write_text(said)
    place.with_suffix(".part").rename(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
