"""Asks every machine of a site at once, one process each, and gathers the evidence.

Expectations come from `build/<site>/expectations.json` and from nowhere else: what was promised, never what was done.
Must not know roles, and must not change a machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from ..controls.checks import bound_checks
from ..errors import ReadingRoomError
from .connection import ssh_root
from .evidence import ControlEvidence, Evidence, MachineEvidence, Verdict
from .job import REPORT, Done, Job, Lost, Outcome, Reached
from .judge import NO_ANSWER, NOBODY_CHECKS, is_tested, judge
from .selection import select

MACHINE_SECONDS = 900
TIDY_SECONDS = 15


class Target(Protocol):
    """What verification needs of a site."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def build(self) -> Path: ...
    @property
    def ssh_config(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class Started:
    """A machine is being asked about so many controls."""

    machine: str
    controls: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A test of this control ended; the verdict is final only in the evidence, when all its tests have ended."""

    machine: str
    control: str
    so_far: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A machine was asked everything, or could not be: then `unreachable` says why."""

    machine: str
    unreachable: str | None


Event = Started | Judged | Finished
OnEvent = Callable[[Event], None]
Start = Callable[[Target, str], Sequence[str]]


def over_ssh(site: Target, machine: str) -> Sequence[str]:
    """The command that opens a root shell on a machine, through the site's ssh configuration."""
    return ssh_root(site.ssh_config, machine)


def run(
    site: Target,
    *,
    controls: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    machines: Sequence[str] | None = None,
    on_event: OnEvent | None = None,
    start: Start = over_ssh,
    shuffle: int | None = None,
    today: date | None = None,
    logs: Path | None = None,
) -> Evidence:
    """Verify what was promised on the site's machines, side by side, and return the evidence.

    `shuffle` runs the tests in an order drawn from that number: the evidence must not depend on it. `logs` is where
    the tracebacks of checks that did not work go (`build/<site>/verify/`). Raises `Refused` for unknown names and
    `ReadingRoomError` when the site is not compiled.
    """
    expectations = _expectations(site)
    chosen = select(expectations, controls=controls, roles=roles, machines=machines)
    tests = site.root / "tests" / "compliance"
    checks = bound_checks(tests)
    folder = logs or site.build / "verify"
    lock, stop = threading.Lock(), threading.Event()

    def tell(event: Event) -> None:
        if on_event:
            with lock:
                on_event(event)

    def ask(name: str) -> MachineEvidence:
        promised = expectations["machines"][name]
        tested = tuple(control for control in chosen[name] if is_tested(promised["controls"][control]))
        bound = [check for check in checks if check.control in tested]
        job = Job(
            machine=name, start=tuple(start(site, name)), ssh_config=site.ssh_config, expectations=promised,
            controls=tuple(sorted({check.control for check in bound})), tests_dir=tests,
            files=tuple(sorted({check.path for check in bound})), log=folder / f"{name}.log",
            shuffle=shuffle,
        )  # fmt: skip
        tell(Started(name, len(chosen[name])))
        answer = _Answer(job, tell, stop)
        answer.gather()
        tell(Finished(name, answer.lost))
        return answer.evidence(chosen[name], today or date.today())

    pool = ThreadPoolExecutor(max_workers=4 * (os.cpu_count() or 1))
    try:
        found = dict(zip(chosen, pool.map(ask, chosen), strict=True))
    finally:
        # Ctrl-C: no further machine is begun, and those at work tidy up after the test they are in.
        stop.set()
        pool.shutdown(cancel_futures=True)
    return Evidence(
        site=expectations["site"], policy_digest=expectations["policy_digest"], toolkit=_version(),
        complete=controls is None and roles is None and machines is None, machines=found,
    )  # fmt: skip


@dataclass
class _Answer:
    """What one machine's worker said."""

    job: Job
    tell: OnEvent
    stop: threading.Event
    os: str | None = None
    lost: str | None = None
    done: bool = False
    outcomes: list[Outcome] = field(default_factory=list)

    def gather(self) -> None:
        """Run the worker to its end, or to the end of its time."""
        worker = subprocess.Popen(
            [sys.executable, "-m", "readingroom.verify.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        assert worker.stdin is not None
        assert worker.stdout is not None
        ended = threading.Event()
        threading.Thread(target=self._watch, args=(worker, ended), daemon=True).start()
        try:
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.write(self.job.model_dump_json())
                worker.stdin.close()
            for line in worker.stdout:
                self._hear(line)
        finally:
            ended.set()
            worker.wait()

    def _watch(self, worker: subprocess.Popen[str], ended: threading.Event) -> None:
        """End the worker when its time is over or the run is given up: first politely, so that the test tidies up."""
        over = time.monotonic() + MACHINE_SECONDS
        while not ended.wait(0.2) and not self.stop.is_set() and time.monotonic() < over:
            pass
        if not ended.is_set():
            worker.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(TIDY_SECONDS)
        worker.kill()

    def _hear(self, line: str) -> None:
        match REPORT.validate_json(line):
            case Reached(os=name):
                self.os = name
            case Lost(reason=reason):
                self.lost = reason
            case Done():
                self.done = True
            case Outcome() as outcome:
                self.outcomes.append(outcome)
                verdicts: Mapping[str, Verdict] = {"passed": "kept", "failed": "broken", "not-tested": "not-tested"}
                self.tell(Judged(self.job.machine, outcome.control, verdicts[outcome.result], outcome.seconds))

    def evidence(self, chosen: Sequence[str], today: date) -> MachineEvidence:
        """The verdicts on all chosen controls."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        promised = self.job.expectations
        return MachineEvidence(
            **{"class": promised["class"]}, os=self.os, unreachable=self.lost,
            controls={name: self._verdict(name, promised["controls"][name], at, today) for name in chosen},
        )  # fmt: skip

    def _verdict(self, name: str, expected: Mapping[str, Any], at: str, today: date) -> ControlEvidence:
        outcomes = [outcome for outcome in self.outcomes if outcome.control == name]
        missing = NO_ANSWER if name in self.job.controls else NOBODY_CHECKS
        # Some tests of a lost machine may have passed before; the rest were never asked, so nothing is proven.
        if self.lost and not any(outcome.result == "failed" for outcome in outcomes):
            outcomes, missing = [], self.lost
        elif not self.done and not self.lost:
            missing = (
                f"the run on this machine ended early (or took {MACHINE_SECONDS // 60} minutes); its log says more"
            )
            outcomes = [outcome for outcome in outcomes if outcome.result == "failed"]
        return judge(expected, outcomes, at=at, today=today, missing=missing)


def policy_digest(site: Target) -> str:
    """Which policy the site was compiled from."""
    digest: str = _expectations(site)["policy_digest"]
    return digest


def _expectations(site: Target) -> Any:
    path = site.build / "expectations.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        mend = f"readingroom compile {site.name}"
        raise ReadingRoomError(f"{path}: nothing says what was promised\n  to mend  {mend}") from None
    except (ValueError, ValidationError):
        raise ReadingRoomError(f"{path}: cannot be read\n  to mend  readingroom compile {site.name}") from None


def _version() -> str:
    try:
        return version("readingroom")
    except PackageNotFoundError:
        return "0+checkout"
