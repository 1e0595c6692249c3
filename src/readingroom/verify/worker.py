"""One machine's part of a verification, in a process of its own: `python -m readingroom.verify.worker < job`.

Reads a `Job` on standard input and writes reports, one JSON object a line, on standard output. What pytest prints,
tracebacks included, goes to the job's log file, which only its owner can read and which is kept only when a check
itself did not work. Must not judge.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest
from testinfra.host import Host

from .connection import RootShell, Unreachable, connect
from .job import Done, Job, Lost, Reached, Report
from .plugin import CompliancePlugin
from .privacy import ASK_NAMES, Filter, names_in
from .probe import SWEEP


def main() -> int:
    """Run the job on standard input."""
    job = Job.model_validate_json(sys.stdin.read())
    reports = os.fdopen(os.dup(1), "w", buffering=1)

    def report(one: Report) -> None:
        reports.write(one.model_dump_json() + "\n")

    host = connect(job.machine, job.start)
    try:
        answer = host.run(ASK_NAMES + SWEEP)
    except Unreachable as lost:
        report(Lost(reason=str(lost)))
        return 0
    system, words = names_in(answer.stdout)
    words = Filter(words.people, words.places | {job.machine.lower()})
    report(Reached(os=words.clean(system)))
    if _run(job, host, words, report):
        report(Done())
    shell = host.backend
    if isinstance(shell, RootShell):
        shell.close()
    return 0


def _run(job: Job, host: Host, words: Filter, report: Callable[[Report], None]) -> bool:
    """Run the tests; true when the run came to its own end, whatever the tests found."""
    plugin = CompliancePlugin(job, host, words, report)
    code: int | None = None
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.unlink(missing_ok=True)
    log = os.fdopen(os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    with log, redirect_stdout(log), redirect_stderr(log):
        try:
            code = pytest.main(_options(job), plugins=[plugin]) if job.files else pytest.ExitCode.OK
        except Exception:
            traceback.print_exc()
    if not plugin.crashed and code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        job.log.unlink()
    # A module that cannot be collected gives INTERRUPTED or nothing to run; its controls have no outcome then.
    return code is not None and code not in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)


def _options(job: Job) -> list[str]:
    return [
        # Plain asserts: pytest's own would put the values of variables into the message.
        "--assert=plain", "--tb=short", "-q", "-rN", "--continue-on-collection-errors", "--import-mode=importlib",
        "-p", "no:cacheprovider", "-p", "no:faulthandler", "-c", os.devnull, "--rootdir", str(job.tests_dir),
        *map(str, job.files),
    ]  # fmt: skip


if __name__ == "__main__":
    # What other tools add to pytest on this computer is none of this run's business.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.exit(main())
