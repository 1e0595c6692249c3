"""Runs that do not go to plan, on real machines: locked, stopped, killed, unreachable."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from readingroom.apply import Engine, Event, harden
from readingroom.fleet import Site
from readingroom.lab import Lab

from .conftest import ENGINES, ROLES

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("engine", ENGINES)]

ONE_ROLE = ROLES[-1:]  # where any role will do
LONG_ROLE = ["print_queue_purge"]  # where the run must be long enough to be ended in the middle
QUICK: Engine = "pyinfra"  # whatever was ended, a run of either engine goes on from there

_CHILD = """
import dataclasses, sys
from pathlib import Path
from readingroom import toolkit
from readingroom.apply import harden
from readingroom.fleet import load_site

site = dataclasses.replace(load_site("lab", toolkit.root()), root=Path(sys.argv[2]), build=Path(sys.argv[2], "build"))
result = harden(site, engine=sys.argv[1], roles=sys.argv[3:], machines=["public-1"], on_event=lambda e: print(e.kind, flush=True))
print(result.machines["public-1"].message, flush=True)
print("interrupted" if result.interrupted else "went through", result.machines["public-1"].status, flush=True)
"""


def _start_and_wait_for_a_change(site: Site, engine: Engine) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, engine, str(site.root), *LONG_ROLE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout
    for line in child.stdout:
        if line.strip() == "changed":
            return child
    raise AssertionError(f"the run ended before its first change: {child.stderr.read() if child.stderr else ''}")


def _mark(lab: Lab) -> bool:
    return lab.exec("public-1", ["test", "-e", "/run/readingroom-apply/unfinished"], check=False).returncode == 0


@pytest.fixture
def fresh(lab: Lab) -> None:
    lab.reset("public-1")


@pytest.mark.usefixtures("fresh")
def test_ctrl_c_ends_in_plain_words_and_the_next_run_finishes_the_work(lab: Lab, site: Site, engine: Engine) -> None:
    child = _start_and_wait_for_a_change(site, engine)
    child.send_signal(signal.SIGINT)
    said, complaints = child.communicate(timeout=120)
    assert "Traceback" not in complaints, complaints
    words = said.splitlines()
    assert words[-1] == "interrupted failed"
    assert any(line.startswith("Not finished: ") for line in words)
    assert any("To go on" in line for line in words)
    assert _mark(lab)
    after = harden(site, engine=QUICK, machines=["public-1"])
    assert after.ok, after.machines["public-1"].message
    assert not _mark(lab)


@pytest.mark.usefixtures("fresh")
def test_a_killed_controller_does_not_shut_the_machine(lab: Lab, site: Site, engine: Engine) -> None:
    child = _start_and_wait_for_a_change(site, engine)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 60
    while True:  # what was under way ends by itself; then the lock is free
        after = harden(site, engine=QUICK, machines=["public-1"])
        if after.ok or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert after.ok, after.machines["public-1"].message
    assert not _mark(lab)


def test_two_runs_at_once_the_second_is_turned_away_in_plain_words(lab: Lab, site: Site, engine: Engine) -> None:
    lab.up()
    begun, results = threading.Event(), []

    def first() -> None:
        def heard(event: Event) -> None:
            if event.kind == "begin":
                begun.set()

        results.append(harden(site, engine=engine, roles=ONE_ROLE, machines=["public-1"], on_event=heard))

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(60)
    other: Engine = "pyinfra" if engine == "ansible" else "ansible"
    second = harden(site, engine=other, roles=ONE_ROLE, machines=["public-1"]).machines["public-1"]
    thread.join()
    assert second.status == "failed"
    assert "another run of Reading Room is at work on public-1" in second.message
    assert second.changes == ()
    assert results[0].ok


def test_a_machine_that_is_off_does_not_stop_the_others(lab: Lab, site: Site, engine: Engine) -> None:
    lab.up()
    lab.down(["staff-1"])
    try:
        result = harden(site, engine=engine, roles=ONE_ROLE)
    finally:
        lab.up()
    assert result.machines["staff-1"].status == "unreachable"
    assert "Cannot be reached" in result.machines["staff-1"].message
    assert result.machines["public-1"].status == "ok", result.machines["public-1"].message


def test_a_machine_lost_in_the_middle_is_unreachable_and_the_others_finish(
    lab: Lab, site: Site, engine: Engine
) -> None:
    lab.up()
    gone = threading.Event()

    def heard(event: Event) -> None:
        if event.machine == "staff-1" and event.kind == "task" and event.role and not gone.is_set():
            gone.set()
            lab.hard_kill("staff-1")

    try:
        result = harden(site, engine=engine, roles=ONE_ROLE, on_event=heard)
    finally:
        lab.up()
    assert result.machines["staff-1"].status == "unreachable", result.machines["staff-1"].message
    assert result.machines["public-1"].status == "ok", result.machines["public-1"].message


def test_the_machine_s_journal_holds_no_command_of_ours(lab: Lab, site: Site, engine: Engine) -> None:
    lab.up()
    lab.exec("public-1", ["journalctl", "--quiet", "--rotate"])
    lab.exec("public-1", ["journalctl", "--quiet", "--vacuum-time=1s"])
    assert harden(site, engine=engine, roles=ONE_ROLE, machines=["public-1"], check=True).ok
    journal = lab.exec("public-1", ["journalctl", "--quiet", "--output=cat"]).stdout
    commands = [line.partition("COMMAND=")[2] for line in journal.splitlines() if "COMMAND=" in line]
    assert commands, "nothing was logged, so nothing is proved"
    told = [line for line in commands if "reading-room-ready" not in line and "BECOME-SUCCESS" not in line]
    assert told == []
    names = {str(path.name) for path in Path(site.root, "roles").iterdir()}
    # a machine that has just started tells of its units, ours among them
    ours = re.sub(r"readingroom-[a-z-]+\.[a-z]+", "", journal)
    assert [name for name in names if name in ours] == []
    assert "ansible" not in journal.lower()
