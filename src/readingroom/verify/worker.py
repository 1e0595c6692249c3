"""One machine's part of a verification, in a process of its own: `python -m readingroom.verify.worker < job`.

Reads a `Job` on standard input and writes reports, one JSON object a line, on standard output. What pytest prints,
tracebacks included, goes to the job's log file, which only its owner can read and which is kept only when a check
itself did not work. Must not judge.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

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
    # A name of its own while it is written: another run may be at work on the same machine. Only its owner can read it.
    handle, name = tempfile.mkstemp(dir=job.log.parent, prefix=f".{job.log.name}.")
    with os.fdopen(handle, "w") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            code = pytest.main(_options(job), plugins=[plugin]) if job.files else pytest.ExitCode.OK
        except Exception:
            traceback.print_exc()
    if not plugin.crashed and code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        Path(name).unlink()
        job.log.unlink(missing_ok=True)
    else:
        Path(name).replace(job.log)
    # A module that cannot be collected ends in another code and has no outcomes; the others have been tested.
    return code is not None and code not in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)


def _options(job: Job) -> list[str]:
    return [
        # Plain asserts: pytest's own would put the values of variables into the message.
        "--assert=plain", "--tb=short", "-q", "-rN", "--continue-on-collection-errors", "--import-mode=importlib",
        "-p", "no:cacheprovider", "-p", "no:faulthandler", "-c", os.devnull, "--rootdir", str(job.tests_dir),
        "--confcutdir", str(job.tests_dir),
        f"--override-ini=pythonpath={job.tests_dir}",  # a role with many checks keeps its helpers in a package beside them
        *map(str, job.files),
    ]  # fmt: skip


if __name__ == "__main__":
    # What other tools add to pytest on this computer is none of this run's business.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.exit(main())
