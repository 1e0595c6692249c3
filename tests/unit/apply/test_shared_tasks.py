"""What Ansible's side of every role stands on (playbooks/tasks/): what is as it should be is passed over, all else is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from readingroom import toolkit

ROOT = toolkit.root()
SHARED = ROOT / "playbooks" / "tasks"
LISTS = ("__managed.", "__tried")  # what belongs on the machine, and one file of it that is tried first
CHANGE_NOTHING = ("assert", "debug", "fail", "import_tasks", "include_tasks", "meta", "set_fact", "wait_for_connection")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the role gives files to root, which only root may do")


class Machine:
    """This computer, as far as the test role goes: a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "machine", folder
        (self.root / "old-folder" / "deep").mkdir(parents=True)
        shutil.copytree(Path(__file__).parent / "roles" / "demo", folder / "roles" / "demo")
        shutil.copytree(SHARED.parent, folder / "playbooks")
        play = {"name": "Demo", "hosts": "all", "gather_facts": False, "roles": ["demo"]}
        (folder / "playbooks" / "demo.yml").write_text(yaml.dump([play]))

    def changes(self, *, check: bool = False, **variables: Any) -> list[tuple[str, str]]:
        """What Ansible changes, or announces: each as what it does and to what; a handler by its name."""
        values = {"demo_root": str(self.root), "demo_seconds": 120, "demo_never": False}
        values["ansible_python_interpreter"] = sys.executable
        with (self._folder / "events").open("w+") as events:
            subprocess.run(
                [
                    Path(sys.executable).with_name("ansible-playbook"), self._folder / "playbooks" / "demo.yml",
                    "--inventory", "desk-3,", "--connection", "local", "--extra-vars", json.dumps(values | variables),
                    *(["--check", "--diff"] if check else []),
                ],
                check=False, capture_output=True, pass_fds=[events.fileno()],
                env={
                    **os.environ,
                    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                    "ANSIBLE_ROLES_PATH": str(self._folder / "roles"),
                    "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "src/readingroom/apply/ansible_callback"),
                    "ANSIBLE_STDOUT_CALLBACK": "readingroom_events",
                    "READINGROOM_EVENTS_FD": str(events.fileno()),
                },
            )  # fmt: skip
            events.seek(0)
            said = [json.loads(line) for line in events]
        assert said[-1]["kind"] == "done", said[-1]
        made = [event for event in said if event["kind"] == "changed"]
        assert {event["role"] for event in made} <= {"demo"}
        return [(event["act"], event["subject"].replace(str(self.root), "…") or event["what"]) for event in made]

    @property
    def log(self) -> list[str]:
        path = self.root / "log"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


ALL = [
    ("directory", "…/conf.d"), ("write", "…/conf.d/demo.conf"), ("write", "…/script"), ("remove", "…/old-folder"),
    ("step", "Reload demo"), ("step", "Restart demo"),
]  # fmt: skip
DRIFT = {
    "chmod 644 script; chmod 777 conf.d; touch old": [
        ("directory", "…/conf.d"), ("write", "…/script"), ("remove", "…/old"),
    ],
    "echo more >> conf.d/demo.conf; rm script; ln -s /etc/hostname script": [
        ("write", "…/conf.d/demo.conf"), ("write", "…/script"), ("step", "Restart demo"),
    ],
}  # fmt: skip


def test_drift_is_announced_and_mended_and_nothing_else(machine: Machine) -> None:
    assert machine.changes(check=True) == ALL
    assert sorted(path.name for path in machine.root.iterdir()) == ["old-folder"]
    assert machine.changes() == ALL
    assert (machine.root / "conf.d" / "demo.conf").read_text() == "keep=2\n"
    assert (machine.root / "script").stat().st_mode & 0o777 == 0o755
    assert machine.changes() == []
    for drift, mended in DRIFT.items():
        subprocess.run(["sh", "-c", drift], cwd=machine.root, check=True)
        assert machine.changes(check=True) == mended
        assert machine.changes() == mended
    assert machine.log == ["reload", "restart", "restart"]


def test_a_folder_may_be_a_link_and_what_does_not_hold_is_left_alone(machine: Machine) -> None:
    (machine.root / "elsewhere").mkdir(mode=0o750)
    (machine.root / "conf.d").symlink_to("elsewhere")
    (machine.root / "never").write_text("of somebody else")
    assert ("write", "…/conf.d/demo.conf") in machine.changes()
    assert machine.changes(check=True) == []
    assert (machine.root / "never").read_text() == "of somebody else"
    assert machine.changes(check=True, demo_never=True) == [("write", "…/never")]


def _tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(SHARED.glob("*.yml")):
        for task in _unfolded(yaml.safe_load(file.read_text(encoding="utf-8"))):
            yield f"{file.name}, {task['name']}", task


def _unfolded(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        if "block" in task:
            yield from _unfolded([*task["block"], *task.get("rescue", ())])
        else:
            yield task


def test_the_shared_tasks_change_nothing_but_what_a_list_names() -> None:
    for where, task in _tasks():
        module = next(word for word in task if word.startswith("ansible.") or word == "managed_paths")
        short, asked = module.rpartition(".")[2], task[module]
        if short == "managed_paths":
            assert any(one in str([asked["entries"], task.get("vars")]) for one in LISTS), where
        elif short == "command":
            assert task["changed_when"] is False, where
        else:
            assert short in ("apt", "systemd_service", *CHANGE_NOTHING), where
