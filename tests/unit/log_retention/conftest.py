"""The purge program is imported from where the role keeps it; it works on a tree of its own here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles" / "log_retention" / "files"))

from log_purge.settings import Settings
from log_purge.store import Store

HOUR, DAY = 3600, 86400


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a day's retention in a tree of its own; keyword arguments change some."""
    (tmp_path / "var/log").mkdir(parents=True)

    def make(**changes: Any) -> Settings:
        words = {
            "journal": "bounded",
            "text": "bounded",
            "logins": "bounded",
            "copies": "same-limit",
            "mail": "discard",
        }
        numbers = {"keep": DAY, "network": DAY, "interval": HOUR // 2, "grain": HOUR // 2, "accounting": False}
        return Settings(**{**words, **numbers, **changes}, root=tmp_path)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """What earlier runs would have left: nothing about any file, but not the very first run."""
    kept = Store(tmp_path / "state.json")
    kept.first_run = False
    return kept
