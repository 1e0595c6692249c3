"""The lock on a machine: one run at a time, and never a machine that stays shut."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from readingroom.apply.lock import MachineBusy, MachineLock, lock_script


def _take(folder: Path, *, shared: bool = False, silence: float = 60) -> MachineLock:
    script = lock_script(shared=shared, folder=str(folder / "lock-folder"), silence=silence)
    return MachineLock(["sh", "-c", script], "desk-3", timeout=5)


def _take_soon(folder: Path, seconds: float) -> MachineLock:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _take(folder)
        except MachineBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_second_run_is_turned_away_with_the_time_and_the_mend(tmp_path: Path) -> None:
    held = _take(tmp_path)
    with pytest.raises(MachineBusy, match=r"at work on desk-3 since \d\d:\d\d\n.*to mend"):
        _take(tmp_path)
    held.release(finished=True)
    _take(tmp_path).release(finished=True)


def test_plans_may_run_side_by_side_but_not_beside_a_run_that_changes(tmp_path: Path) -> None:
    plans = [_take(tmp_path, shared=True), _take(tmp_path, shared=True)]
    with pytest.raises(MachineBusy):
        _take(tmp_path)
    for plan in plans:
        plan.release(finished=False)
    held = _take(tmp_path)
    with pytest.raises(MachineBusy):
        _take(tmp_path, shared=True)
    held.release(finished=True)


def test_a_killed_run_frees_the_machine_and_leaves_its_mark(tmp_path: Path) -> None:
    held = _take(tmp_path)
    assert not held.unfinished
    # kill -9 of a controller closes its end of the pipes; the same happens here, without a goodbye.
    assert held._talk.process.stdin
    held._talk.process.stdin.close()
    after = _take_soon(tmp_path, 5)
    assert after.unfinished
    after.release(finished=True)
    assert not _take(tmp_path).unfinished


def test_a_run_that_failed_keeps_the_mark(tmp_path: Path) -> None:
    _take(tmp_path).release(finished=False)
    assert _take(tmp_path, shared=True).unfinished


def test_a_plan_neither_sets_nor_takes_the_mark(tmp_path: Path) -> None:
    plan = _take(tmp_path, shared=True)
    assert not plan.unfinished
    plan.release(finished=False)
    assert not _take(tmp_path).unfinished


def test_a_controller_that_falls_silent_loses_the_machine(tmp_path: Path) -> None:
    silent = _take(tmp_path, silence=1)
    os.kill(silent._talk.process.pid, 0)
    _take_soon(tmp_path, 5).release(finished=True)


def test_a_heartbeat_keeps_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("readingroom.apply.lock.HEARTBEAT", 0.2)
    held = _take(tmp_path, silence=1)
    for _ in range(8):
        time.sleep(0.25)
        held.heartbeat()
    with pytest.raises(MachineBusy):
        _take(tmp_path)
    held.release(finished=True)


def test_a_killed_holder_frees_the_machine_at_once(tmp_path: Path) -> None:
    held = _take(tmp_path)
    os.killpg(held._talk.process.pid, signal.SIGKILL)
    _take_soon(tmp_path, 2).release(finished=True)
