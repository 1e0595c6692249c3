"""Where the toolkit's own files are: the checkout with its policies, roles and tests."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ReadingRoomError

MARKS = ("policies", "roles", "playbooks")


def root() -> Path:
    """The checkout: `READINGROOM_HOME`, else the nearest folder above this package or the current folder that is one.

    Raises `ReadingRoomError` when there is none.
    """
    named = os.environ.get("READINGROOM_HOME")
    starts = [Path(named)] if named else [Path(__file__).resolve().parent, Path.cwd()]
    for start in starts:
        for folder in (start, *start.parents):
            if all((folder / mark).is_dir() for mark in MARKS):
                return folder
    raise ReadingRoomError(
        "Reading Room's files (policies/, roles/, playbooks/) are not here.\n"
        "  to mend  run it inside its checkout, or set READINGROOM_HOME to the checkout"
    )
