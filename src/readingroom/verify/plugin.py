"""The pytest plugin of one machine's run: the fixtures `host` and `promise`, and what each test's end means.

Loaded by the worker only, with its job. A failed `assert` in a test is a broken promise; any other exception is a
check that did not work, which says nothing about the promise. Must not know verdicts: they are judged elsewhere.
"""

from __future__ import annotations

import fcntl
import random
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from testinfra.host import Host

from . import probe
from .api import Alone, NotApplicable, Promise, Unsupported
from .connection import Unreachable
from .job import Job, Lost, Outcome, Report, Result
from .privacy import Filter
from .wire import Wire

# Where a failed `assert` is a finding. Elsewhere (testinfra's own check_output, a library) it is an accident.
_PROBES = Path(probe.__file__)


class TooSlow(BaseException):
    """A test took longer than it may; not an `Exception`, so that no test swallows it."""


class CompliancePlugin:
    """Runs the selected tests against one machine and reports each outcome as it comes."""

    __name__ = "readingroom-compliance"

    def __init__(self, job: Job, host: Host, words: Filter, report: Callable[[Report], None]) -> None:
        """`report` receives each `Outcome`, and `Lost` when the machine stops answering."""
        self._job = job
        self._host = host
        self._words = words
        self._report = report
        self._order: dict[str, int] = {}
        self._promises: dict[str, Promise] = {}
        self.crashed = False

    @pytest.fixture(scope="session")
    def host(self) -> Host:
        """The machine, as root, over the one connection of this run."""
        return self._host

    @pytest.fixture(scope="session")
    def expects(self) -> Callable[[str], Any]:
        """For preparations that many tests share: the policy's word for a key on this machine."""
        return lambda key: self._job.expectations["keys"][key]["value"]

    @pytest.fixture
    def alone(self) -> Alone:
        """For tests that use what only one may use at a time: the checks of a machine's roles run side by side."""
        return self._alone

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        with self._job.log.with_name(f".{self._job.machine}.{what}.lock").open("w") as lock:
            with probe.time_out():
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        time.sleep(0.1)  # or this worker's next test would always be first

    @pytest.fixture
    def ssh_way(self) -> tuple[Path, str]:
        """For tests that knock from outside: the ssh configuration and the machine's name in it."""
        return self._job.ssh_config, self._job.machine

    @pytest.fixture(scope="session")
    def wire(self) -> Wire:
        """For tests that look at what crosses the machine's network cards, in both directions."""
        return Wire(self._host, self._job.vantages)

    @pytest.fixture
    def promise(self, request: pytest.FixtureRequest) -> Promise:
        """What this machine was promised under the control that the test is bound to."""
        made = Promise(self._job.machine, _control_of(request.node) or "", self._job.expectations)
        self._promises[request.node.nodeid] = made
        return made

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the binding known to pytest."""
        config.addinivalue_line("markers", "control(id): the promise this test judges")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the selected controls, in file order or shuffled."""
        self._order = {item.nodeid: place for place, item in enumerate(items)}
        items[:] = [item for item in items if _control_of(item) in self._job.controls]
        if self._job.shuffle is not None:
            random.Random(self._job.shuffle).shuffle(items)  # noqa: S311 - an order to test, no secret

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be loaded is a check that does not work."""
        self.crashed = self.crashed or report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        """Limit the preparation."""
        with self._in_time():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """Limit the test."""
        with self._in_time():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        """Limit the tidying."""
        with self._in_time():
            return (yield)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        previous = signal.signal(signal.SIGALRM, _too_slow)
        signal.alarm(self._job.test_seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None]:
        """Report how the test ended; an end of the set-up or of the tidying counts only when it went wrong."""
        error = call.excinfo
        if call.when == "call" or error is not None:
            self._judge(item, call.when, error, call.duration)
        return (yield)

    def _judge(
        self, item: pytest.Item, when: str, error: pytest.ExceptionInfo[BaseException] | None, seconds: float
    ) -> None:
        if error is None:
            promise = self._promises.get(item.nodeid)
            self._outcome(item, "passed", "; ".join(promise.seen) if promise else "", seconds)
        elif isinstance(error.value, Unreachable):
            item.session.shouldstop = "the machine is lost"
            self._report(Lost(reason=str(error.value)))
        elif isinstance(error.value, pytest.skip.Exception):
            self._outcome(item, _why_skipped(error.value), error.value.msg or "the check gave no reason", seconds)
        elif when == "call" and self._is_finding(error):
            self._outcome(item, "failed", _plain_message(error.value), seconds)
        else:
            self.crashed = True
            kind = "took too long" if isinstance(error.value, TooSlow) else "did not work"
            part = {"setup": "preparing the check", "call": "the check itself"}.get(when, "tidying up after the check")
            self._outcome(item, "not-tested", f"{part} {kind}; the local log says more", seconds)

    def _is_finding(self, error: pytest.ExceptionInfo[BaseException]) -> bool:
        if isinstance(error.value, pytest.fail.Exception):
            return True
        where = Path(error.traceback[-1].path)
        return isinstance(error.value, AssertionError) and (
            where == _PROBES or where.is_relative_to(self._job.tests_dir)
        )

    def _outcome(self, item: pytest.Item, result: Result, words: str, seconds: float) -> None:
        control = _control_of(item) or ""
        clean = "; ".join(filter(None, (self._words.clean(part) for part in words.split("; "))))
        self._report(
            Outcome(control=control, order=self._order[item.nodeid], result=result, words=clean, seconds=seconds)
        )


def _why_skipped(error: BaseException) -> Result:
    if isinstance(error, Unsupported):
        return "unsupported"
    return "not-applicable" if isinstance(error, NotApplicable) else "not-tested"


def _control_of(item: Any) -> str | None:
    mark = item.get_closest_marker("control")
    return str(mark.args[0]) if mark else None


def _plain_message(error: BaseException) -> str:
    """The author's own words, and nothing that pytest or Python found in the variables."""
    said = error.msg if isinstance(error, pytest.fail.Exception) else next(iter(error.args), None)
    return said if isinstance(said, str) and said.strip() else "the check failed; its author left no words for it"


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlow("the test took longer than it may")
