"""Lines leave text logs at their age, however a program writes them, and not before."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from log_purge import logs
from log_purge.settings import Settings
from log_purge.store import Store

NOW = 1_785_000_000.0
HOUR, DAY = 3600, 86400
Make = Callable[..., Settings]


def write(settings: Settings, name: str, content: bytes | str, age: float = 0) -> Path:
    path = settings.path("/var/log") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def line(age: float, text: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - age)) + " desk x: " + text + "\n"


def test_old_lines_go_with_their_continuation_and_fresh_ones_stay(settings: Make, store: Store) -> None:
    path = write(settings(), "app.log", line(2 * DAY, "old") + "  more of it\n" + line(HOUR, "new") + "  more\n")
    logs.purge(settings(), NOW, store)
    assert path.read_text() == line(HOUR, "new") + "  more\n"


def test_the_time_of_the_last_line_stays_the_time_of_the_file(settings: Make, store: Store) -> None:
    path = write(settings(), "app.log", line(2 * DAY, "old") + line(HOUR, "new"), age=HOUR)
    logs.purge(settings(), NOW, store)
    assert path.stat().st_mtime == NOW - HOUR


def test_a_program_that_appends_may_go_on(settings: Make, store: Store) -> None:
    path = write(settings(), "app.log", line(2 * DAY, "old"))
    with path.open("a") as program:
        logs.purge(settings(), NOW, store)
        program.write(line(0, "later"))
    assert path.read_text() == line(0, "later")


def test_a_program_that_does_not_append_leaves_a_hole_that_goes_too(settings: Make, store: Store) -> None:
    path = write(settings(), "Xorg.0.log", line(2 * DAY, "old") * 50)
    with path.open("r+b", buffering=0) as program:
        program.seek(0, os.SEEK_END)
        logs.purge(settings(), NOW, store)
        program.write(b"[  12.0] (II) new\n")
    os.utime(path, (NOW, NOW))
    logs.purge(settings(), NOW, store)
    assert path.read_bytes() == b"[  12.0] (II) new\n"


def test_at_most_is_true_in_the_worst_case_without_any_date(settings: Make, store: Store) -> None:
    """A line every ten minutes for three days, the purge when its timer says: nothing outlives a day, nor dies early."""
    wanted = settings()
    path = write(wanted, "lightdm.log", b"")
    written: list[float] = []
    for step in range(3 * 24 * 6):
        now = NOW + step * 600
        with path.open("a") as program:
            program.write(f"{step:05} no date here\n")
        os.utime(path, (now, now))
        written.append(now)
        if step % 3 == 1:  # every half hour
            logs.purge(wanted, now + 1, store)
        there = [int(one.split()[0]) for one in path.read_text().splitlines()]
        assert there == list(range(there[0], step + 1)), "lines went that were younger than others"
        assert now - written[there[0]] <= DAY
        assert there[0] == 0 or now - written[there[0] - 1] > 0.9 * DAY


def test_a_copy_without_dates_is_as_old_as_the_log_it_was(settings: Make, store: Store) -> None:
    log = write(settings(), "x.log", "a\n")
    logs.purge(settings(), NOW, store)
    copy = log.rename(log.with_name("x.log.1"))
    os.utime(copy, (NOW + HOUR, NOW + HOUR))
    logs.purge(settings(), NOW + 22 * HOUR, store)
    assert copy.exists()
    os.utime(copy, (NOW + 22 * HOUR, NOW + 22 * HOUR))
    logs.purge(settings(), NOW + 23 * HOUR, store)
    assert not copy.exists()


def test_a_log_begun_anew_is_not_judged_by_the_old_one(settings: Make, store: Store) -> None:
    path = write(settings(), "x.log", "first life\n" * 9)
    logs.purge(settings(), NOW, store)
    path.write_text("second life\n" * 30)  # same file, other content
    os.utime(path, (NOW + 23 * HOUR, NOW + 23 * HOUR))
    logs.purge(settings(), NOW + 23 * HOUR, store)
    assert path.read_text() == "second life\n" * 30


def test_a_log_without_dates_met_in_the_first_run_is_judged_by_its_file(settings: Make, store: Store) -> None:
    now = time.time() + 2 * DAY  # its file was born two days ago
    path = write(settings(), "x.log", "undated\n")
    os.utime(path, (now, now))
    store.first_run = True
    logs.purge(settings(), now, store)
    assert path.read_text() == ""


@pytest.mark.parametrize("name", ["x.log.1", "x.log.3.gz", "x.log.old", "x.log~", "x.log-20260730", "lightdm.log.old"])
def test_an_aged_copy_is_removed_and_a_fresh_one_stays(name: str, settings: Make, store: Store) -> None:
    aged, fresh = write(settings(), name, "x", age=DAY), write(settings(), "fresh-" + name, "x")
    logs.purge(settings(), NOW, store)
    assert (aged.exists(), fresh.exists()) == (False, True)


def test_a_compressed_copy_goes_with_its_oldest_line(settings: Make, store: Store) -> None:
    late = write(settings(), "x.log.2.gz", gzip.compress((line(2 * DAY, "old") + line(0, "new")).encode()))
    logs.purge(settings(), NOW, store)
    assert not late.exists()


def test_a_file_from_the_future_is_not_kept_for_ever(settings: Make, store: Store) -> None:
    copy = write(settings(), "x.log.1", "x", age=-400 * DAY)
    logs.purge(settings(), NOW, store)
    assert copy.stat().st_mtime == NOW
    logs.purge(settings(), NOW + DAY, store)
    assert not copy.exists()


def test_lines_from_the_future_go_when_they_have_been_there_too_long(settings: Make, store: Store) -> None:
    path = write(settings(), "x.log", line(-400 * DAY, "future"))
    logs.purge(settings(), NOW, store)
    os.utime(path, (NOW + DAY, NOW + DAY))
    logs.purge(settings(), NOW + DAY, store)
    assert path.read_text() == ""


def test_what_is_no_log_stays(settings: Make, store: Store) -> None:
    numbered = write(settings(), "mysql/bin.000001", b"\xfebin\0\0data", age=9 * DAY - 9 * DAY)
    binary = write(settings(), "something.dat", b"\1\0\2\0")
    packages = write(settings(), "dpkg.log.1", "x", age=99 * DAY)
    logs.purge(settings(), NOW, store)
    assert all(path.exists() and path.stat().st_size for path in (numbered, binary, packages))


def test_no_link_is_followed_out_of_the_logs(settings: Make, store: Store, tmp_path: Path) -> None:
    precious = tmp_path / "shadow"
    precious.write_text("precious")
    os.utime(precious, (0, 0))
    folder = settings().path("/var/log/app")
    folder.mkdir()
    (folder / "x.log.1").symlink_to(precious)
    (settings().path("/var/log") / "linked").symlink_to(tmp_path)
    logs.purge(settings(), NOW, store)
    assert precious.read_text() == "precious"


def test_the_policy_may_keep_live_logs_or_copies(settings: Make, store: Store) -> None:
    kept = settings(text="kept", copies="kept")
    live, copy = write(kept, "x.log", "x", age=9 * DAY), write(kept, "x.log.1", "x", age=9 * DAY)
    logs.purge(kept, NOW, store)
    assert (live.read_text(), copy.read_text()) == ("x", "x")
    logs.purge(settings(keep=-1), NOW, store)
    assert (live.read_text(), copy.read_text()) == ("x", "x")


def test_with_text_logs_off_the_system_log_goes_at_once_and_others_by_age(settings: Make, store: Store) -> None:
    off = settings(text="off")
    gone = [write(off, name, line(0, "x")) for name in ("syslog", "auth.log", "auth.log.1", "kern.log.2.gz")]
    other = write(off, "syslogger.log", line(0, "x"))
    logs.purge(off, NOW, store)
    assert not any(path.exists() for path in gone)
    assert other.read_text() == line(0, "x")


def test_process_accounting_is_cut_between_records(settings: Make, store: Store) -> None:
    path = write(settings(), "account/pacct", bytes(64) + b"a" * 64)
    logs.purge(settings(), NOW, store)
    with path.open("ab") as kernel:
        kernel.write(b"b" * 64)
    os.utime(path, (NOW + DAY, NOW + DAY))
    logs.purge(settings(), NOW + DAY - HOUR, store)
    assert path.read_bytes() == b"b" * 64
