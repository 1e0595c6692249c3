"""The process in which pyinfra works: `python -m readingroom.apply.pyinfra_run`, jobs in, events out.

Standard input holds one JSON list of jobs (never a command line: a job may carry a password); one event per line goes
to the file descriptor named in READINGROOM_EVENTS_FD. Each machine gets a process of its own, forked after the
imports, with its own pyinfra state: machines work side by side, and one that fails or hangs is nobody else's matter.
Operations run at once, in the order written, as Ansible's tasks do, instead of pyinfra's two passes; in a dry run
none of them runs. It must not know policies, nor choose machines or roles.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra.api.config import Config
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import BaseStateCallback, State, StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_state

from readingroom.apply.connector import SHELL, RootShellConnector
from readingroom.apply.model import Event
from readingroom.apply.root_shell import CannotConnect, PasswordNeeded, RootShell, ShellLost
from readingroom.apply.shared import AGAIN, FACES, NOTES, ROLES, UNFINISHED, Face, changed
from readingroom.errors import ReadingRoomError

EVENTS_FD = "READINGROOM_EVENTS_FD"
Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Job:
    """What one machine's process needs to know."""

    machine: str
    roles: tuple[str, ...]
    variables: dict[str, Any]
    ssh_config: str
    roles_path: str
    check: bool
    password: str | None = None
    unfinished: bool = False


class Stopped(PyinfraError):
    """A person asked us to stop; we do so between two operations."""


