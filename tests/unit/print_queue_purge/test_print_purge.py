"""What the purge decides, and what it does when CUPS does not answer."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import print_ipp as ipp
import pytest
from print_ages import Ages, Clock
from print_night import last_night
from print_purge import Job, Purge, Settings, fate, forget_leftovers, spool_files

HOUR = Settings(
    hold=False,
    every_seconds=180,
    unclaimed_seconds=3600,
    unclaimed_nightly=False,
    finished_documents_seconds=0,
    job_history_seconds=0,
    drop_failed=False,
)
NOW = 1_800_000_000.0
PENDING, HELD, PROCESSING, STOPPED, CANCELED, ABORTED, COMPLETED = range(3, 10)


def decided(state: int, age: float, settings: Settings = HOUR, reasons: str = "", stuck: bool = False) -> str:
    born = int(NOW - age)
    job = Job(7, state, born, born, born if state >= CANCELED else 0, (reasons,), "desk")
    return fate(job, settings, Ages({}, Clock(NOW, 1, "b")), stuck, NOW)


@pytest.mark.parametrize("state", [PENDING, HELD, STOPPED])
def test_whatever_waits_goes_before_it_is_too_old(state: int) -> None:
    assert decided(state, 3600 - 180 - 1) == "purge"
    assert decided(state, 60) == "keep"


def test_what_goes_at_this_run_would_be_too_old_at_the_next() -> None:
    assert HOUR.due(3600) + HOUR.every_seconds < 3600


def test_a_job_on_its_way_to_the_paper_may_finish_but_not_for_ever() -> None:
    assert decided(PROCESSING, 3600) == "keep"
    assert decided(PROCESSING, 3600 + 600) == "purge"


def test_a_job_whose_printer_does_not_answer_is_not_printing() -> None:
    assert decided(PROCESSING, 3600, stuck=True) == "purge"


def test_with_abort_a_job_that_failed_goes_at_once() -> None:
    abort = replace(HOUR, drop_failed=True)
    assert decided(HELD, 1, abort, reasons="resources-are-not-ready") == "purge"
    assert decided(STOPPED, 1, abort) == "purge"
    assert decided(PENDING, 1, abort) == "keep"
    assert decided(HELD, 1, abort, reasons="job-hold-until-specified") == "keep"


def test_with_abort_a_job_whose_printer_does_not_answer_goes_after_five_minutes() -> None:
    abort, started = replace(HOUR, drop_failed=True), int(NOW) - 200
    job = Job(7, PROCESSING, started, started, 0, (), "desk")
    before = Ages({}, Clock(NOW, 1, "b"))
    assert fate(job, abort, before, True, NOW) == "keep"
    after = Ages(before.as_state(), Clock(NOW + 180, 181, "b"))
    assert fate(job, abort, after, True, NOW + 180) == "purge"
    later = Ages(after.as_state(), Clock(NOW + 360, 361, "b"))
    assert fate(job, abort, later, False, NOW + 360) == "keep", "it has been reached by now"


def test_a_job_that_prints_for_long_may_lose_its_printer_for_a_moment() -> None:
    assert decided(PROCESSING, 1000, replace(HOUR, drop_failed=True), stuck=True) == "keep"


def test_at_night_everything_goes_that_came_before() -> None:
    nightly = replace(HOUR, unclaimed_seconds=86400, unclaimed_nightly=True)
    since = NOW - last_night(NOW)
    assert decided(PENDING, since + 1, nightly) == "purge"
    assert decided(PENDING, since - 1, nightly) == "keep"


def test_for_ever_is_for_ever() -> None:
    assert decided(PENDING, 10**9, replace(HOUR, unclaimed_seconds=-1)) == "keep"


@pytest.mark.parametrize("state", [CANCELED, ABORTED, COMPLETED])
def test_a_job_that_is_over_goes_by_its_own_limits(state: int) -> None:
    assert decided(state, 0) == "purge"
    day = replace(HOUR, job_history_seconds=86400)
    assert decided(state, 10, day) == "erase"
    assert decided(state, 86400, day) == "purge"
    assert decided(state, 10, replace(day, finished_documents_seconds=3600)) == "keep"


def test_three_at_night_is_never_in_the_future() -> None:
    for hours in range(48):
        now = NOW + hours * 3600
        night = last_night(now)
        assert 0 <= now - night <= 25 * 3600
        assert time.localtime(night).tm_hour == 3


class Silent(ipp.Cups):
    """A print service that is down."""

    def ask(self, operation: int, *attributes: bytes, resource: str = "/") -> ipp.Answer:
        raise ipp.NoAnswer("down")


class Knows(ipp.Cups):
    """A print service with some jobs; it does what it is told."""

    def __init__(self, *jobs: tuple[int, int, float]) -> None:
        self.jobs = jobs
        self.purged: list[int] = []

    def ask(self, operation: int, *attributes: bytes, resource: str = "/") -> ipp.Answer:
        if operation == ipp.GET_JOBS and b"not-completed" in b"".join(attributes):
            groups: list[tuple[int, ipp.Group]] = [
                (2, {"job-id": [number], "job-state": [state], "time-at-creation": [int(NOW - age)]})
                for number, state, age in self.jobs
            ]
            return ipp.Answer(0, groups)
        if operation == ipp.CANCEL_JOB:
            self.purged.append(int(b"".join(attributes).split(b"/jobs/")[1].split(b"\x42")[0]))
        return ipp.Answer(0, [])


def put(spool: Path, name: str, age: float) -> Path:
    path = spool / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a document")
    os.utime(path, (NOW - age, NOW - age))
    return path


def purge(spool: Path, cups: ipp.Cups, settings: Settings = HOUR) -> Purge:
    done = Purge(settings, Ages({}, Clock(NOW, 1, "b")), cups, spool, NOW)
    done.run()
    return done


def test_when_cups_is_down_files_go_by_their_age(tmp_path: Path) -> None:
    old = [put(tmp_path, name, 3600) for name in ("d00001-001", "d00002-001", "00000001", "tmp/piece", "c00003.N")]
    # CUPS writes the record of a waiting job anew: the job is as old as its document.
    old.append(put(tmp_path, "c00001", 10))
    young = [put(tmp_path, name, 60) for name in ("c00004", "d00004-001", "tmp/new")]
    purge(tmp_path, Silent())
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)


def test_jobs_are_deleted_through_cups_and_strays_by_hand(tmp_path: Path) -> None:
    put(tmp_path, "c00001", 9)
    put(tmp_path, "c00002", 9)
    stray, known = put(tmp_path, "d00009-001", 9000), put(tmp_path, "d00002-001", 9000)
    cups = Knows((1, PENDING, 3600), (2, PENDING, 60))
    done = purge(tmp_path, cups)
    assert cups.purged == [1]
    assert not stray.exists()
    assert known.exists()
    assert (done.jobs_deleted, done.files_deleted, done.failures) == (1, 1, 0)


def test_pieces_in_tmp_stay_while_something_prints(tmp_path: Path) -> None:
    piece = put(tmp_path, "tmp/piece", 9000)
    purge(tmp_path, Knows((1, PROCESSING, 60)))
    assert piece.exists()
    purge(tmp_path, Knows())
    assert not piece.exists()


def test_an_empty_spool_wakes_nobody(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "lock").touch()
    assert spool_files(tmp_path) == {}
    purge(tmp_path, Knows())


def test_cups_may_not_remember_jobs_that_are_gone(tmp_path: Path) -> None:
    spool, cache = tmp_path / "spool", tmp_path / "cache"
    spool.mkdir()
    cache.mkdir()
    listed = cache / "job.cache"
    listed.write_text("NextJobId 9\n<Job 7>\nUsername somebody\n</Job>\n")
    backup = cache / "job.cache.O"
    backup.write_text("Username somebody\n")
    (spool / "c00007").touch()
    forget_leftovers(spool, cache)
    assert listed.exists()
    assert not backup.exists()
    (spool / "c00007").unlink()
    forget_leftovers(spool, cache)
    assert not listed.exists()
    forget_leftovers(spool, cache)
