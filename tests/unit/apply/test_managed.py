"""What is recorded of a role follows from its own list, whatever kinds of entries a new role brings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from readingroom.apply.managed import managed
from readingroom.errors import ReadingRoomError

LOOK = """
import json, sys
asked = json.load(sys.stdin)
print(json.dumps({"uid": "1002", "login": asked["login"], "desktop": False}))
"""
FACTS = {"distribution_major_version": "13"}


def _role(tmp_path: Path, manages: dict[str, Any], **more: Any) -> dict[str, Any]:
    folder = tmp_path / "demo"
    (folder / "vars").mkdir(parents=True)
    (folder / "vars" / "main.yml").write_text(yaml.dump({"__demo_manages": manages, **more}))
    (folder / "files").mkdir()
    (folder / "files" / "look.py").write_text(LOOK)
    return managed(folder, {"demo_on": True}, FACTS, "desk-3", _here)


def _here(script: str) -> str:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout


def test_every_entry_with_a_path_counts_whatever_list_it_stands_in(tmp_path: Path) -> None:
    found = _role(tmp_path, {
        "files": [{"path": "/etc/a"}], "links": [{"path": "/etc/b", "target": "c"}], "absent": ["/etc/d"],
        "data": ["/var/log/x"], "edits": ["/etc/sudoers.d/*"], "accounts": [],
    })  # fmt: skip
    assert found["paths"] == ["/etc/a", "/etc/b"]
    assert found["trees"] == ["/etc/d"]


def test_an_entry_whose_condition_does_not_hold_is_not_recorded(tmp_path: Path) -> None:
    files = [{"path": "/etc/on", "when": "demo_on"}, {"path": "/etc/off", "when": "__demo_off"},
             {"path": "/etc/old", "when": "ansible_facts.distribution_major_version | int < 13"}]  # fmt: skip
    assert _role(tmp_path, {"files": files}, __demo_off="{{ not demo_on }}")["paths"] == ["/etc/on"]


def test_what_only_the_machine_knows_is_asked_of_it_before_anything_is_recorded(tmp_path: Path) -> None:
    files = [{"path": "/etc/user@{{ __demo_found.uid }}.d/{{ __demo_found.login }}"},
             {"path": "/etc/desktop", "when": "__demo_found.desktop"}]  # fmt: skip
    look = {"program": "look.py", "asked": {"login": "{{ 'patron' if demo_on else '' }}"}}
    assert _role(tmp_path, {"files": files}, __demo_look=look)["paths"] == ["/etc/user@1002.d/patron"]


def test_a_look_without_an_answer_stops_before_anything_is_changed(tmp_path: Path) -> None:
    with pytest.raises(ReadingRoomError, match="got no answer"):
        _role(tmp_path, {"files": []}, __demo_look={"program": "look.py", "asked": []})


def test_a_condition_that_cannot_be_decided_stops_before_anything_is_changed(tmp_path: Path) -> None:
    with pytest.raises(ReadingRoomError, match="cannot decide"):
        _role(tmp_path, {"files": [{"path": "/etc/a", "when": "__demo_found_out_later"}]})


def test_lines_in_files_of_others_are_no_files_of_ours(tmp_path: Path) -> None:
    found = _role(tmp_path, {"lines": [{"path": "/etc/pam.d/*"}, {"path": "/etc/off", "when": "not demo_on"}]})
    assert (found["lines"], found["paths"]) == (["/etc/pam.d/*"], [])


def test_a_drop_in_tells_of_its_unit(tmp_path: Path) -> None:
    paths = ["/etc/systemd/system/cups.socket.d/x.conf", "/etc/systemd/system/ours.timer",
             "/etc/systemd/system/getty@.service.d/x.conf"]  # fmt: skip
    found = _role(tmp_path, {"files": [{"path": path} for path in paths], "units": [{"name": "cups"}]})
    assert found["units"] == ["cups.service", "cups.socket", "ours.timer"]
