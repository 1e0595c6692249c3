"""Process accounting, audit and activity records, where the policy does not want them: stopped, and deleted."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path

from log_purge.files import walk
from log_purge.settings import Settings

DIRECTORIES = ("/var/log/account", "/var/log/audit", "/var/log/sysstat", "/var/log/atop")


def purge(settings: Settings) -> Counter[str]:
    """Take the kernel's pen away (accounting may have been switched on by hand), then delete what was written."""
    done: Counter[str] = Counter()
    if settings.accounting:
        return done
    if settings.root == Path("/"):
        ctypes.CDLL(None).acct(None)
    for name in DIRECTORIES:
        for found in walk(settings.path(name), lambda where, directory: False):
            found.remove()
            done["accounting files removed"] += 1
    return done
