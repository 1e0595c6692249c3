"""What holds for every test."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

# Files whose tests are about the same machines, one after the other.
TOGETHER = {
    "tests/parity/": "the machines of tests/parity",
    "tests/lab/test_breaks.py": "the library of tests/lab",
    "tests/lab/test_harden.py": "the library of tests/lab",
}


class ByMachines(LoadFileScheduling):
    """Side by side (`pytest -n 2`), who has a lab's machines has them alone, and each file's tests stay in order."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByMachines:
    config.option.loadscopereorder = False  # as they are collected, the longest first
    return ByMachines(config, log)


@pytest.fixture(autouse=True)
def _not_started_by_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run under make; what they read is how `readingroom` itself is typed."""
    monkeypatch.delenv("MAKELEVEL", raising=False)
