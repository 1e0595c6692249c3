"""Which jobs have not reached their printer, as the kernel sees it. Must not know what becomes of them.

CUPS calls a job "printing" as soon as it tries to connect, and gives no reason while a printer on the network is switched off.
Standard library only.
"""

from __future__ import annotations

import re
from pathlib import Path

PROC = Path("/proc")
# CUPS starts a backend with the address of the printer as its name, and the number of the job after it.
_BACKEND = re.compile(rb"(?:https?|ipps?|lpd|socket)://[^\0]*\0(\d+)\0")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
# TCP's states in which nobody has answered: SYN_SENT, CLOSE.
_NO_ANSWER = ("02", "07")


def unreached(proc: Path = PROC) -> set[int]:
    """The numbers of jobs that are on their way to a printer on the network and have no connection to it."""
    found: dict[int, bool] = {}
    for place in proc.glob("[0-9]*"):
        try:
            backend = _BACKEND.match((place / "cmdline").read_bytes())
            if backend:
                job = int(backend[1])
                found[job] = found.get(job, False) or _is_connected(place)
        except OSError:
            continue  # it has ended
    return {job for job, connected in found.items() if not connected}


def _is_connected(place: Path) -> bool:
    links = (_SOCKET.fullmatch(str(one.readlink())) for one in (place / "fd").iterdir())
    own = {link[1] for link in links if link}
    for name in ("tcp", "tcp6"):
        table = place / "net" / name
        rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
        if any(row[9] in own and row[3] not in _NO_ANSWER for row in rows):
            return True
    return False
