"""How checks wait."""

from __future__ import annotations

import signal
import time

import pytest

from readingroom.verify import probe


def test_a_wait_with_a_limit_of_its_own_takes_nothing_of_the_test_s_time() -> None:
    signal.alarm(50)
    try:
        with probe.time_out():
            assert signal.alarm(0) == 0
        assert signal.alarm(0) in (49, 50)
    finally:
        signal.alarm(0)


@pytest.mark.parametrize(
    ("waited", "least", "slept"), [(0.0, 0.2, 0.2), (4.0, 0.2, 0.4), (30.0, 0.05, 1.0), (30.0, 2.0, 2.0)]
)
def test_looks_become_rarer_the_longer_it_takes_but_never_rare(
    waited: float, least: float, slept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    probe.pause(waited, least)
    assert naps == [slept]
