"""What was there before: every change that can be taken back is written down before it is made.

Kept under /var/lib/readingroom/logins, for root alone: `record.jsonl`, one line per change in order, and `kept/`, the
files as they were. No password and no hash is ever written here. It must not know why something changes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logins.machine import Problem

PLACE = Path("/var/lib/readingroom/logins")
_LARGEST = 4_000_000


class Record:
    """The open record; make it with `Record.open`."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @classmethod
    @contextlib.contextmanager
    def open(cls, place: Path = PLACE) -> Iterator[Record]:
        """Hold the record, one run at a time. Raises `Problem` when another run has it."""
        for directory in (place.parent, place, place / "kept"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise Problem("another run is changing logins on this machine; wait for it and try again") from None
        try:
            yield cls(place)
        finally:
            os.close(handle)

    def add(self, act: str, **facts: Any) -> None:
        """Write one line and wait until it is on the disk."""
        line = json.dumps({"act": act, **facts}, sort_keys=True) + "\n"
        handle = os.open(self.place / "record.jsonl", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def keep(self, path: str, content: bytes, status: os.stat_result) -> None:
        """Keep a file's content and remember where it was, whose it was and who could read it."""
        handle, kept = -1, Path()
        for number in range(1, 100_000):
            kept = self.place / "kept" / f"{number:04}"
            try:
                handle = os.open(kept, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                break
            except FileExistsError:
                continue
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        self.add("file", path=path, kept=kept.name, mode=mode, uid=status.st_uid, gid=status.st_gid)

    def replace(self, path: Path, text: str) -> None:
        """Keep a file of the system and put `text` in its place, whole or not at all, with the same owner and mode."""
        status = path.stat()
        self.keep(str(path), path.read_bytes(), status)
        fresh = path.with_name(f".{path.name}.readingroom")
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chown(fresh, status.st_uid, status.st_gid)
        fresh.chmod(stat.S_IMODE(status.st_mode))
        fresh.replace(path)

    def take(self, base: str, inside: str) -> None:
        """Take the file `inside` out of the folder `base`, and keep it.

        Whoever owns the folder may have put links into it to make us take something else: below `base` no link is
        followed, and where one stands in the way it is the link that goes.
        """
        folder = os.open(os.path.realpath(base), os.O_RDONLY | os.O_DIRECTORY)
        try:
            *above, last = Path(inside).parts
            for part in above:
                if self._take_link(folder, part, f"{base}/{inside}"):
                    return
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            if self._take_link(folder, last, f"{base}/{inside}"):
                return
            handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise Problem(f"{base}/{inside} is not a file; look what it is and remove it by hand")
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise Problem(f"{base}/{inside} is larger than such a file can be; look at it and remove it by hand")
            self.keep(f"{base}/{inside}", content, status)
            os.unlink(last, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        finally:
            os.close(folder)

    def _take_link(self, folder: int, name: str, path: str) -> bool:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return False
        self.add("link", path=path, name=name, target=os.readlink(name, dir_fd=folder))
        os.unlink(name, dir_fd=folder)
        return True
