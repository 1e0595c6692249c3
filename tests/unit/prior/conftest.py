from pathlib import Path

import pytest

from readingroom.apply.prior import paths


@pytest.fixture(autouse=True)
def _the_test_s_folder_holds_nobody_s_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's folder may lie below one whose files are never recorded."""
    monkeypatch.setattr(paths, "PRIVATE", tuple(one for one in paths.PRIVATE if not str(tmp_path).startswith(one)))
