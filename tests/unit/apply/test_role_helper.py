"""What a role's deploy.py stands on: a dry run that tells the truth, files that are whole, handlers that are not lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from readingroom.apply.pyinfra_run import Job, run_jobs

ROLES = Path(__file__).parent / "roles"
# In place of a connection: what ssh would run on the machine runs here, in a folder of the test's own.
FAKE_SSH = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$1"\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the role gives files to root, which only root may do")


@dataclass
class Machine:
    root: Path
    bin: Path

    def run(self, *, check: bool = False, unfinished: bool = False, **variables: Any) -> list[dict[str, str]]:
        values = {"demo_root": str(self.root), "demo_seconds": 120, "demo_never": False, "demo_fail": False}
        job = Job("desk-3", ("demo",), values | variables, "unused", str(ROLES), check, unfinished=unfinished)
        with (self.bin / "events").open("w+") as events, pytest.MonkeyPatch.context() as patch:
            patch.setenv("READINGROOM_EVENTS_FD", str(events.fileno()))
            patch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
            before = signal.getsignal(signal.SIGINT)
            try:
                run_jobs([job], side_by_side=1)
            finally:
                signal.signal(signal.SIGINT, before)
            events.seek(0)
            return [json.loads(line) for line in events]

    def changes(self, **how: Any) -> list[str]:
        events = self.run(**how)
        assert events[-1]["kind"] == "done", events[-1]
        return [event["what"].replace(str(self.root), "…") for event in events if event["kind"] == "changed"]

    @property
    def log(self) -> list[str]:
        path = self.root / "log"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(FAKE_SSH)
    ssh.chmod(0o755)
    root = tmp_path / "machine"
    (root / "old-folder" / "deep").mkdir(parents=True)
    return Machine(root, ssh.parent)


ALL = [
    "Directory …/conf.d", "Write …/conf.d/demo.conf", "Write …/script", "Remove …/old-folder", "Reload demo", "Restart demo",
]  # fmt: skip


def test_a_dry_run_announces_exactly_what_a_run_does_and_touches_nothing(machine: Machine) -> None:
    assert machine.changes(check=True) == ALL
    assert sorted(path.name for path in machine.root.iterdir()) == ["old-folder"]
    assert machine.changes() == ALL
    assert (machine.root / "conf.d" / "demo.conf").read_text() == "keep=2\n"
    assert (machine.root / "script").stat().st_mode & 0o777 == 0o755
    assert machine.log == ["reload", "restart"]


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    machine.changes()
    assert machine.changes() == machine.changes(check=True) == []
    assert machine.log == ["reload", "restart"]


@pytest.mark.parametrize(
    ("drift", "mended"),
    [
        ("echo more >> conf.d/demo.conf", ["Write …/conf.d/demo.conf", "Restart demo"]),
        ("chmod 644 conf.d/demo.conf", ["Rights of …/conf.d/demo.conf", "Restart demo"]),
        ("chown nobody script", ["Rights of …/script"]),
        ("rm script; ln -s /etc/hostname script", ["Write …/script"]),
        ("rm script", ["Write …/script"]),
        ("chmod 777 conf.d", ["Directory …/conf.d"]),
        ("touch old", ["Remove …/old"]),
        ("ln -s nowhere old-folder", ["Remove …/old-folder", "Reload demo"]),
        ("ln -s /etc/hostname never", []),
    ],
)
def test_drift_is_announced_and_mended_and_nothing_else(machine: Machine, drift: str, mended: list[str]) -> None:
    machine.changes()
    subprocess.run(["sh", "-c", drift], cwd=machine.root, check=True)
    assert machine.changes(check=True) == mended
    assert machine.changes() == mended
    assert machine.changes() == []


def test_a_change_shows_its_diff(machine: Machine) -> None:
    machine.changes()
    events = machine.run(check=True, demo_seconds=600)
    (change,) = [event for event in events if event["kind"] == "changed" and event["what"].startswith("Write")]
    assert "-keep=2\n+keep=10" in change["detail"]


def test_a_file_that_its_validator_refuses_is_not_put_in_place(machine: Machine) -> None:
    machine.changes()
    path = machine.root / "conf.d" / "demo.conf"
    template = ROLES / "demo" / "templates" / "demo.conf.j2"
    before = template.read_text()
    try:
        template.write_text("nonsense\n")
        events = machine.run()
    finally:
        template.write_text(before)
    assert events[-1]["kind"] == "failed"
    assert path.read_text() == "keep=2\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["demo.conf"], "a half-written file stayed behind"


def test_what_was_written_is_restarted_even_when_the_role_fails_later(machine: Machine) -> None:
    failure = machine.run(demo_fail=True)[-1]
    assert (failure["kind"], failure["what"], failure["detail"]) == ("failed", "Fail on purpose", "the reason")
    assert machine.log == ["reload", "restart"]


def test_after_an_unfinished_run_every_handler_runs_once(machine: Machine) -> None:
    machine.changes()
    assert machine.changes(unfinished=True, check=True) == ["Reload demo", "Restart demo"]
    assert machine.changes(unfinished=True) == ["Reload demo", "Restart demo"]


def test_a_missing_variable_is_named(machine: Machine) -> None:
    failure = machine.run(demo_seconds="{{ not_compiled }}")[-1]
    assert failure["kind"] == "failed"
    assert "not_compiled" in failure["detail"]
