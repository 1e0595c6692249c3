"""Text logs and their old copies in /var/log: what is older than the limit goes, line by line where that can be told.

The age of a line is known in two ways, and the older answer wins:
- the date it begins with;
- *marks*: each run notes how long the file is. What lay before such a mark is at least as old as the mark, whatever
  it says and in whatever format, also when the machine's clock was wrong as it was written.
A quiet file (last line older than the limit) is wholly old. A copy that can only be read as a whole (compressed) goes
as a whole with its oldest line.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import PurePath
from typing import IO, Any

from log_purge.dates import date_of
from log_purge.files import Found, is_copy, walk
from log_purge.settings import Settings
from log_purge.store import Marks, Store

DIRECTORY = "/var/log"
# Kept by other modules here, or (packages installed, never who did what) without a trace of a patron.
ELSEWHERE = {"journal", "apt", "unattended-upgrades", "installer", "runit"}
HARMLESS = ("dpkg.log", "alternatives.log", "bootstrap.log", "fontconfig.log")
LOGIN_RECORDS = ("wtmp", "btmp", "lastlog", "faillog", "tallylog")
# Written by rsyslog as Debian ships it; with text logs off these go at once, with all their copies.
SYSLOG = (
    *("syslog", "messages", "debug", "auth.log", "kern.log", "user.log", "cron.log", "daemon.log", "lpr.log"),
    *("mail.log", "mail.err", "mail.info", "mail.warn"),
)
# One file a day, or one per session, which only its program can read: whole files.
WHOLE = ("atop/", "sysstat/", "sa/", "sudo-io/")
RECORDS = ("account/",)  # process accounting: equal records, no dates that we read, one after the other

PACKED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z")

AHEAD = 300.0  # a file dated later than this from now cannot prove its age: it is dated now
LOOK = 200  # lines to look at before a file counts as undated
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def skip(where: str, directory: bool) -> bool:
    """What is not ours to judge here."""
    if directory:
        return where in ELSEWHERE
    return where.startswith(LOGIN_RECORDS) or where.startswith(HARMLESS)


def purge(settings: Settings, now: float, store: Store) -> Counter[str]:
    """Bring every text log and every copy below the limit."""
    done: Counter[str] = Counter()
    seen: Marks = {}
    for found in walk(settings.path(DIRECTORY), skip):
        try:
            done[_one(found, settings, now, store, seen)] += 1
        except OSError:
            done["logs that could not be read"] += 1
    store.marks = seen
    return +done


def _one(found: Found, settings: Settings, now: float, store: Store, seen: Marks) -> str:
    copy = is_copy(found.name)
    if settings.text == "off" and _is_syslog(found.where) and (not copy or settings.copies != "kept"):
        found.remove()
        return "system logs removed"
    text = not found.where.startswith(WHOLE + RECORDS)  # the others are only bound by the limit itself
    if settings.limit is None or (text and (settings.copies if copy else settings.text) == "kept"):
        return "logs the policy keeps"
    return Expiry(found, copy, now, now - settings.limit, settings.grain, store).apply(seen)


def _is_syslog(where: str) -> bool:
    return any(where == name or (where.startswith(name) and where[len(name)] in ".-~") for name in SYSLOG)


class Expiry:
    """One file, and what of it is older than `cutoff`."""

    def __init__(self, found: Found, copy: bool, now: float, cutoff: float, grain: float, store: Store) -> None:
        self.found, self.copy, self.now, self.cutoff, self.grain = found, copy, now, cutoff, grain
        self.first_run = store.first_run
        self.status = found.status()
        self.known = store.marks.get(found.key())

    def apply(self, seen: Marks) -> str:
        """Take away what is too old, and note the file's length for the runs to come."""
        size = int(self.status.st_size)
        if self.status.st_mtime > self.now + AHEAD:
            self.found.stamp(self.now)
            self.status = self.found.status()
        marks = self._marks()
        gone = self._expired(marks)
        if gone >= size and (self.copy or self.found.where.startswith(WHOLE)):
            self.found.remove()
            return "old copies removed" if self.copy else "old files removed"
        if gone:
            self.found.drop_head(gone)
        marks = [[when, length - gone] for when, length in marks if length > gone]
        left = self.found.status().st_size
        if left and (not marks or (left > marks[-1][1] and self.now - marks[-1][0] >= self.grain)):
            marks.append([self.now, left])
        seen[self.found.key()] = {"head": self._head(), "marks": marks}
        return "logs shortened" if gone else "logs kept as they are"

    def _marks(self) -> list[list[float]]:
        """The marks of earlier runs, unless the file was emptied or begun anew since."""
        if self.known is None or self.known["head"] != self._head():
            return []
        marks: list[list[float]] = self.known["marks"]
        return [] if marks and marks[-1][1] > self.status.st_size else marks

    def _head(self) -> int:
        return zlib.crc32(self.found.read(0, 32))

    def _expired(self, marks: list[list[float]]) -> int:
        """How many bytes at the head of the file are older than the cutoff."""
        size: int = self.status.st_size
        if self.status.st_mtime < self.cutoff:
            return size
        marked = max((int(length) for when, length in marks if when <= self.cutoff), default=0)
        if self.found.where.startswith(WHOLE) or self.found.name.endswith(PACKED):
            return size if marked or self._compressed_is_old() else 0
        unknown = self.first_run and not marks
        if self.found.where.startswith(RECORDS):
            return size if unknown and self._born_before_cutoff() else marked
        blank = self._blank(marked)
        if not self._is_text(blank):
            return marked if self.copy else 0
        dated, has_dates = self._dated(blank)
        if unknown and not has_dates and self._born_before_cutoff():
            return size
        return max(blank, dated)

    def _blank(self, start: int) -> int:
        """Where the file goes on after a hole: a program that does not append writes on at its old place."""
        while chunk := self.found.read(start, 1 << 16):
            rest = chunk.lstrip(b"\0")
            start += len(chunk) - len(rest)
            if rest:
                break
        return start

    def _is_text(self, start: int) -> bool:
        return b"\0" not in self.found.read(start, 4096)

    def _dated(self, start: int) -> tuple[int, bool]:
        """The end of the old lines by their dates, from `start` on, and whether there are dates at all."""
        end, dates, position = start, False, start
        with os.fdopen(os.dup(self.found.fd), "rb") as file:
            file.seek(start)
            for number, line in enumerate(file):
                position += len(line)
                when = date_of(line, self.status.st_mtime)
                if when is None:
                    if not dates and number > LOOK:
                        break
                    continue
                if when >= self.cutoff:
                    return (position - len(line) if dates else end), True
                end, dates = position, True
        return end, dates

    def _compressed_is_old(self) -> bool:
        opener = _OPENERS.get(PurePath(self.found.name).suffix)
        if opener is None:
            return False
        try:
            with os.fdopen(os.dup(self.found.fd), "rb") as raw:
                raw.seek(0)
                stream: IO[bytes] = opener(raw)
                for _ in range(LOOK):
                    line = stream.readline(1 << 16)
                    when = date_of(line, self.status.st_mtime)
                    if when is not None or not line:
                        return when is not None and when < self.cutoff
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):
            return False
        return False

    def _born_before_cutoff(self) -> bool:
        """A log without dates, met for the first time: as old as its file, or of unknown age, which is too old."""
        path = f"/proc/self/fd/{self.found.fd}"
        asked = ["stat", "--dereference", "--format=%W", path]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, pass_fds=[self.found.fd])
        try:
            return float(done.stdout) < self.cutoff
        except ValueError:
            return True
