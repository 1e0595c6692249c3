"""How long a job has waited does not depend on what happens to the clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from print_ages import Ages, Clock, read_state, write_state

BOOT = "a-boot"


def test_a_new_thing_is_as_old_as_it_says() -> None:
    assert Ages({}, Clock(1000, 50, BOOT)).of("job 1", 400) == 600


def test_what_was_seen_before_ages_by_the_steady_clock() -> None:
    first = Ages({}, Clock(1000, 50, BOOT))
    first.of("job 1", 1000)
    jumped = Ages(first.as_state(), Clock(999_000, 110, BOOT))
    assert jumped.of("job 1", 1000) == 60


@pytest.mark.parametrize("wall", [999_000, 10])
def test_after_a_jump_a_new_thing_is_no_older_than_the_last_run(wall: float) -> None:
    before = Ages({}, Clock(1000, 50, BOOT)).as_state()
    assert Ages(before, Clock(wall, 110, BOOT)).of("job 2", 1030) == 60


def test_a_time_stamp_in_the_future_does_not_keep_a_thing_for_ever() -> None:
    state = Ages({}, Clock(1000, 50, BOOT))
    assert state.of("job 1", 5000) == 0
    later = Ages(state.as_state(), Clock(4600, 3650, BOOT))
    assert later.of("job 1", 5000) == 3600


def test_the_time_a_machine_was_off_counts() -> None:
    before = Ages({}, Clock(1000, 50, BOOT))
    before.of("job 1", 900)
    assert Ages(before.as_state(), Clock(8200, 20, "next-boot")).of("job 1", 900) == 100 + 7200


def test_after_a_boot_with_the_clock_behind_a_thing_is_not_younger() -> None:
    before = Ages({}, Clock(1000, 50, BOOT))
    before.of("job 1", 900)
    assert Ages(before.as_state(), Clock(5, 20, "next-boot")).of("job 1", 900) == 100


def test_a_number_that_is_used_again_is_a_new_job() -> None:
    before = Ages({}, Clock(9000, 50, BOOT))
    before.of("job 1", 100)
    assert Ages(before.as_state(), Clock(9060, 110, BOOT)).of("job 1", 9050) == 10


def test_what_is_gone_is_forgotten() -> None:
    before = Ages({}, Clock(9000, 50, BOOT))
    before.of("job 1", 100)
    assert Ages(before.as_state(), Clock(9060, 110, BOOT)).as_state()["ages"] == {}


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"wall": "x"}', '{"wall": 1, "steady": null, "boot": "b"}', '{"boot": "b"}']
)
def test_a_state_that_cannot_be_used_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    state = read_state(path)
    assert Ages(state, Clock(1000, 50, "b")).of("job 1", 400) == 600


def test_the_state_survives_the_way_over_the_disk(tmp_path: Path) -> None:
    state = Ages({}, Clock(1000, 50, BOOT))
    state.of("job 1", 900)
    path = tmp_path / "new" / "state.json"
    write_state(path, state.as_state())
    assert read_state(path) == json.loads(json.dumps(state.as_state()))


def test_without_room_for_the_state_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_state(tmp_path / "file" / "state.json", {})
