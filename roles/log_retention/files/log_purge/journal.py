"""The system journal: files whose oldest entry has reached the limit go.

journald deletes only files it has closed, closes them by size or month, and (Debian 12) only when something is
written; so each run asks it to close the current ones once they span `grain`. Then every closed file is judged by its
oldest entry: those of this machine, of users long gone, of journal namespaces, and those that another installation
left under another machine-id, which journald itself never looks at.
"""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from log_purge.settings import Settings
from log_purge.store import Store

ON_DISK, IN_MEMORY = "/var/log/journal", "/run/log/journal"
_MAGIC = b"LPKSHHRH"
_ONLINE = 1
# https://systemd.io/JOURNAL_FILE_FORMAT/: the state byte, and the times of the first and last entry in microseconds
_STATE, _TIMES, _HEADER = 16, 184, 208


def purge(settings: Settings, now: float, store: Store) -> Counter[str]:
    """Close what is open, delete what is too old, and all that is on disk where the journal lives in memory."""
    done: Counter[str] = Counter()
    if settings.journal == "persistent":
        return done
    if settings.limit is not None and not 0 <= now - store.journal_rotated < settings.grain:
        if settings.root == Path("/"):
            subprocess.run(["journalctl", "--quiet", "--rotate"], check=True, timeout=120)
        store.journal_rotated = now
    for path, on_disk in _files(settings):
        with suppress(FileNotFoundError):
            if (on_disk and settings.journal == "volatile") or _too_old(settings, path, now):
                path.unlink()
                done["journal files removed"] += 1
    if settings.journal == "volatile":
        _remove_empty(settings.path(ON_DISK))
    return done


def _files(settings: Settings) -> Iterator[tuple[Path, bool]]:
    for top, on_disk in ((settings.path(ON_DISK), True), (settings.path(IN_MEMORY), False)):
        for directory in sorted(top.glob("*/")):
            if not directory.is_symlink():
                for path in sorted(directory.iterdir()):
                    if path.name.endswith((".journal", ".journal~")) and not path.is_symlink():
                        yield path, on_disk


def _too_old(settings: Settings, path: Path, now: float) -> bool:
    if settings.limit is None:
        return False
    cutoff = now - settings.limit
    written = path.stat().st_mtime
    state, oldest = _read_header(path)
    closed = "@" in path.name or path.name.endswith("~")
    if not closed and (_is_own(settings, path) or (state == _ONLINE and written >= cutoff)):
        return False  # journald (or another receiver) is writing to it; it is judged when it has been closed
    return (oldest or written) < cutoff


def _is_own(settings: Settings, path: Path) -> bool:
    """Whether journald of this machine, or one of its namespaces, writes to the file's directory."""
    machine = settings.path("/etc/machine-id").read_text(encoding="ascii").strip()
    return bool(machine) and path.parent.name.split(".")[0] == machine


def _read_header(path: Path) -> tuple[int, float]:
    """A journal file's state, and the time of its oldest entry (0 when it has none, or is damaged)."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
        if header[:8] != _MAGIC:
            return 0, 0.0
        (oldest,) = struct.unpack_from("<Q", header, _TIMES)
        return header[_STATE], oldest / 1e6
    except (OSError, struct.error):
        return 0, 0.0


def _remove_empty(top: Path) -> None:
    for directory in top.glob("*/"):
        with suppress(OSError):  # not empty: something else lives there
            directory.rmdir()
