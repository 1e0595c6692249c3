"""Both engines write the same bytes: Ansible itself is the judge of what our rendering gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from readingroom.apply.rendering import RenderError, defined, holds, render_file, resolve

HERE = Path(__file__).parent
TEMPLATES = sorted((HERE / "templates").glob("*.j2"))
VALUES: dict[str, Any] = yaml.safe_load((HERE / "values.yml").read_text(encoding="utf-8"))

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact: {distribution_major_version: "13", cacheable: true}
    - ansible.builtin.template: {src: "{{ item }}", dest: "{{ out }}/{{ item | basename }}", mode: "0600"}
      loop: "{{ query('ansible.builtin.fileglob', templates + '/*.j2') }}"
    - ansible.builtin.copy:
        content: "{{ dict(names | zip(names | map('extract', vars))) | to_json }}"
        dest: "{{ out }}/values.json"
        mode: "0600"
"""


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every template as Ansible renders it, and the values as Ansible works them out."""
    out = tmp_path_factory.mktemp("ansible")
    values = {key: value for key, value in VALUES.items() if key != "ansible_facts"}
    (out / "vars.yml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    (out / "play.yml").write_text(PLAY, encoding="utf-8")
    extra = {
        "out": str(out),
        "templates": str(HERE / "templates"),
        "names": sorted(values),
        "ansible_python_interpreter": sys.executable,
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(out / "play.yml"),
         "-e", f"@{out / 'vars.yml'}", "-e", json.dumps(extra)],
        capture_output=True, text=True, check=False, cwd=out, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_renders_to_the_same_bytes(ansible: Path, template: Path) -> None:
    assert render_file(template, resolve(VALUES)).encode() == (ansible / template.name).read_bytes()


def test_role_variables_are_worked_out_to_the_same_values(ansible: Path) -> None:
    expected = json.loads((ansible / "values.json").read_text(encoding="utf-8"))
    ours = {key: value for key, value in resolve(VALUES).items() if key != "ansible_facts"}
    assert ours == expected
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in expected.items()}


def test_a_variable_defined_by_way_of_itself_is_an_error_that_names_the_way() -> None:
    with pytest.raises(RenderError, match="a → b"):
        defined(resolve({"a": "{{ b }}", "b": "{{ a }}"})["a"])


@pytest.mark.parametrize("text", ["{{ unknown }}", "{{ 1 | no_such_filter }}", "{% if %}", "{{ x.y.z }}"])
def test_what_cannot_be_worked_out_is_an_error_for_who_uses_it(text: str) -> None:
    values = resolve({"broken": text, "x": {}, "by_way_of": "{{ broken }}", "fine": 1})
    assert values["fine"] == 1
    for name in ("broken", "by_way_of"):
        with pytest.raises(RenderError, match=f"role variable {name}"):
            defined(values[name])


def test_a_template_that_wants_an_ansible_filter_is_refused_with_its_line(tmp_path: Path) -> None:
    template = tmp_path / "t.j2"
    template.write_text("one\n{{ seconds | to_nice_yaml }}\n")
    with pytest.raises(RenderError, match=r"t\.j2:2: .*to_nice_yaml"):
        render_file(template, {"seconds": 1})


def test_a_changed_template_is_read_afresh(tmp_path: Path) -> None:
    template = tmp_path / "t.j2"
    for text in ("first", "second"):
        template.write_text(text)
        assert render_file(template, {}) == text


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [(True, True), (False, False), ("on", True), ("not on", False), ("major >= 13 and on", True), ("off", False)],
)
def test_a_condition_is_a_variable_or_an_expression(condition: str | bool, verdict: bool) -> None:
    assert holds(condition, {"on": True, "off": False, "major": 13}) is verdict


def test_a_condition_on_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(RenderError, match="no_such"):
        holds("no_such", {})
