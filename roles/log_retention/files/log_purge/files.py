"""Reaching and shortening files in directories that others may write to.

The purge runs as root in directories that belong to services: no symbolic link is ever followed, and every file is
handled through an open descriptor, so that nobody can swap it for another one meanwhile.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20

# What programs call the copies they set aside: x.1, x.2.gz, x.old, x~, x-20260730, x.2026-07-30, x.migrated.
# At most three digits: a database's numbered files (x.000001) are no copies of a log.
_COPY = re.compile(
    r"(\.\d{1,3}|\.old|\.bak|\.save|\.migrated|~|[-.]\d{4}-?\d{2}-?\d{2}([-._T]?\d{2,10})?"
    r"|\.(gz|xz|bz2|zst|lz4|Z))$"
)


def is_copy(name: str) -> bool:
    """Whether a file's name says that it is an old copy of a log.

    >>> [n for n in ("syslog", "syslog.1", "Xorg.0.log", "x.log-20260730.gz", "bin.000001", "a~") if is_copy(n)]
    ['syslog.1', 'x.log-20260730.gz', 'a~']
    """
    return _COPY.search(name) is not None


@dataclass(frozen=True)
class Found:
    """A regular file, held open for reading and writing; `where` is its path below the directory walked."""

    where: str
    name: str
    fd: int
    directory: int

    def status(self) -> os.stat_result:
        """Its size and times now."""
        return os.fstat(self.fd)

    def key(self) -> str:
        """A name that stays the same when the file is renamed."""
        status = self.status()
        return f"{status.st_dev}:{status.st_ino}"

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from the file."""
        return os.pread(self.fd, length, offset)

    def remove(self) -> None:
        """Delete it, unless another file took its name since."""
        with suppress(FileNotFoundError):
            there = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
            mine = self.status()
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                os.unlink(self.name, dir_fd=self.directory)

    def drop_head(self, length: int) -> None:
        """Take the first `length` bytes away, in place: needs no space, and whoever appends may go on appending.

        Lines appended while we work are moved along; a power cut in the middle leaves some lines twice, none lost.
        The time of the last line stays the file's time.
        """
        before = self.status()
        source, target = length, 0
        while chunk := self.read(source, CHUNK):
            os.pwrite(self.fd, chunk, target)
            source += len(chunk)
            target += len(chunk)
        os.ftruncate(self.fd, target)
        os.utime(self.fd, ns=(before.st_atime_ns, before.st_mtime_ns))

    def stamp(self, when: float) -> None:
        """Set its time."""
        os.utime(self.fd, (when, when))


def walk(top: Path, skip: Callable[[str, bool], bool]) -> Iterator[Found]:
    """Every regular file below `top`; `skip(where, is_directory)` leaves one out. Links are not followed."""
    if not top.is_dir():
        return
    for directory, names, files, fd in os.fwalk(top, follow_symlinks=False):
        below = os.path.relpath(directory, top)
        prefix = "" if below == "." else below + "/"
        names[:] = [name for name in names if not skip(prefix + name, True)]
        for name in files:
            if skip(prefix + name, False):
                continue
            with suppress(OSError):  # gone since, or not ours to open: the next run looks again
                yield from _open(prefix + name, name, fd)


def _open(where: str, name: str, directory: int) -> Iterator[Found]:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return
    fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = Found(where, name, fd, directory)
        if stat.S_ISREG(found.status().st_mode):
            yield found
    finally:
        os.close(fd)


def held_open(path: Path) -> bool:
    """Whether a running program has the file open."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            status = link.stat()
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def replace(path: Path, content: bytes) -> None:
    """Put new content in place of a file, whole or not at all, with the same owner and rights."""
    status = path.stat()
    new = path.with_name(f".{path.name}.readingroom")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
