"""A role changes no path that its list does not name: what is not in the list is neither planned, recorded nor given back.

Read from both engines' steps. What a role's own program does to files of others stands in `edits` or `data`; that these
are complete is for the lab to say (tests/parity/test_plan.py and test_given_back.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from readingroom import controls, toolkit
from readingroom.apply.serving import RoleList

ROOT = toolkit.root()
CATALOGUE = controls.load(ROOT, linked=False)

WRITES = {"copy": "dest", "template": "dest", "file": "path", "replace": "path"}  # module: its word for what it writes
RUNS = ("command",)  # may write whatever its words name
WRITES_NO_PATH = ("apt", "assert", "debug", "import_tasks", "include_tasks", "meta", "service", "set_fact", "slurp", "stat",
                  "systemd_service", "wait_for_connection")  # fmt: skip
# A path whose change outlives a restart; what lies in the folders for programs is run, not written.
PATH = re.compile(r"(?<![\w.}])/(?:boot|etc|home|opt|root|srv|usr|var)/[^\s'\"`,;:()|>]+")
PROGRAM = re.compile(r"/usr/(s?bin|lib(exec)?)/")


def strays(role: Path) -> list[str]:
    """The paths that the steps of a role name and its list does not, each with where it stands."""
    known = RoleList(role, CATALOGUE)
    listed = set(_listed(known))
    named = [*_of_tasks(known), *_of_deploy(known)]
    return sorted(f"{where}: {path}" for where, path in named if not any(_covers(one, path) for one in listed))


def _listed(known: RoleList) -> Iterator[str]:
    for kind, entries in known.manages.items():
        for entry in entries if isinstance(entries, list) else ():
            words = known.worked_out(str(entry.get("path", "") if isinstance(entry, Mapping) else entry))
            for path in PATH.findall(words) if kind == "data" else [words]:
                yield from (path, f"{path}/*") if kind == "data" else (path,)
    for release in known.manages.get("releases") or ():
        yield release["argv"][0]


def _covers(listed: str, path: str) -> bool:
    """Is `path` the listed one, one that the listed pattern means, or a folder on the way to it?"""
    path = path.rstrip("/")
    return listed != "*" and (fnmatchcase(path, listed) or listed == path or listed.startswith(f"{path}/"))


def _of_tasks(known: RoleList) -> Iterator[tuple[str, str]]:
    for file in sorted([*known.path.glob("tasks/*.yml"), *known.path.glob("handlers/*.yml")]):
        for task in yaml.safe_load(file.read_text(encoding="utf-8")) or ():
            where = f"{file.relative_to(known.path)}, {task['name']}"
            module = next((word for word in task if word.startswith("ansible.builtin.")), "no module")
            short = module.removeprefix("ansible.builtin.")
            if short in WRITES:
                target = task[module][WRITES[short]]
                own = target == "{{ item.path }}" and _loops_over_the_list(task, known)
                if not own and not target.startswith("/run/"):
                    yield where, known.worked_out(target)
            elif short in RUNS and task.get("changed_when") is not False:
                yield from ((where, path) for path in _paths_in(known.worked_out(str(task[module]))))
            elif short not in (*RUNS, *WRITES_NO_PATH):
                yield where, f"whatever {module} writes"


def _loops_over_the_list(task: Mapping[str, Any], known: RoleList) -> bool:
    return f"__{known.name}_manages." in str(task.get("loop", ""))


def _of_deploy(known: RoleList) -> Iterator[tuple[str, str]]:
    tree = ast.parse((known.path / "deploy.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        where = f"deploy.py, line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((where, path) for path in _paths_in(node.value))
        elif isinstance(node, ast.Call) and _writes_what_it_found_out(node):
            yield where, "whatever role.write writes"


def _writes_what_it_found_out(call: ast.Call) -> bool:
    named = call.args and isinstance(call.args[0], ast.Constant)
    return isinstance(call.func, ast.Attribute) and call.func.attr == "write" and not named


def _paths_in(text: str) -> list[str]:
    found = [path.rstrip(".]}") for path in PATH.findall(text)]
    return [path for path in found if not PROGRAM.match(path)]


@pytest.mark.parametrize("role", CATALOGUE.roles)
def test_a_role_writes_nothing_that_its_list_does_not_name(role: str) -> None:
    assert strays(ROOT / "roles" / role) == []


TASKS = {
    "a file of its own": "ansible.builtin.copy: {content: x, dest: /etc/motd}",
    "a file that lies elsewhere": "ansible.builtin.template: {src: a.j2, dest: '/etc/{{ item }}'}\n  loop: [motd]",
    "a list of its own": "ansible.builtin.file: {path: '{{ item.path }}', state: absent}\n  loop: '{{ __demo_own }}'",
    "a line in a file of others": "ansible.builtin.replace: {path: /etc/motd, regexp: a, replace: b}",
    "a command": "ansible.builtin.command: {argv: [sed, -i, s/a/b/, /etc/motd]}",
    "a module nobody has thought of": "ansible.builtin.lineinfile: {path: /etc/motd, line: x}",
}
SCRIPTS = {
    "a script": "role.script('Say it', 'echo hello > /etc/motd')",
    "a script with a value in it": "role.script('Say it', f'echo {role[\"demo\"]} > /etc/motd')",
    "a file": "role.write('/etc/motd', 'hello', '0644')",
    "a file found out on the way": "role.write(path, 'hello', '0644')",
}


def _demo(tmp_path: Path, tasks: str, deploy: str, *listed: str) -> Path:
    role = tmp_path / "demo"
    for folder in ("tasks", "vars"):
        (role / folder).mkdir(parents=True)
    (role / "tasks" / "main.yml").write_text(f"- name: Do it\n  {tasks}\n" if tasks else "[]")
    (role / "deploy.py").write_text(deploy)
    manages = {"files": [{"path": path} for path in listed], "data": ["letters older than a day, in /var/mail"]}
    (role / "vars" / "main.yml").write_text(yaml.dump({"__demo_manages": manages}))
    return role


@pytest.mark.parametrize("tasks", TASKS.values(), ids=TASKS)
def test_a_task_that_writes_something_else_is_found(tmp_path: Path, tasks: str) -> None:
    assert strays(_demo(tmp_path, tasks, ""))


@pytest.mark.parametrize("deploy", SCRIPTS.values(), ids=SCRIPTS)
def test_an_operation_that_writes_something_else_is_found(tmp_path: Path, deploy: str) -> None:
    assert strays(_demo(tmp_path, "", deploy))


def test_what_the_list_names_may_be_written(tmp_path: Path) -> None:
    task = "ansible.builtin.command: {argv: [sed, -i, s/a/b/, /etc/motd]}"
    deploy = "role.script('Delete letters', 'find /var/mail -delete && cat /etc/motd | /usr/bin/wall')"
    assert strays(_demo(tmp_path, task, deploy, "/etc/motd")) == []
