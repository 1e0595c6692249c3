"""What the lab asks the host for, so that many machines can run at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from readingroom.lab import host
from readingroom.lab.progress import Reporter


@pytest.mark.parametrize(("before", "after"), [(128, host.WATCHERS_WANTED), (4096, 4096)])
def test_room_for_watchers_is_made_and_never_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: int, after: int
) -> None:
    monkeypatch.setattr(host, "WATCHERS", tmp_path / "max_user_instances")
    host.WATCHERS.write_text(f"{before}\n")
    host.make_room(Reporter())
    assert int(host.WATCHERS.read_text()) == after
