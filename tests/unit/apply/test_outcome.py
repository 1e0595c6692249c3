"""The last words for each machine: what was done, what not, and what to type next."""

from __future__ import annotations

import pytest

from readingroom.apply.model import Change, Event, MachineResult
from readingroom.apply.outcome import Outcome

ROLES = ("accounts", "logs", "print")


def _result(*events: Event, check: bool = False, interrupted: bool = False, said: str = "") -> MachineResult:
    outcome = Outcome("elm", "desk-3", ROLES, check)
    for event in events:
        outcome.take(event)
    outcome.engine_ended(said, interrupted)
    return outcome.result(interrupted)


def _event(kind: str, role: str = "", what: str = "", detail: str = "") -> Event:
    return Event(kind, "desk-3", role, what, detail)  # type: ignore[arg-type]


BEGIN, DONE = _event("begin"), _event("done")


def test_nothing_to_change_is_said_so() -> None:
    result = _result(BEGIN, _event("task", "logs", "x"), DONE)
    assert (result.status, result.changes, result.undone) == ("ok", (), ())
    assert result.message == "Nothing to change: everything is as it should be."


@pytest.mark.parametrize(
    ("check", "words"), [(False, "1 change made."), (True, "1 change would be made; nothing was touched.")]
)
def test_changes_are_counted(check: bool, words: str) -> None:
    result = _result(BEGIN, _event("changed", "logs", "Write /x", "+a"), DONE, check=check)
    assert result.changes == (Change("logs", "Write /x", "+a"),)
    assert result.message == words


def test_a_failure_names_the_place_the_reason_what_is_finished_and_the_next_step() -> None:
    result = _result(
        BEGIN,
        _event("changed", "accounts", "Lock it"),
        _event("task", "logs", "Write /x"),
        _event("failed", "logs", "Write /x", "No space left on device"),
    )
    assert result.status == "failed"
    assert result.undone == ("logs", "print")
    assert result.message.splitlines() == [
        "Failed at logs “Write /x”: No space left on device",
        "Finished: accounts.",
        "Not finished: logs, print.",
        "Changes made before that: 1; they stay, and are sound by themselves.",
        "To go on, which is always safe: readingroom harden elm",
    ]


def test_a_failed_handler_leaves_only_its_own_role_unfinished() -> None:
    tasks = [_event("task", role, "Look") for role in ROLES]
    result = _result(BEGIN, *tasks, _event("failed", "accounts", "Restart", "no"))
    assert result.undone == ("accounts",)


def test_a_failure_that_ansible_rescued_is_no_failure() -> None:
    assert _result(BEGIN, _event("failed", "logs", "Probe", "no"), DONE).status == "ok"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Host key verification failed.", "compare the key: ssh -F build/elm/ssh_config desk-3"),
        ("operator@desk-3: Permission denied (publickey).", "check its user name and key"),
        ("ssh: connect to host desk-3 port 22: Connection timed out", "switched on"),
        ("ssh: Could not resolve hostname desk-3: Name or service not known", "ansible_host"),
        ("sudo did not take the password", "Check the password"),
    ],
)
def test_the_next_step_fits_the_reason_why_a_machine_cannot_be_reached(reason: str, words: str) -> None:
    assert words in _result(_event("unreachable", detail=reason)).message


def test_a_machine_that_never_answered_was_not_changed() -> None:
    result = _result(_event("unreachable", detail="No route to host"))
    assert result.status == "unreachable"
    assert "Nothing was changed on it" in result.message
    assert result.undone == ROLES


def test_a_machine_lost_in_the_middle_says_where() -> None:
    result = _result(BEGIN, _event("task", "logs", "Write /x"), _event("unreachable", "logs", "Write /x", "timed out"))
    assert result.status == "unreachable"
    assert result.message.startswith("The connection was lost in logs “Write /x”: timed out")


def test_an_interrupted_run_says_where_it_stopped() -> None:
    result = _result(BEGIN, _event("changed", "accounts", "a"), _event("task", "logs", "Write /x"), interrupted=True)
    assert result.status == "failed"
    assert result.message.startswith("Stopped at logs “Write /x”.\nFinished: accounts.\nNot finished: logs, print.")


def test_a_machine_that_was_done_before_the_interruption_is_done() -> None:
    assert _result(BEGIN, DONE, interrupted=True).status == "ok"


def test_an_engine_that_dies_gives_its_own_last_lines_as_the_reason() -> None:
    result = _result(said="\nERROR! no such file: roles/x\n")
    assert (result.status, result.undone) == ("failed", ROLES)
    assert "ERROR! no such file: roles/x" in result.message
    assert "Nothing was changed on it." in result.message


def test_a_dry_run_that_fails_says_that_nothing_was_changed() -> None:
    result = _result(BEGIN, _event("changed", "logs", "a"), _event("failed", "logs", "b", "no"), check=True)
    assert "It was a dry run: nothing was changed." in result.message
    assert "readingroom plan elm" in result.message


def test_a_dry_run_announces_a_package_once() -> None:
    changes = [
        Event("changed", "desk-3", role, "Install", "", "install", packages)
        for role, packages in (("accounts", "libc\nsudo"), ("logs", "libc"), ("print", "cups\nlibc"))
    ]
    made = _result(BEGIN, *changes, DONE, check=True).changes
    assert [(change.role, change.subject) for change in made] == [("accounts", "libc\nsudo"), ("print", "cups")]


@pytest.mark.parametrize(("check", "count"), [(True, 1), (False, 2)])
def test_a_dry_run_announces_once_what_two_roles_would_both_make(check: bool, count: int) -> None:
    changes = [
        Event("changed", "desk-3", role, "Make it", "not there yet", "directory", "/etc/readingroom")
        for role in ("accounts", "logs")
    ]
    assert len(_result(BEGIN, *changes, DONE, check=check).changes) == count


def test_a_dry_run_keeps_two_changes_of_one_role_and_different_changes_of_two() -> None:
    changes = [
        _event("changed", "accounts", "Write /a", "x"),
        _event("changed", "accounts", "Write /a", "x"),
        _event("changed", "logs", "Write /a", "y"),
        _event("changed", "accounts", "Restart it"),
        _event("changed", "logs", "Restart it"),
    ]
    assert len(_result(BEGIN, *changes, DONE, check=True).changes) == 5
