"""What is tried comes back by itself, and only one can end a trial. Timers are systemd's, and are tried in the lab."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import trial
from trial import Failed, Trial


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What systemd would have been asked for; everything else runs."""
    asked: list[list[str]] = []
    real = trial._run

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        if argv[0].startswith("system"):
            asked.append(list(argv))
            return subprocess.CompletedProcess(argv, 0, "", "")
        return real(*argv)

    monkeypatch.setattr(trial, "_run", run)
    monkeypatch.setattr(trial, "TRIALS", tmp_path / "run")
    monkeypatch.setattr(trial, "LASTING", tmp_path / "lasting")
    monkeypatch.setattr(trial, "UNITS", tmp_path / "units")
    (tmp_path / "units").mkdir()
    return asked


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """A trial whose running system is a file."""
    for name in ("kept", "running"):
        (tmp_path / name).write_text("old\n")
    running = tmp_path / "running"
    return {
        "name": "demo", "seconds": 60, "file": str(tmp_path / "kept"), "mode": "0640", "content": "new\n",
        "check": 'grep -q new "$FILE"', "save": f'cp {running} "$FOLDER/before"', "load": f'cp "$FILE" {running}',
        "restore": f'cp "$FOLDER/before" {running}',
    }  # fmt: skip


def state(tmp_path: Path) -> tuple[str, str, list[str]]:
    """What is at work, what the next start would find, and what lies beside it."""
    beside = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("."))
    return (tmp_path / "running").read_text().strip(), (tmp_path / "kept").read_text().strip(), beside


@pytest.mark.usefixtures("timers")
def test_what_is_kept_takes_its_place_in_one_step(asked: dict[str, Any], tmp_path: Path) -> None:
    Trial(asked).begin()
    assert state(tmp_path) == ("new", "old", [".kept.trial"])
    Trial(asked).keep()
    assert state(tmp_path) == ("new", "new", [])
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "run" / "demo").exists()


@pytest.mark.usefixtures("timers")
def test_the_timer_s_script_brings_the_old_state_back_and_nobody_keeps_after_it(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    Trial(asked).begin()
    subprocess.run(["sh", str(tmp_path / "run" / "demo" / "restore")], check=True)
    assert state(tmp_path) == ("old", "old", [])
    with pytest.raises(Failed, match="taken them back"):
        Trial(asked).keep()
    assert state(tmp_path) == ("old", "old", [])


@pytest.mark.usefixtures("timers")
def test_the_timer_s_script_does_nothing_to_what_was_kept(asked: dict[str, Any], tmp_path: Path) -> None:
    Trial(asked).begin()
    script = (tmp_path / "run" / "demo" / "restore").read_text()
    Trial(asked).keep()
    subprocess.run(["sh", "-c", script], check=True)
    assert state(tmp_path) == ("new", "new", [])


@pytest.mark.usefixtures("timers")
def test_a_trial_that_nobody_ended_is_taken_back_before_the_next(asked: dict[str, Any], tmp_path: Path) -> None:
    Trial(asked).begin()
    Trial({**asked, "content": "newer, and new\n"}).begin()
    assert (tmp_path / "run" / "demo" / "before").read_text() == "old\n"


@pytest.mark.parametrize("step", ["check", "save"])
def test_a_step_that_fails_before_the_timer_leaves_nothing(
    timers: list[list[str]], asked: dict[str, Any], tmp_path: Path, step: str
) -> None:
    with pytest.raises(Failed, match=step):
        Trial({**asked, step: "false"}).begin()
    assert state(tmp_path) == ("old", "old", [])
    assert not any(argv[0] == "systemd-run" for argv in timers)


@pytest.mark.usefixtures("timers")
def test_new_settings_that_cannot_be_loaded_are_taken_back(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Failed, match="load"):
        Trial({**asked, "load": f"{asked['load']}; false"}).begin()
    assert state(tmp_path) == ("old", "old", [])


@pytest.mark.usefixtures("timers")
def test_a_way_back_that_fails_does_not_hide_what_went_wrong_first(asked: dict[str, Any]) -> None:
    with pytest.raises(Failed, match=r"“load” failed: no card.*“restore” failed: no way back"):
        Trial({**asked, "load": "echo no card >&2; false", "restore": "echo no way back >&2; false"}).begin()


def test_without_a_timer_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, timers: list[list[str]], asked: dict[str, Any], tmp_path: Path
) -> None:
    run = trial._run
    refuse = subprocess.CompletedProcess([], 1, "", "no systemd here\n")
    monkeypatch.setattr(trial, "_run", lambda *argv: refuse if argv[0] == "systemd-run" else run(*argv))
    with pytest.raises(Failed, match="no systemd here"):
        Trial(asked).begin()
    assert state(tmp_path) == ("old", "old", [])


