"""Which promises have a check and a break scenario, without running any of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from readingroom.controls.checks import bound_checks, bound_controls, break_scenarios
from readingroom.errors import Refused


def test_bound_tests_are_found_and_nothing_else(tmp_path):
    (tmp_path / "test_print.py").write_text(
        "raise SystemExit('was run')\n"
        "@control('a.one')\ndef test_one(): ...\n"
        "@api.control('a.two')\n@pytest.mark.parametrize('x', [1])\ndef test_two(x): ...\n"
        "@control('a.helper')\ndef helper(): ...\n"
        "class TestGroup:\n    @control('a.three')\n    def test_three(self): ...\n"
        "# @control('a.comment')\n"
    )
    (tmp_path / "helper.py").write_text("@control('a.four')\ndef test_four(): ...\n")
    assert bound_controls(tmp_path) == dict.fromkeys(["a.one", "a.two", "a.three"], tmp_path / "test_print.py")
    assert [(check.control, check.line) for check in bound_checks(tmp_path)] == [
        ("a.one", 3), ("a.two", 6), ("a.three", 11),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (:", "not valid Python"),
        ("X = 'a'\n@control(X)\ndef test_x(): ...", "must name its control in plain text"),
        ("@control()\ndef test_x(): ...", "must name its control in plain text"),
    ],
)
def test_a_check_that_cannot_be_read_is_refused_with_its_place(tmp_path, text, said):
    (tmp_path / "test_bad.py").write_text(text)
    with pytest.raises(Refused, match=said) as refused:
        bound_controls(tmp_path)
    assert "test_bad.py:" in str(refused.value)


def test_scenarios_are_read_with_their_places(tmp_path):
    (tmp_path / "log_retention.yml").write_text(
        "- control: log.journal\n  why: somebody raised the limit\n  run: ['echo 1', 'echo 2']\n"
        "- {control: log.logins, why: x, run: [y], on: [staff]}\n"
    )
    first, second = break_scenarios(tmp_path)
    assert (first.control, first.run, first.on, first.role) == (
        "log.journal",
        ("echo 1", "echo 2"),
        (),
        "log_retention",
    )
    assert second.on == ("staff",)
    assert (second.place.line, second.place.column) == (4, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("control: x", "must be a list"),
        ("- {control: a, why: b}", "not whole"),
        ("- {control: a, why: b, run: []}", "not whole"),
        ("- {control: a, why: b, run: echo}", "not whole"),
        ("- {control: a, why: b, run: [c], on: public}", "not whole"),
        ("- {control: a, why: b, run: [c], ons: [public]}", "did you mean on"),
        ("- just words", "not whole"),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(tmp_path, text, said):
    (tmp_path / "print_queue_purge.yml").write_text(text)
    with pytest.raises(Refused) as refused:
        break_scenarios(tmp_path)
    assert said in str(refused.value)


def test_asking_which_checks_exist_loads_neither_pytest_nor_testinfra():
    code = "import sys, readingroom.controls.checks; assert not {'pytest', 'testinfra'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
