"""Records of who logged in, or tried to: wtmp, btmp and lastlog, and the databases that took their place in Debian 13.

Records older than the limit are taken out of the files, bytes included. Where the policy wants no record at all, what
keeps programs from writing one is a tmpfiles.d file of the role's; here it is carried out again, and what has been
left behind is removed. btmp needs the most care: it holds passwords that somebody typed where the name belongs.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import platform
import re
import sqlite3
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from log_purge.files import is_copy
from log_purge.settings import Settings

TMPFILES = "/etc/tmpfiles.d/00-readingroom-logins.conf"
REPORT_SPAN = 31 * 86400  # acct's monthly report of who logged in looks back that far

_WIDE_TIME = platform.machine() in ("aarch64", "riscv64", "loongarch64")  # no 32-bit past to be compatible with


@dataclass(frozen=True)
class Layout:
    """A file of equal records: their size, and where in each the time stands, and as what."""

    size: int
    offset: int
    time: struct.Struct

    def when(self, record: bytes) -> int:
        """The record's time in seconds since 1970; 0 when it holds none."""
        return int(self.time.unpack_from(record, self.offset)[0])


UTMP = Layout(400, 344, struct.Struct("=q")) if _WIDE_TIME else Layout(384, 340, struct.Struct("=i"))
LASTLOG = Layout(296, 0, struct.Struct("=q")) if _WIDE_TIME else Layout(292, 0, struct.Struct("=i"))
FAILLOG = Layout(32, 16, struct.Struct("=q"))


def purge(settings: Settings, now: float) -> Counter[str]:
    """Bring the records of logins to what the policy allows."""
    done: Counter[str] = Counter()
    none = settings.logins == "none"
    if none:
        _carry_out(settings)
    if none or settings.limit is not None:
        for path, copy in _records(settings):
            if (settings.copies if copy and not none else settings.logins) == "kept":
                continue
            with suppress(FileNotFoundError):
                done["login records removed"] += _remove(path) if none else _age(path, now - (settings.limit or 0))
        _tallies(settings, now, none, done)
    return +done


def _carry_out(settings: Settings) -> None:
    """Let the files that programs would write to be, again, what the role made them."""
    conf = settings.path(TMPFILES)
    if conf.exists() and settings.root == Path("/"):
        subprocess.run(["systemd-tmpfiles", "--create", "--remove", str(conf)], check=False, timeout=60)


def _records(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Every file of login records, and whether it is an old copy. Links are not followed."""
    log = settings.path("/var/log")
    for path in sorted(log.glob("*")):
        if re.match(r"(wtmp|btmp|lastlog|faillog|tallylog)\b", path.name) and _plain(path):
            yield path, is_copy(path.name)
    for name in ("/var/lib/wtmpdb/wtmp.db", "/var/lib/lastlog/lastlog2.db"):
        if _plain(settings.path(name)):
            yield settings.path(name), False


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove(path: Path) -> int:
    path.unlink()
    return 1


def _age(path: Path, cutoff: float) -> int:
    """Take the records older than `cutoff` out of one file; how many."""
    name = path.name
    if ".report" in name:
        return _remove(path) if path.stat().st_mtime - REPORT_SPAN < cutoff else 0
    if name.endswith(".gz"):
        return _remove(path) if _oldest_packed(path) < cutoff else 0
    if name.endswith((".xz", ".bz2", ".zst", ".lz4", ".Z")):
        return _remove(path) if path.stat().st_mtime < cutoff else 0
    if name.startswith(("wtmp.db", "lastlog2.db")):
        return _age_database(path, cutoff)
    if name.startswith(("wtmp", "btmp")):
        return _drop(path, UTMP, cutoff)
    if name.startswith("lastlog"):
        return _blank(path, LASTLOG, cutoff, ((0, LASTLOG.size),))
    return _blank(path, FAILLOG, cutoff, ((0, 2), (4, 24)))  # the limits an administrator set there stay


def _drop(path: Path, layout: Layout, cutoff: float) -> int:
    """Rewrite a file of records in place without the old ones, under the lock that libc's writers take."""
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        content = file.read()
        records = [content[at : at + layout.size] for at in range(0, len(content), layout.size)]
        kept = [one for one in records if len(one) == layout.size and layout.when(one) >= cutoff]
        if len(kept) < len(records):
            file.seek(0)
            file.write(b"".join(kept))
            file.truncate()
        return len(records) - len(kept)


def _blank(path: Path, layout: Layout, cutoff: float, parts: tuple[tuple[int, int], ...]) -> int:
    """Zero the old records of a file that is indexed by user number; its holes are passed over."""
    blanked = 0
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        position = 0
        while position + layout.size <= end:
            try:
                data = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole from here on
                break
            position = max(position, data - data % layout.size)
            record = os.pread(file.fileno(), layout.size, position)
            if len(record) == layout.size and 0 < layout.when(record) < cutoff:
                for start, stop in parts:
                    os.pwrite(file.fileno(), bytes(stop - start), position + start)
                blanked += 1
            position += layout.size
    return blanked


def _oldest_packed(path: Path) -> float:
    """The time of the first record in a compressed copy; one that cannot be read is of unknown age: too old."""
    try:
        with gzip.open(path) as stream:
            record = stream.read(UTMP.size)
        return float(UTMP.when(record))
    except (OSError, EOFError, struct.error):
        return 0.0


# table, column with the time, how many of its units make a second
_TABLES = {"wtmp": ("Login", 1_000_000), "Lastlog2": ("Time", 1)}


def _age_database(path: Path, cutoff: float) -> int:
    """Delete old rows so that their bytes are gone from the file, from its journal and from its log."""
    gone = 0
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        present = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in present & _TABLES.keys():
            column, units = _TABLES[table]
            query = f"DELETE FROM {table} WHERE {column} IS NULL OR {column} < ?"  # noqa: S608 (names from above)
            gone += database.execute(query, (int(cutoff * units),)).rowcount
        if gone:
            with suppress(sqlite3.Error):  # a full disk: the bytes are overwritten already, only the space stays
                database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def _tallies(settings: Settings, now: float, none: bool, done: Counter[str]) -> None:
    """Failed logins counted per account, in memory: an hour serves their purpose where no record is wanted."""
    if settings.logins == "kept":
        return
    cutoff = now - 3600 if none else now - (settings.limit or 0)
    for path in settings.path("/run/faillock").glob("*"):
        with suppress(FileNotFoundError):
            if _plain(path) and path.stat().st_mtime < cutoff:
                done["failed-login tallies removed"] += _remove(path)
