"""A jumping clock neither deletes fresh records nor keeps old ones."""

from __future__ import annotations

from log_purge.clock import PATIENCE, Reading, Reckoning, reckon
from log_purge.dates import date_of

LAST = Reckoning(now=1_000_000.0, uptime=500.0, boot="a")


def no_service() -> bool:
    return False


def test_a_leap_ahead_is_reckoned_away_until_it_has_stood_for_a_day() -> None:
    first = reckon(LAST, Reading(9_000_000.0, 600.0, "a"), no_service)
    assert (first.now, first.doubted) == (1_000_100.0, 0.0)
    still = reckon(first, Reading(9_003_600.0, 4200.0, "a"), no_service)
    assert (still.now, still.doubted) == (1_003_700.0, 3600.0)
    stood = reckon(still, Reading(9_000_000.0 + PATIENCE, 600.0 + PATIENCE, "a"), no_service)
    assert (stood.now, stood.doubted) == (9_000_000.0 + PATIENCE, None)


def test_a_machine_switched_off_every_evening_believes_its_clock_in_the_end() -> None:
    """Its last run was in 2030, when the clock was wrong for an hour; nobody set it right but by hand, and no service."""
    now, wall = Reckoning(now=1_900_000_000.0, uptime=10.0, boot="0"), 1_785_000_000.0
    for day in range(1, 5):
        for hour in range(9):
            now = reckon(now, Reading(wall + day * 86400 + hour * 3600, 60.0 + hour * 3600, str(day)), no_service)
    assert now.now == wall + 4 * 86400 + 8 * 3600


def test_a_boot_says_nothing_about_the_time_since_boot() -> None:
    """In a container the time since boot is the host's."""
    assert reckon(LAST, Reading(1_000_060.0, 999_999.0, "b"), no_service).now == 1_000_060.0
    assert reckon(LAST, Reading(999_990.0, 999_999.0, "b"), no_service).now == 999_990.0


def test_a_time_service_is_believed_at_once() -> None:
    assert reckon(LAST, Reading(9_000_000.0, 600.0, "a"), lambda: True).now == 9_000_000.0


def test_a_clock_that_fell_back_does_not_prolong_anything() -> None:
    assert reckon(LAST, Reading(5.0, 600.0, "a"), no_service).now == 1_000_100.0
    assert reckon(LAST, Reading(5.0, 20.0, "b"), no_service).now == 1_000_000.0


def test_a_machine_that_was_off_for_the_summer_knows_it() -> None:
    assert reckon(LAST, Reading(9_000_000.0, 20.0, "b"), no_service).now == 9_000_000.0


def test_a_date_without_a_year_is_the_last_one_there_was() -> None:
    summer = 1_785_398_400.0  # 30 July 2026
    june, december = date_of(b"Jun 30 09:00:00 desk x: y", summer), date_of(b"Dec 30 09:00:00 desk x: y", summer)
    leap = date_of(b"Feb 29 09:00:00 desk x: y", summer)
    assert june is not None
    assert december is not None
    assert leap is not None
    assert leap < december < june < summer
    assert summer - leap < 3 * 366 * 86400


def test_what_is_no_date_is_none() -> None:
    lines = [
        b"",
        b"Foo 30 09:00:00 x",
        b"2026-13-45T99:99:99 x",
        b"[99/Xyz/2026:00:00:00 +0000]",
        b"\xff\xfe",
        b"Feb 31 09:00:00 x",
    ]
    assert [date_of(line, 1_785_398_400.0) for line in lines[:5]] == [None] * 5
