"""Which displays are kept, how the promise on one is kept, and when they are let go. Real X servers are tried in the lab."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
import screen_lock
from screen_lock import Screen, displays, keep, release, screens, sessions

ME = pwd.getpwuid(os.getuid())


def display(timeout: int | None = 300, *, waits: bool = True, locked: bool = False, starts: bool = True) -> Mock:
    """A display without an X server, by what it answers."""
    screen: Mock = create_autospec(Screen, instance=True)
    screen.timeout.return_value, screen.waits.return_value = timeout, waits
    screen.is_locked.return_value, screen.start.return_value = locked, starts
    return screen


@pytest.mark.parametrize(("now", "set_to"), [(600, 300), (0, 300), (300, None), (60, None), (None, None)])
def test_only_a_time_that_is_too_long_is_changed(now: int | None, set_to: int | None) -> None:
    screen = display(now)
    assert keep(screen, 300)
    assert [call.args for call in screen.lock_after.call_args_list] == ([] if set_to is None else [(set_to,)])


def test_what_was_ended_is_started_again_and_the_promise_is_kept_when_it_runs() -> None:
    for starts in (True, False):
        screen = display(waits=False, starts=starts)
        assert keep(screen, 300) is starts
        screen.start.assert_called_once_with()


def test_a_locked_screen_is_not_started_over() -> None:
    screen = display(waits=False, locked=True)
    assert keep(screen, 300)
    screen.start.assert_not_called()


def test_a_display_that_does_not_answer_is_left_for_the_next_look() -> None:
    screen = display(None, waits=False)
    assert keep(screen, 300)
    screen.start.assert_not_called()


def test_letting_go_gives_each_display_its_own_time_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = display(), display(waits=False)
    monkeypatch.setattr(screen_lock, "screens", lambda: iter([ours, others]))
    monkeypatch.setattr(screen_lock, "run", Mock())
    release()
    ours.forget.assert_called_once_with()
    others.forget.assert_not_called()


def test_nothing_is_let_go_while_one_screen_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    free, locked = display(), display(locked=True)
    monkeypatch.setattr(screen_lock, "screens", lambda: iter([free, locked]))
    with pytest.raises(SystemExit, match="locked just now"):
        release()
    free.forget.assert_not_called()


SESSION = {"Id": "7", "User": str(ME.pw_uid), "Type": "x11", "Class": "user", "State": "active", "Remote": "no",
           "Display": ":0", "Scope": "session-7.scope"}  # fmt: skip
NOT_KEPT = [{"Type": "wayland"}, {"Class": "greeter"}, {"Remote": "yes"}, {"State": "closing"}, {"Scope": ""}]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What logind and the processes say: `sessions`, and the environment of each process in `session-7.scope`."""
    told: dict[str, Any] = {"sessions": [SESSION], "processes": [{"DISPLAY": ":0.0", "XAUTHORITY": "/run/x"}]}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        blocks = ["\n".join(f"{key}={value}" for key, value in one.items()) for one in told["sessions"]]
        listing = "\n".join(f"{one['Id']} 1000 somebody seat0" for one in told["sessions"])
        return subprocess.CompletedProcess(
            command, 0, listing if "list-sessions" in command else "\n\n".join(blocks), ""
        )

    monkeypatch.setattr(screen_lock, "run", run)
    monkeypatch.setattr(screen_lock, "processes", lambda _unit: [Path(str(n)) for n in range(len(told["processes"]))])
    monkeypatch.setattr(screen_lock, "environment", lambda process, _uid: told["processes"][int(process.name)])
    return told


def test_a_display_is_found_once_with_what_opens_it(machine: dict[str, Any]) -> None:
    machine["processes"] *= 2
    assert [(one.session, one.display, one.authority) for one in screens()] == [("7", ":0", "/run/x")]


@pytest.mark.parametrize("unlike", NOT_KEPT, ids=str)
def test_only_displays_that_people_sit_in_front_of_are_kept(machine: dict[str, Any], unlike: dict[str, str]) -> None:
    machine["sessions"] = [SESSION | unlike]
    assert not list(screens())


def test_startx_tells_logind_nothing_and_its_displays_are_found_by_its_programs(machine: dict[str, Any]) -> None:
    machine["processes"] = [{}, {"DISPLAY": ":1"}, {"DISPLAY": "elsewhere:0"}, {"DISPLAY": ":2"}]
    found = list(displays(SESSION | {"Type": "tty", "Display": ""}))
    assert [one.display for one in found] == [":1", ":2"]
    assert {one.authority for one in found} == {f"{ME.pw_dir}/.Xauthority"}


def test_of_a_session_with_a_display_of_its_own_only_that_one_counts(machine: dict[str, Any]) -> None:
    machine["processes"] = [{"DISPLAY": ":9"}, {"DISPLAY": ":0"}]
    assert [one.display for one in displays(SESSION)] == [":0"]


def test_no_session_is_no_question_to_logind(machine: dict[str, Any]) -> None:
    machine["sessions"] = []
    assert not list(sessions())


def test_the_environment_of_somebody_elses_process_is_not_read() -> None:
    own = Path("/proc/self")
    assert "PATH" in screen_lock.environment(own, os.getuid())
    assert screen_lock.environment(own, os.getuid() + 1) == {}
    assert screen_lock.environment(Path("/proc/0"), os.getuid()) == {}
