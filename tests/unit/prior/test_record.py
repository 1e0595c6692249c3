"""The record: once per role and thing, whole at any moment, and shared things stay for whoever still needs them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from readingroom.apply.prior import accounts, main, units
from readingroom.apply.prior.store import Record, Store
from readingroom.apply.prior.tools import Problem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="rights are given back by root")
NOTHING: dict[str, Any] = {"paths": [], "trees": [], "packages": [], "units": [], "queues": False, "lines": [],
                           "sysctls": [], "releases": [], "tell": []}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A record in a folder of the test's own, on a machine without systemd."""
    monkeypatch.setattr(units, "run", lambda *argv, may_fail=False: "")
    monkeypatch.setattr(main.queues, "PRINTERS", tmp_path / "no-printers")
    monkeypatch.setattr(accounts.guard, "is_way_in", lambda path: False)
    return Store(tmp_path / "var" / "toolkit" / "prior")


def _managed(*found: Path) -> dict[str, Any]:
    return {**NOTHING, "paths": [str(path) for path in found]}


def _undo(store: Store, role: str) -> main.Undoing:
    undoing = main.Undoing(store, role, check=False)
    undoing.everything()
    return undoing


def test_a_second_run_does_not_record_our_own_work(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "cupsd.conf"
    path.write_text("as found")
    main.record(store, "print", _managed(path))
    path.write_text("ours")
    main.record(store, "print", _managed(path))
    _undo(store, "print")
    assert path.read_text() == "as found"
    assert store.roles() == []


def test_a_thing_that_is_managed_later_is_recorded_then(store: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    main.record(store, "print", _managed(first))
    second.write_text("as found")
    main.record(store, "print", _managed(first, second))
    second.write_text("ours")
    _undo(store, "print")
    assert second.read_text() == "as found"


def test_what_two_roles_manage_stays_until_the_last_lets_go_and_is_then_as_it_was(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "shared.conf"
    path.write_text("as found")
    main.record(store, "logs", _managed(path))
    path.write_text("ours")
    main.record(store, "print", _managed(path))  # by now the machine shows our own work
    _undo(store, "logs")
    assert path.read_text() == "ours"
    _undo(store, "print")
    assert path.read_text() == "as found"


def test_folders_that_did_not_exist_go_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    main.record(store, "print", _managed(path))
    path.parent.mkdir(parents=True)
    path.write_text("ours")
    _undo(store, "print")
    assert not (tmp_path / "a").exists()


def test_what_the_policy_lets_go_of_comes_back_and_the_rest_stays(store: Store, tmp_path: Path) -> None:
    kept, dropped = tmp_path / "d" / "kept", tmp_path / "d" / "dropped"
    main.record(store, "print", _managed(kept, dropped))
    kept.parent.mkdir()
    kept.write_text("ours")
    dropped.write_text("ours")
    said = main.settle(store, "print", _managed(kept), True).said
    assert dropped.exists(), "a dry run changed something"
    assert main.settle(store, "print", _managed(kept), False).said == said == [f"Remove {dropped}"]
    assert kept.exists()
    assert main.settle(store, "print", _managed(kept), False).said == []
    _undo(store, "print")
    assert not (tmp_path / "d").exists()


def test_a_check_says_what_an_undo_does_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    main.record(store, "print", _managed(path))
    path.write_text("ours")
    check = main.Undoing(store, "print", check=True)
    check.everything()
    assert path.exists()
    assert store.roles() == ["print"]
    assert _undo(store, "print").said == check.said


def test_the_record_is_for_root_alone(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("secret")
    main.record(store, "print", _managed(path))
    found = [store.place, *store.place.rglob("*")]
    assert {oct(one.stat().st_mode & 0o777) for one in found} == {"0o700", "0o600"}


@pytest.mark.parametrize("moment", range(1, 12))
def test_a_run_that_is_killed_at_any_moment_leaves_a_record_that_can_be_read(
    store: Store, tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each call that makes something lasting; the next run completes the record."""
    path, calls = tmp_path / "file", 0
    path.write_text("as found")
    real_replace, real_open = Path.replace, os.open

    class Killed(BaseException):
        pass

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise Killed

    def replace(self: Path, target: Any) -> Path:
        count()
        return real_replace(self, target)

    def open_(*arguments: Any, **more: Any) -> int:
        count()
        return real_open(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        patch.setattr(os, "open", open_)
        try:
            main.record(store, "print", _managed(path))
        except Killed:
            assert moment <= 6
    main.record(store, "print", _managed(path))
    path.write_text("ours")
    _undo(store, "print")
    assert path.read_text() == "as found"


def test_an_act_that_was_cut_short_was_never_done(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.changes.write_text(json.dumps({"act": "created", "login": "ben"}) + '\n{"act": "left", "lo')
    assert [act["login"] for act in accounts.acts(record.changes)] == ["ben"]


def test_what_a_role_deletes_where_people_s_data_live_is_not_kept(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "plocate" / "plocate.db"
    index.parent.mkdir()
    index.write_text("/home/patron/letter")
    monkeypatch.setattr(main.paths, "PRIVATE", (f"{index.parent}/",))
    main.record(store, "a", {**NOTHING, "trees": [str(index)]})
    assert not store.role("a").things
    index.unlink()
    index.write_text("made anew")
    _undo(store, "a")
    assert index.read_text() == "made anew"


def test_a_role_s_own_program_gives_back_what_only_it_can_and_may_refuse(store: Store, tmp_path: Path) -> None:
    program = tmp_path / "reset"
    release = {"says": "Give the home back", "argv": [str(program), "release"]}
    managed = {**_managed(program), "releases": [release]}
    main.record(store, "a", managed)
    program.write_text("#!/bin/sh\necho 'a session is open' >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(Problem, match="a session is open"):
        _undo(store, "a")
    assert program.exists(), "what can be asked again later must stay"
    program.write_text(f"#!/bin/sh\necho $1 > {tmp_path}/said\n")
    assert _undo(store, "a").said == ["Give the home back", f"Remove {program}"]
    assert (tmp_path / "said").read_text() == "release\n"
    assert not program.exists()


def test_what_the_library_put_into_the_skeleton_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "readingroom"
    monkeypatch.setattr(main.paths, "SKELETON", top / "skeleton")
    monkeypatch.setattr(main.paths, "OURS", re.compile(re.escape(str(top)) + ".*"))
    main.record(store, "a", _managed(top, top / "skeleton", top / "settings.json"))
    (top / "skeleton").mkdir(parents=True)
    (top / "settings.json").touch()
    (top / "skeleton" / "welcome.txt").write_text("the library's own")
    assert any("something else lies in it" in note for note in _undo(store, "a").notes)
    assert (top / "skeleton" / "welcome.txt").read_text() == "the library's own"
    assert not (top / "settings.json").exists()
