"""What one run tells the next: a small file of numbers, written whole or not at all. Losing it loses no promise."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from log_purge.clock import Reckoning

Marks = dict[str, dict[str, Any]]


class Store:
    """`marks`: how long each log was, when (see `logs`). `first_run`: nothing was known before this run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = json.loads(path.read_text(encoding="ascii"))
            self.reckoning: Reckoning | None = Reckoning(**found["clock"])
            self.marks: Marks = dict(found["marks"])
            self.journal_rotated: float = float(found["journal_rotated"])
        except (OSError, ValueError, TypeError, KeyError):
            self.reckoning, self.marks, self.journal_rotated = None, {}, 0.0
        self.first_run = self.reckoning is None

    def save(self, reckoning: Reckoning) -> None:
        """Keep it for the next run. On a full disk the old file stays, and is only less exact."""
        text = json.dumps({"clock": reckoning.stored(), "marks": self.marks, "journal_rotated": self.journal_rotated})
        new = self.path.with_suffix(".new")
        try:
            with new.open("w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError:
            with suppress(OSError):
                new.unlink()
