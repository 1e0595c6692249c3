"""Asks every machine of a site at once, one process for each role's checks, and gathers the evidence.

Checks mostly wait: for a printer, a login, a browser. A role's checks run one after the other, since they may want the
same account or service; different roles' checks run side by side, those of the roles that have most of them first.

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
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from ..controls.checks import bound_checks
from ..errors import ReadingRoomError
from .connection import goes_directly, ssh_login, ssh_root
from .evidence import ControlEvidence, Evidence, MachineEvidence, Verdict
from .job import REPORT, Done, Job, Lost, Outcome, Reached, Vantage
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
    @property
    def vantages(self) -> tuple[tuple[str, ...], ...]: ...


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


def vantages(site: Target, machine: str, others: Collection[str]) -> tuple[Vantage, ...]:
    """Where a Python program can be run on the machine's network: where we come from, as a stranger, on other machines.

    This computer is none where ssh goes another way: the machine's address may be somebody else's here.
    """
    here = [
        Vantage(argv=(*place, sys.executable, "-IBS", "-"), ours=number == 0)
        for number, place in enumerate(site.vantages)
        if place or goes_directly(site.ssh_config, machine)
    ]
    there = [Vantage(argv=ssh_login(site.ssh_config, other, "exec python3 -IBS -")) for other in others]
    return (*here, *there)


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

    def answer(name: str, role: str, tested: Collection[str], places: tuple[Vantage, ...]) -> _Answer:
        promised = expectations["machines"][name]
        bound = [
            check for check in checks if check.control in tested and promised["controls"][check.control]["role"] == role
        ]
        job = Job(
            machine=name, start=tuple(start(site, name)), ssh_config=site.ssh_config, vantages=places,
            expectations=promised,
            controls=tuple(sorted({check.control for check in bound})), tests_dir=tests,
            files=tuple(sorted({check.path for check in bound})), log=folder / f"{name}.{role}.log",
            shuffle=shuffle,
        )  # fmt: skip
        return _Answer(job, len(bound), tell, stop)

    pool = ThreadPoolExecutor(max_workers=4 * (os.cpu_count() or 1))
    asked: dict[str, _Machine] = {}
    try:
        for name, wanted in chosen.items():
            promised = expectations["machines"][name]
            tested = {control for control in wanted if is_tested(promised["controls"][control])}
            # a machine with nothing to test is asked for its name all the same: is it there?
            roles_tested = sorted({promised["controls"][control]["role"] for control in tested}) or ["nothing"]
            places = vantages(site, name, [other for other in expectations["machines"] if other != name])
            asked[name] = _Machine(name, wanted, [answer(name, role, tested, places) for role in roles_tested])
            tell(Started(name, len(wanted)))
        turns = [(machine, one) for machine in asked.values() for one in machine.answers]
        for machine, one in sorted(turns, key=lambda turn: -turn[1].checks):
            machine.ask(one, pool, tell)
        for machine in asked.values():
            machine.wait()
    finally:
        # Ctrl-C: no further check is begun, and those at work tidy up after the test they are in.
        stop.set()
        pool.shutdown(cancel_futures=True)
    found = {
        name: machine.evidence(expectations["machines"][name], today or date.today()) for name, machine in asked.items()
    }
    return Evidence(
        site=expectations["site"], policy_digest=expectations["policy_digest"], toolkit=_version(),
        complete=controls is None and roles is None and machines is None, machines=found,
    )  # fmt: skip


@dataclass
class _Machine:
    """One machine: the controls to judge, and what the workers of the roles say of them."""

    name: str
    chosen: Sequence[str]
    answers: list[_Answer]
    _waiting: list[Future[None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _heard: int = 0

    def ask(self, answer: _Answer, pool: ThreadPoolExecutor, tell: OnEvent) -> None:
        """Have the worker of a role begin when its turn comes; whoever is last says that the machine is finished."""

        def gather() -> None:
            answer.gather()
            with self._lock:
                self._heard += 1
                last = self._heard == len(self.answers)
            if last:
                tell(Finished(self.name, self.lost))

        self._waiting.append(pool.submit(gather))

    def wait(self) -> None:
        """Until all workers have ended; raises what one of them raised."""
        for one in self._waiting:
            one.result()

    @property
    def lost(self) -> str | None:
        """Why the machine could not be asked, or not to the end."""
        return next((answer.lost for answer in self.answers if answer.lost), None)

    def evidence(self, promised: Mapping[str, Any], today: date) -> MachineEvidence:
        """The verdicts on all chosen controls."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answers = {control: answer for answer in self.answers for control in answer.job.controls}

        def verdict(control: str) -> ControlEvidence:
            outcomes, missing = (
                answers[control].on(control, self.lost) if control in answers else ([], self.lost or NOBODY_CHECKS)
            )
            return judge(promised["controls"][control], outcomes, at=at, today=today, missing=missing)

        return MachineEvidence(
            **{"class": promised["class"]},
            os=next((answer.os for answer in self.answers if answer.os), None),
            unreachable=self.lost,
            controls={control: verdict(control) for control in self.chosen},
        )


@dataclass
class _Answer:
    """What the worker of one role said of one machine; `checks` is how many it carries out."""

    job: Job
    checks: int
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
                verdict: Verdict
                match outcome.result:
                    case "passed":
                        verdict = "kept"
                    case "failed":
                        verdict = "broken"
                    case other:
                        verdict = other
                self.tell(Judged(self.job.machine, outcome.control, verdict, outcome.seconds))

    def on(self, control: str, lost: str | None) -> tuple[list[Outcome], str]:
        """What the tests of `control` found, and what to say where they found nothing."""
        outcomes = [outcome for outcome in self.outcomes if outcome.control == control]
        # Some tests of a lost machine may have passed before; the rest were never asked, so nothing is proven.
        if lost and not any(outcome.result == "failed" for outcome in outcomes):
            return [], lost
        if not self.done and not lost:
            early = f"the run on this machine ended early (or took {MACHINE_SECONDS // 60} minutes); its log says more"
            return [outcome for outcome in outcomes if outcome.result == "failed"], early
        return outcomes, NO_ANSWER


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
