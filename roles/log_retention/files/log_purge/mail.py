"""Mailboxes of this machine: what cron, at and anacron mailed goes; everybody's own letters stay."""

from __future__ import annotations

import fcntl
import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from log_purge.settings import Settings

DIRECTORY = "/var/mail"
_LETTER = re.compile(rb"^From .*?(?=^From |\Z)", re.MULTILINE | re.DOTALL)
# cron's own header; anacron and at are known by what they write as the subject
_OF_A_JOB = re.compile(rb"^(X-Cron-Env:|Subject: (Cron <|Anacron job |Output from your job))", re.MULTILINE)


def purge(settings: Settings) -> Counter[str]:
    """Take the output of scheduled jobs out of every mailbox."""
    done: Counter[str] = Counter()
    if settings.mail == "local":
        return done
    for path in settings.path(DIRECTORY).glob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                done["letters from scheduled jobs removed"] += _clean(path)
    return +done


def without_jobs(mailbox: bytes) -> tuple[bytes, int]:
    """The mailbox without the letters that scheduled jobs wrote, and how many those were.

    >>> without_jobs(b"From cron\\nSubject: Cron <x@y> z\\n\\nsecret\\n\\nFrom ben\\nSubject: hello\\n\\nCron <\\n")
    (b'From ben\\nSubject: hello\\n\\nCron <\\n', 1)
    """
    letters = _LETTER.findall(mailbox)
    kept = [letter for letter in letters if not _OF_A_JOB.search(letter.partition(b"\n\n")[0])]
    gone = len(letters) - len(kept)
    return (b"".join(kept), gone) if gone else (mailbox, 0)


def _clean(path: Path) -> int:
    """Rewrite one mailbox in place under both locks that Debian's mail programs agree on."""
    dot_lock = path.with_name(path.name + ".lock")
    try:
        os.close(os.open(dot_lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return 0  # being delivered to; the next run looks again
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            content, gone = without_jobs(file.read())
            if gone:
                file.seek(0)
                file.write(content)
                file.truncate()
            return gone
    finally:
        dot_lock.unlink(missing_ok=True)
