"""What was there before: every change that can be taken back is written down before it is made.

Kept in the machine's one record of how things were before Reading Room (see the toolkit's package `prior`, which reads
it to give everything back), for root alone: `changes.jsonl`, one line per act in order, and `kept/`, the content of files by
its digest. No password and no hash is ever written here. It must not know why something changes.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from logins.machine import Problem

PLACE = Path("/var/lib/readingroom/prior/shared_login_removal")
_LARGEST = 4_000_000


class Record:
    """The open record; make it with `Record.open`."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @classmethod
    @contextlib.contextmanager
    def open(cls, place: Path = PLACE) -> Iterator[Record]:
        """Hold the record, one run at a time. Raises `Problem` when another run has it."""
        for directory in (place.parent.parent, place.parent, place, place / "kept"):
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
        handle = os.open(self.place / "changes.jsonl", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            written = os.pread(handle, os.fstat(handle).st_size, 0)
            os.ftruncate(handle, written.rfind(b"\n") + 1)  # a line that was cut short: what it said was never done
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def keep(self, path: str, content: bytes, rights: Mapping[str, Any], **more: Any) -> None:
        """Keep a file's content and remember where it was, whose it was and who could read it.

        `after` among `more` is the digest of what we put in its place; without it, whoever changed the file since is not asked.
        """
        digest = hashlib.sha256(content).hexdigest()
        fresh = self.place / "kept" / f".{digest}.new"
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.place / "kept" / digest)
        self.add("file", path=path, before={"kind": "file", "content": digest, **rights}, **more)

    def keep_file(self, path: Path, **more: Any) -> None:
        """Keep a file of the system as it is."""
        self.keep(str(path), path.read_bytes(), _rights(path.stat(), path), **more)

    def replace(self, path: Path, text: str) -> None:
        """Keep a file of the system and put `text` in its place, whole or not at all, with the same owner and mode."""
        status = path.stat()
        self.keep_file(path, after=hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest())
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
            walked = base
            for part in above:
                walked = f"{walked}/{part}"
                if self._take_link(folder, part, walked, base):
                    return
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            if self._take_link(folder, last, f"{base}/{inside}", base):
                return
            handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise Problem(f"{base}/{inside} is not a file; look what it is and remove it by hand")
                content, rights = file.read(_LARGEST + 1), _rights(status, file.fileno())
            if len(content) > _LARGEST:
                raise Problem(f"{base}/{inside} is larger than such a file can be; look at it and remove it by hand")
            self.keep(f"{base}/{inside}", content, rights, base=base)
            os.unlink(last, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        finally:
            os.close(folder)

    def _take_link(self, folder: int, name: str, path: str, base: str) -> bool:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return False
        target = os.readlink(name, dir_fd=folder)
        self.add("link", path=path, target=target, uid=status.st_uid, gid=status.st_gid, base=base)
        os.unlink(name, dir_fd=folder)
        return True


def _rights(status: os.stat_result, where: Path | int) -> dict[str, Any]:
    """Mode, owner, age and extended attributes, as the record of prior states writes them."""
    names = sorted(os.listxattr(where))
    return {
        "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid, "changed_ns": status.st_mtime_ns,
        "xattrs": {name: base64.b64encode(os.getxattr(where, name)).decode() for name in names},
    }  # fmt: skip
