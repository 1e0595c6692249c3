"""What is recorded of a role follows from its own list, whatever kinds of entries a new role brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from readingroom.apply.managed import managed

FACTS = {"distribution_major_version": "13"}


def _role(tmp_path: Path, manages: dict[str, Any], **more: Any) -> dict[str, Any]:
    folder = tmp_path / "demo"
    (folder / "vars").mkdir(parents=True)
    (folder / "vars" / "main.yml").write_text(yaml.dump({"__demo_manages": manages, **more}))
    return managed(folder, {"demo_on": True}, FACTS, "desk-3")


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


def test_a_condition_that_only_the_run_can_decide_counts_as_met(tmp_path: Path) -> None:
    assert _role(tmp_path, {"files": [{"path": "/etc/a", "when": "__demo_found_out_later"}]})["paths"] == ["/etc/a"]


def test_a_drop_in_tells_of_its_unit(tmp_path: Path) -> None:
    paths = ["/etc/systemd/system/cups.socket.d/x.conf", "/etc/systemd/system/ours.timer",
             "/etc/systemd/system/getty@.service.d/x.conf"]  # fmt: skip
    found = _role(tmp_path, {"files": [{"path": path} for path in paths], "units": [{"name": "cups"}]})
    assert found["units"] == ["cups.service", "cups.socket", "ours.timer"]