@pytest.mark.usefixtures("timers")
def test_a_place_that_cannot_be_written_is_said_before_anything_changes(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Failed, match="could not be written"):
        Trial({**asked, "file": str(tmp_path / "missing" / "kept")}).begin()
    assert state(tmp_path) == ("old", "old", [])


def test_the_timer_is_as_long_as_the_role_says(timers: list[list[str]], asked: dict[str, Any]) -> None:
    Trial(asked).begin()
    armed = next(argv for argv in timers if argv[0] == "systemd-run")
    assert "--on-active=60" in armed


# What can only be tried by changing it for good


@pytest.fixture
def lasting(asked: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A trial of a file that is changed in its place, as logins are."""
    kept = tmp_path / "kept"
    return {
        "name": "demo", "seconds": 60, "lasting": True,
        "save": f'cp {kept} "$FOLDER/before"', "restore": f'cp "$FOLDER/before" {kept}',
    }  # fmt: skip


def next_start(tmp_path: Path) -> None:
    """What systemd does at the next start, while a trial is on."""
    for wanted in (tmp_path / "units").glob("*.wants/*"):
        program = next(line for line in wanted.read_text().splitlines() if line.startswith("ExecStart="))
        subprocess.run(program.partition("=")[2].split(), check=True)


def left_behind(tmp_path: Path) -> list[Path]:
    return [path for part in ("units", "lasting") for path in (tmp_path / part).rglob("*") if not path.is_dir()]


@pytest.mark.usefixtures("timers")
def test_a_change_that_lasts_stays_when_it_is_kept(lasting: dict[str, Any], tmp_path: Path) -> None:
    Trial(lasting).begin()
    (tmp_path / "kept").write_text("new\n")
    Trial(lasting).keep()
    next_start(tmp_path)
    assert (tmp_path / "kept").read_text() == "new\n"
    assert not left_behind(tmp_path)


@pytest.mark.usefixtures("timers")
def test_the_next_start_gives_back_a_change_that_nobody_kept(lasting: dict[str, Any], tmp_path: Path) -> None:
    Trial(lasting).begin()
    (tmp_path / "kept").write_text("new\n")
    next_start(tmp_path)
    assert (tmp_path / "kept").read_text() == "old\n"
    assert not left_behind(tmp_path)
    with pytest.raises(Failed, match="taken them back"):
        Trial(lasting).keep()


@pytest.mark.usefixtures("timers")
def test_a_way_back_that_was_cut_short_is_gone_again(lasting: dict[str, Any], tmp_path: Path) -> None:
    Trial(lasting).begin()
    (tmp_path / "kept").write_text("half\n")
    (tmp_path / "lasting" / "demo" / "armed").rename(tmp_path / "lasting" / "demo" / "back")
    next_start(tmp_path)
    assert (tmp_path / "kept").read_text() == "old\n"
    assert not left_behind(tmp_path)


@pytest.mark.usefixtures("timers")
def test_a_power_cut_just_after_it_was_kept_gives_nothing_back(lasting: dict[str, Any], tmp_path: Path) -> None:
    Trial(lasting).begin()
    (tmp_path / "kept").write_text("new\n")
    (tmp_path / "lasting" / "demo" / "armed").rename(tmp_path / "lasting" / "demo" / "kept")
    next_start(tmp_path)
    assert (tmp_path / "kept").read_text() == "new\n"
    Trial(lasting).back()
    assert not left_behind(tmp_path)
