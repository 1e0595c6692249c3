"""Two engines, one truth: what one made, the other finds in order; what a dry run announces is what is then done.

Every claim is checked for each engine, each machine (both Debian releases) and each role that is in `roles/`.
"""

from __future__ import annotations

from collections import Counter

import pytest

from readingroom.apply import ApplyResult

from .conftest import ROLES, Story, changes_of

MACHINES = ("public-1", "staff-1")
pytestmark = pytest.mark.lab
each_machine = pytest.mark.parametrize("machine", MACHINES)


def _changes(result: ApplyResult, machine: str, role: str) -> Counter[str]:
    return changes_of(result.machines[machine], role)


@pytest.mark.parametrize("role", ROLES)
def test_hardening_fresh_machines_changes_something(story: Story, role: str) -> None:
    """Each role on one of them at least: some are for one class of machines alone."""
    done = [_changes(story.made, name, role) for name in MACHINES]
    assert any(done), f"{story.engine}: this role did nothing, so nothing here proves it"


@each_machine
@pytest.mark.parametrize("role", ROLES)
def test_a_dry_run_on_a_fresh_machine_announces_what_is_then_done(story: Story, machine: str, role: str) -> None:
    announced, made = (_changes(result, machine, role) for result in (story.announced, story.made))
    assert {"only announced": announced - made, "only made": made - announced} == {
        "only announced": Counter(),
        "only made": Counter(),
    }


@each_machine
@pytest.mark.parametrize("role", ROLES)
def test_a_second_run_changes_nothing(story: Story, machine: str, role: str) -> None:
    assert _changes(story.again, machine, role) == Counter()


@each_machine
@pytest.mark.parametrize("role", ROLES)
def test_a_dry_run_of_the_other_engine_finds_nothing_to_change(story: Story, machine: str, role: str) -> None:
    assert _changes(story.other_announced, machine, role) == Counter()


@each_machine
def test_no_change_is_without_a_role(story: Story, machine: str) -> None:
    changes = [change for result in (story.made, story.announced) for change in result.machines[machine].changes]
    assert [change.what for change in changes if change.role not in ROLES] == []
