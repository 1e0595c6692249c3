#!/usr/bin/python3 -B
"""Delete print jobs, their documents and what is left of them once they are older than the policy allows.

Started by readingroom-print-purge.timer. Reads /etc/readingroom/print-purge.json and nothing else about the
policy. Says how many things went, never whose or what they were.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import print_ipp as ipp
from print_ages import Ages, Clock, read_state, write_state
from print_backends import unreached
from print_night import last_night

SETTINGS = Path("/etc/readingroom/print-purge.json")
STATE = Path("/var/lib/readingroom/print-purge.json")
SPOOL = Path("/var/spool/cups")
CACHE = Path("/var/cache/cups")
LOCK = Path("/run/readingroom-print-purge.lock")

SLACK = 30  # seconds a run may be late and may take, beyond the timer's interval
PRINTING_GRACE = 600  # a job that is coming out on paper may finish, but not for ever
UNREACHABLE_GRACE = 300  # a printer may need this long to wake up before the job counts as failed
STRAY_GRACE = 180  # a file that no job knows may still be on its way in

PENDING, HELD, PROCESSING, STOPPED, CANCELED = 3, 4, 5, 6, 7
UNREACHABLE = ("connecting-to-device", "timed-out", "offline", "shutdown")
FAILED = "resources-are-not-ready"  # CUPS's word for a job that waits because it could not be sent
JOB_FILE = re.compile(r"[acd](\d{5,})(?:-\d+)?(?:\.[NO])?")


@dataclass(frozen=True)
class Settings:
    """What the policy allows; limits in seconds, -1 for ever."""

    hold: bool
    every_seconds: int
    unclaimed_seconds: int
    unclaimed_nightly: bool
    finished_documents_seconds: int
    job_history_seconds: int
    drop_failed: bool

    def due(self, limit: int) -> float:
        """The age at which a thing must go now, because at the next run it would be too old."""
        return math.inf if limit < 0 else max(0, limit - self.every_seconds - SLACK)

    @property
    def stray_due(self) -> float:
        """The age at which a file of no known job goes; nobody can tell which limit it fell under."""
        limits = (self.unclaimed_seconds, self.finished_documents_seconds, self.job_history_seconds)
        return max(STRAY_GRACE, min(map(self.due, limits)))


@dataclass(frozen=True)
class Job:
    """What is looked at of a job: no name, no title."""

    id: int
    state: int
    created: int
    started: int
    completed: int
    reasons: tuple[str, ...]
    queue: str


def fate(job: Job, settings: Settings, ages: Ages, stuck: bool, now: float) -> str:
    """What happens to a job: "keep", "purge", or "erase" for its document alone; `stuck` when its printer does not answer."""
    if job.state >= CANCELED:
        age = ages.of(f"finished {job.id}", job.completed or job.created)
        if age >= settings.due(settings.job_history_seconds):
            return "purge"
        return "erase" if age >= settings.due(settings.finished_documents_seconds) else "keep"
    age = ages.of(f"job {job.id}", job.created)
    if settings.drop_failed:
        failed = job.state == STOPPED or (job.state in (PENDING, HELD) and FAILED in job.reasons)
        if failed or (job.state == PROCESSING and stuck and tried_for_long(job, ages)):
            return "purge"
    if not unclaimed(age, settings, now):
        return "keep"
    printing = job.state == PROCESSING and not stuck
    may_finish = age < settings.due(settings.unclaimed_seconds) + PRINTING_GRACE
    return "keep" if printing and may_finish else "purge"


def tried_for_long(job: Job, ages: Ages) -> bool:
    """Whether a job has sought its printer for long enough, and did so at the last run as well: any link breaks for a moment."""
    key = f"started {job.id}"
    known, age = ages.knows(key, job.started), ages.of(key, job.started)
    return known and age >= UNREACHABLE_GRACE


def unclaimed(age: float, settings: Settings, now: float) -> bool:
    """Whether something that waits has waited long enough."""
    if age >= settings.due(settings.unclaimed_seconds):
        return True
    return settings.unclaimed_nightly and now - age < last_night(now)


def read_jobs(cups: ipp.Cups) -> list[Job]:
    """Every job CUPS knows. Raises NoAnswer."""
    jobs = []
    waiting = ("time-at-processing", "job-state-reasons")  # of finished jobs these would load each from disk
    for which, more in (("not-completed", waiting), ("completed", ())):
        answer = cups.ask(
            ipp.GET_JOBS,
            ipp.uri("printer-uri", "ipp://localhost/"),
            ipp.user("root"),
            ipp.keyword("which-jobs", which),
            ipp.keyword(
                "requested-attributes",
                *("job-id", "job-state", "job-printer-uri", "time-at-creation", "time-at-completed"),
                *more,
            ),
        )
        if not answer.ok:
            raise ipp.NoAnswer(f"IPP status {answer.status:#06x}")
        jobs += [_job(group) for group in answer.each(2)]
    return jobs


def _job(group: ipp.Group) -> Job:
    def number(name: str) -> int:
        value = group.get(name, [0])[0]
        return value if isinstance(value, int) else 0

    return Job(
        id=number("job-id"),
        state=number("job-state"),
        created=number("time-at-creation"),
        started=number("time-at-processing"),
        completed=number("time-at-completed"),
        reasons=tuple(map(str, group.get("job-state-reasons", []))),
        queue=str(group.get("job-printer-uri", [""])[0]).rpartition("/")[2],
    )


def unreachable_queues(cups: ipp.Cups) -> set[str]:
    """Queues whose printer does not answer, by their own word. Raises NoAnswer."""
    wanted = ipp.keyword("requested-attributes", "printer-name", "printer-state-reasons")
    found = set()
    for group in cups.ask(ipp.CUPS_GET_PRINTERS, ipp.user("root"), wanted).each(4):
        if any(str(why).startswith(UNREACHABLE) for why in group.get("printer-state-reasons", [])):
            found.add(str(group["printer-name"][0]))
    return found


def spool_files(spool: Path) -> dict[Path, int | None]:
    """Every file that may hold something of a job, with the number of its job (None: not in its name)."""
    found: dict[Path, int | None] = {}
    for path in _files(spool):
        match = JOB_FILE.fullmatch(path.name) if path.parent == spool else None
        if match or _holds_something(path):
            found[path] = int(match[1]) if match else None
    return found


def _holds_something(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0  # an empty file is a lock
    except FileNotFoundError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield Path(entry.path)
    except FileNotFoundError:
        return


class Purge:
    """One run."""

    def __init__(self, settings: Settings, ages: Ages, cups: ipp.Cups, spool: Path, now: float) -> None:
        self.settings = settings
        self.jobs_deleted = self.files_deleted = self.failures = 0
        self._ages = ages
        self._cups = cups
        self._spool = spool
        self._now = now

    def run(self) -> None:
        """Ask CUPS and delete through it; where CUPS does not know or does not answer, delete the files."""
        files = spool_files(self._spool)
        if not files:
            return  # nothing waits: do not even wake CUPS
        try:
            jobs = read_jobs(self._cups)
            unreachable = unreachable_queues(self._cups)
        except ipp.NoAnswer:
            self._by_files(files)
            return
        lost = unreached()
        for job in jobs:
            stuck = job.id in lost or job.queue in unreachable
            verdict = fate(job, self.settings, self._ages, stuck, self._now)
            if verdict == "purge":
                self._delete_job(job, files)
            elif verdict == "erase":
                self._unlink(path for path, owner in files.items() if owner == job.id and path.name[0] == "d")
        printing = any(job.state == PROCESSING for job in jobs)
        known = {job.id for job in jobs}
        for path, owner in files.items():
            # Filters keep pieces of the document in tmp while they work.
            in_use = printing and path.parent != self._spool
            if owner not in known and not in_use and self._age(path) >= self.settings.stray_due:
                self._unlink([path])

    def _delete_job(self, job: Job, files: dict[Path, int | None]) -> None:
        try:
            address = ipp.uri("job-uri", f"ipp://localhost/jobs/{job.id}")
            answer = self._cups.ask(ipp.CANCEL_JOB, address, ipp.user("root"), ipp.yes("purge-job"), resource="/jobs/")
            deleted = answer.ok
        except ipp.NoAnswer:
            deleted = False
        if not deleted:
            self.failures += 1
        # Also after success: files must be gone now, not when CUPS next tidies up.
        mine = (path for path, owner in files.items() if owner == job.id)
        self._unlink(mine, count=False)
        self.jobs_deleted += 1

    def _by_files(self, files: dict[Path, int | None]) -> None:
        """CUPS is down or broken: a job is as old as the oldest of its files."""
        oldest: dict[int, float] = {}
        for path, owner in files.items():
            if owner is None:
                if self._age(path) >= self.settings.stray_due:
                    self._unlink([path])
            else:
                oldest[owner] = max(oldest.get(owner, 0), self._age(path))
        for owner, age in oldest.items():
            if age >= STRAY_GRACE and unclaimed(age, self.settings, self._now):
                self._unlink(path for path, job in files.items() if job == owner)

    def _age(self, path: Path) -> float:
        try:
            return self._ages.of(f"file {path.name}", path.lstat().st_mtime)
        except FileNotFoundError:
            return 0

    def _unlink(self, paths: Iterable[Path], count: bool = True) -> None:
        for path in paths:
            try:
                path.unlink()
                self.files_deleted += count
            except FileNotFoundError:
                pass
            except OSError:
                self.failures += 1


def forget_leftovers(spool: Path, cache: Path) -> None:
    """Remove the owners of jobs that are gone from what CUPS keeps beside the spool.

    CUPS keeps the list of jobs before its last change as a backup, and when a job is cancelled it does not write
    the list anew. It does without the list: when it starts, it then reads the jobs themselves.
    """
    for name in ("job.cache.O", "subscriptions.conf.O"):
        (cache / name).unlink(missing_ok=True)
    try:
        listed = re.findall(r"^<Job (\d+)>", (cache / "job.cache").read_text(errors="replace"), re.MULTILINE)
    except FileNotFoundError:
        return
    if not all((spool / f"c{int(number):05}").exists() for number in listed):
        (cache / "job.cache").unlink(missing_ok=True)


def forget_leftovers_until_quiet(spool: Path, cache: Path) -> None:
    """CUPS changes several files, one after the other, and systemd does not count what changes while we run."""
    before = None
    while (now := (spool.stat().st_mtime_ns, cache.stat().st_mtime_ns)) != before:
        before = now
        forget_leftovers(spool, cache)
        time.sleep(1)


def main(arguments: Sequence[str]) -> int:
    """Run once; 0 when everything that was due is gone."""
    parser = argparse.ArgumentParser(description="Delete print jobs that are older than the policy allows.")
    parser.add_argument("--leftovers", action="store_true", help="only what is left of jobs that are gone")
    if parser.parse_args(arguments).leftovers:  # a legal hold stops the unit that asks for this
        forget_leftovers_until_quiet(SPOOL, CACHE)
        return 0
    try:
        settings = Settings(**json.loads(SETTINGS.read_text()))
    except (OSError, ValueError, TypeError) as error:
        print(f"{SETTINGS}: cannot be used ({type(error).__name__}); harden this machine again", file=sys.stderr)
        return 1
    if settings.hold:
        return 0
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # another run is at it
        clock = Clock.now()
        ages = Ages(read_state(STATE), clock)
        purge = Purge(settings, ages, ipp.Cups(), SPOOL, clock.wall)
        purge.run()
        forget_leftovers(SPOOL, CACHE)
        write_state(STATE, ages.as_state())
    if purge.jobs_deleted or purge.files_deleted or purge.failures:
        print(
            f"{purge.jobs_deleted} jobs deleted, {purge.files_deleted} stray files deleted, "
            f"{purge.failures} could not be deleted"
        )
    return 1 if purge.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
