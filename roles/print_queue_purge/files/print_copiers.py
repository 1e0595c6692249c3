#!/usr/bin/python3 -B
"""Empty the waiting jobs out of the library's copiers and network printers, over IPP, each night.

Started by readingroom-print-copiers.timer. Reads the addresses from /etc/readingroom/print-copiers.json. Says
how many copiers were emptied, never which nor what was in them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import print_ipp as ipp
from print_night import last_night

SETTINGS = Path("/etc/readingroom/print-copiers.json")
TIMEOUT = 20  # seconds for each question to a copier
NIGHT = 3600  # this long after the hour, a copier that will not list its jobs is emptied without asking
AGE = ("job-printer-up-time", "time-at-creation")
LEAVING = {"processing-to-stop-point", "job-canceled-by-user", "job-canceled-by-operator"}


@dataclass(frozen=True)
class Waiting:
    """The numbers of the jobs that wait in a copier: those that must go, and those that came since."""

    old: list[int]
    fresh: list[int]


def empty(address: str, seconds: float) -> str:
    """Rid a copier of jobs older than `seconds`: "emptied", "not emptied" or "not reached"."""
    printer = ipp.Printer(address, TIMEOUT)
    try:
        wanted = ipp.keyword("requested-attributes", "operations-supported")
        groups = list(printer.ask(ipp.GET_PRINTER_ATTRIBUTES, wanted).each(4))
    except ipp.NoAnswer:
        return "not reached"
    can = {value for group in groups for value in group.get("operations-supported", [])}
    # The widest first, but never over the head of somebody who prints just now. A copier may offer an operation
    # and then refuse it, hence each in turn until nothing old waits.
    for operation in (ipp.PURGE_JOBS, ipp.CANCEL_JOBS, ipp.CANCEL_JOB, ipp.CANCEL_MY_JOBS):
        jobs = waiting(printer, seconds)
        if jobs and not jobs.old:
            return "emptied"
        if operation not in can:
            continue
        if operation == ipp.CANCEL_JOB:
            for job in jobs.old if jobs else ():
                _done(printer, operation, ipp.number("job-id", job))
        elif jobs is None and seconds < NIGHT:
            if _done(printer, operation):
                return "emptied"
        elif jobs and not jobs.fresh:
            _done(printer, operation)
    jobs = waiting(printer, seconds)
    return "emptied" if jobs and not jobs.old else "not emptied"


def _done(printer: ipp.Printer, operation: int, *attributes: bytes) -> bool:
    try:
        return printer.ask(operation, *attributes).ok
    except ipp.NoAnswer:
        return False


def waiting(printer: ipp.Printer, seconds: float) -> Waiting | None:
    """What a copier still holds; None when it will not say."""
    try:
        answer = printer.ask(
            ipp.GET_JOBS,
            ipp.keyword("which-jobs", "not-completed"),
            ipp.keyword("requested-attributes", "job-id", "job-state-reasons", *AGE),
        )
    except ipp.NoAnswer:
        return None
    if not answer.ok:
        return None
    found = Waiting([], [])
    for job in answer.each(2):
        if LEAVING.isdisjoint(job.get("job-state-reasons", [])):
            (found.old if _age(job) >= seconds else found.fresh).append(int(job["job-id"][0]))
    return found


def _age(job: ipp.Group) -> float:
    """Seconds since the job came, by the copier's own clock; a job that does not say is old."""
    now, created = (job.get(name, [None])[0] for name in AGE)
    return now - created if isinstance(now, int) and isinstance(created, int) else math.inf


def main(arguments: Sequence[str]) -> int:
    """Empty all of them, side by side; 0 when none still holds a job."""
    parser = argparse.ArgumentParser(description="Cancel the jobs that wait in the listed copiers.")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--now", action="store_true", help="also the jobs that came since the last night")
    given = parser.parse_args(arguments)
    settings = json.loads(given.settings.read_text())
    if settings["hold"]:
        print("legal hold: nothing is cancelled")
        return 0
    addresses = settings["copiers"]
    # A machine that was off at night runs this when it is switched on, maybe in opening hours.
    seconds = 0 if given.now else time.time() - last_night(time.time())
    with ThreadPoolExecutor(max_workers=8) as pool:
        count = Counter(pool.map(empty, addresses, repeat(seconds)))
    print(", ".join(f"{count[word]} {word}" for word in ("emptied", "not emptied", "not reached")))
    return 0 if count["emptied"] == len(addresses) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
