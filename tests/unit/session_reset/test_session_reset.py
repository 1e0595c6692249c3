"""The marks that tell whether a session is open, and what the program refuses to touch."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest
import session_reset


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(session_reset, "STATE", tmp_path)
    monkeypatch.setattr(session_reset, "OPEN", tmp_path / "open")
    (tmp_path / "open").mkdir()
    return tmp_path / "open"


def test_a_session_is_open_as_long_as_its_process_lives(state: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        (state / str(process.pid)).write_text(session_reset._born(process.pid) or "")
        assert session_reset._in_use()
    assert not session_reset._in_use()
    assert list(state.iterdir()) == []


def test_another_process_with_the_number_of_a_dead_one_does_not_count(state: Path) -> None:
    (state / str(os.getpid())).write_text("1")
    assert not session_reset._in_use()


def test_whoever_holds_the_lock_is_not_waited_for_but_by_pam(state: Path) -> None:
    with session_reset._alone(wait=True), session_reset._alone(wait=False) as second:
        assert not second


@pytest.mark.parametrize(
    ("uid", "home"), [(0, "/root"), (33, "/var/www"), (1004, "/"), (1004, "/home"), (1004, "/home/../etc/x")]
)
def test_an_account_that_is_not_a_persons_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: Path, uid: int, home: str
) -> None:
    settings = tmp_path / "settings.json"
    words = ("login", "home", "programs", "own_programs", "temporary_files", "usb_sticks")
    settings.write_text(json.dumps(dict.fromkeys(words, "x")))
    monkeypatch.setattr(session_reset, "SETTINGS", settings)
    account = pwd.struct_passwd(("x", "x", uid, uid, "", home, "/bin/sh"))
    monkeypatch.setattr(session_reset.pwd, "getpwnam", lambda login: account)
    monkeypatch.setattr(session_reset, "_reset", lambda *args: pytest.fail("it was reset all the same"))
    assert session_reset.main("reset") == 1


def test_only_files_of_the_account_are_removed_from_places_of_all(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    session_reset._remove_owned(tmp_path, os.getuid() + 1)
    assert (tmp_path / "theirs").exists()
    session_reset._remove_owned(tmp_path, os.getuid())
    assert list(tmp_path.iterdir()) == []


def test_emptying_a_folder_follows_no_link(tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    (outside / "kept").write_text("x")
    home.mkdir()
    (home / "link").symlink_to(outside)
    (home / "folder").mkdir()
    (home / "folder" / "link").symlink_to(outside / "kept")
    session_reset._empty_folder(home)
    assert list(home.iterdir()) == []
    assert (outside / "kept").exists()
