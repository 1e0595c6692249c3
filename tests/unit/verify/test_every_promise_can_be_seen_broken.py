"""A check that cannot fail proves nothing: every control has a bound test and a scenario that breaks it."""

from __future__ import annotations

from readingroom import controls, toolkit
from readingroom.controls.checks import bound_controls, break_scenarios

ROOT = toolkit.root()
DECLARED = set(controls.load(ROOT, linked=False).controls)


def test_every_control_has_a_check_and_every_check_a_control():
    assert set(bound_controls(ROOT / "tests" / "compliance")) == DECLARED


def test_every_control_has_a_break_scenario_and_every_scenario_a_control():
    assert {scenario.control for scenario in break_scenarios(ROOT / "tests" / "breaks")} == DECLARED


def test_a_scenario_lies_in_the_file_of_the_role_that_mends_it():
    roles = {name: one.role for name, one in controls.load(ROOT, linked=False).controls.items()}
    for scenario in break_scenarios(ROOT / "tests" / "breaks"):
        assert roles[scenario.control] == scenario.role, f"{scenario.place} breaks a promise of another role"
