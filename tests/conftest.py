"""What holds for every test."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _not_started_by_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run under make; what they read is how `readingroom` itself is typed."""
    monkeypatch.delenv("MAKELEVEL", raising=False)