class MachineRun(BaseStateCallback):
    """Runs the roles of one job and reports each change once its outcome is known."""

    def __init__(self, job: Job, emit: Emit) -> None:
        self.job, self.emit, self.role = job, emit, ""
        self.stop = False
        self._reported = 0
        self._errors: list[str] = []

    def run(self) -> bool:
        """Do the job; whether it went through."""
        machine = self.job.machine
        try:
            shell = RootShell.over_ssh(Path(self.job.ssh_config), machine, self.job.password)
        except (CannotConnect, PasswordNeeded) as error:
            self.emit(Event("unreachable", machine, detail=str(error)))
            return False
        self.emit(Event("begin", machine))
        try:
            self._set_up(shell)
            for role in self.job.roles:
                self._run_role(role)
        except ShellLost as error:
            self.emit(Event("unreachable", machine, self.role, detail=str(error)))
            return False
        except (PyinfraError, ReadingRoomError) as error:
            self._report_failure(error)
            return False
        except Exception as error:  # a fault of ours or of a role: say where, keep the other machines going
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            self.emit(Event("failed", machine, self.role, detail=text))
            return False
        finally:
            shell.close()
        self.emit(Event("done", machine))
        return True

    def _set_up(self, shell: RootShell) -> None:
        inventory = Inventory(([self.job.machine], {}))  # type: ignore[no-untyped-call]
        self.host = inventory.get_host(self.job.machine)
        self.host.connector_cls = RootShellConnector
        self.host.connector_data.update(
            {
                SHELL: shell,
                ROLES: self.job.roles_path,
                UNFINISHED: self.job.unfinished,
                NOTES: self._note,
                AGAIN: self._again,
            }
        )
        self.state = State(inventory, Config(), check_for_changes=self.job.check)  # type: ignore[no-untyped-call]
        self.state.add_callback_handler(self)  # type: ignore[no-untyped-call]
        self.state.set_stage(StateStage.Prepare if self.job.check else StateStage.Execute)
        self.state.is_executing = not self.job.check
        logging.getLogger("pyinfra").addHandler(_Collector(self._errors))
        self.host.connect(raise_exceptions=True)
        self.state.activate_host(self.host)

    def _again(self) -> RootShell:
        return RootShell.over_ssh(Path(self.job.ssh_config), self.job.machine, self.job.password, fresh=True)

    def _note(self, text: str) -> None:
        self.emit(Event("note", self.job.machine, self.role, detail=text))

    def _run_role(self, role: str) -> None:
        self.role = role
        self.emit(Event("task", self.job.machine, role, "Look at the machine"))
        apply = _load(Path(self.job.roles_path) / role)
        config = self.state.config.copy()
        with ctx_state.use(self.state), ctx_config.use(config), ctx_host.use(self.host):
            try:
                apply(dict(self.job.variables))
            finally:
                self._report_changes()

    # pyinfra calls these with (state, host, op_hash); the base class declares them static.

    def operation_host_start(self, state: Any, host: Any, op_hash: str) -> None:  # type: ignore[override]
        """Before an operation: what came before it is settled."""
        self._report_changes()
        if self.stop:
            raise Stopped("stopped on request")
        self.emit(Event("task", self.job.machine, self.role, self._name(op_hash)))

    def _report_changes(self) -> None:
        known = self.host.op_hash_order
        while self._reported < len(known):
            op_hash = known[self._reported]
            data = self.state.ops[self.host].get(op_hash)
            if data is None or (self.state.is_executing and not data.operation_meta.is_complete()):
                return
            self._reported += 1
            if changed(data.operation_meta):
                face: Face = self.host.connector_data.get(FACES, {}).get(op_hash, Face())
                name = self._name(op_hash)
                for what in [f"{name}: {step}" for step in face.steps] or [name]:
                    event = Event("changed", self.job.machine, self.role, what, face.detail, face.act, face.subject)
                    self.emit(event)

    def _name(self, op_hash: str) -> str:
        names = sorted(self.state.op_meta[op_hash].names)
        return names[0].split(" | ")[-1] if names else ""

    def _report_failure(self, error: Exception) -> None:
        what, detail = "", str(error)
        if isinstance(error, NestedOperationError):
            op_hash = error.args[0]
            what = self._name(op_hash)
            lines = self.state.ops[self.host][op_hash].operation_meta.stderr_lines
            detail = "\n".join(lines[-12:]) or "\n".join(self._errors[-3:])
        elif self._errors and not isinstance(error, (Stopped, ReadingRoomError)):
            detail = "\n".join([*self._errors[-3:], detail])
        self.emit(Event("failed", self.job.machine, self.role, what, detail))


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _load(role: Path) -> Callable[[dict[str, Any]], None]:
    """`apply` of a role's `deploy.py`."""
    path = role / "deploy.py"
    if not path.is_file():
        raise ReadingRoomError(f"{path} is missing: this role has no pyinfra deploy")
    spec = importlib.util.spec_from_file_location(f"readingroom_role_{role.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function: Callable[[dict[str, Any]], None] = module.apply
    return function


def _work(job: Job, emit: Emit) -> int:
    """The life of a machine's process; its exit status."""
    run = MachineRun(job, emit)

    def stop(signum: int, frame: object) -> None:
        if run.stop:
            os._exit(130)
        run.stop = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return 0 if run.run() else 1


def run_jobs(jobs: list[Job], side_by_side: int) -> int:
    """Run all jobs in processes of their own, at most `side_by_side` at a time; the number that failed."""
    lock = multiprocessing.get_context("fork").Lock()
    out = int(os.environ.get(EVENTS_FD, "1"))

    def emit(event: Event) -> None:
        line = (json.dumps(event.as_json()) + "\n").encode()
        held = lock.acquire(timeout=10)
        try:
            while line:
                line = line[os.write(out, line) :]
        finally:
            if held:
                lock.release()

    failed, running, waiting = 0, 0, list(jobs)
    signal.signal(signal.SIGINT, lambda *_: waiting.clear())  # start no more; the processes hear it themselves
    while waiting or running:
        if waiting and running < side_by_side:
            job = waiting.pop(0)
            if os.fork() == 0:
                status = 1
                try:
                    status = _work(job, emit)
                finally:
                    os._exit(status)
            running += 1
            continue
        _, status = os.wait()
        running -= 1
        failed += status != 0
    return failed


def main() -> int:
    """Read the jobs and run them."""
    request = json.load(sys.stdin)
    jobs = [Job(**{**job, "roles": tuple(job["roles"])}) for job in request["jobs"]]
    return 1 if run_jobs(jobs, request["side_by_side"]) else 0


if __name__ == "__main__":
    sys.exit(main())
