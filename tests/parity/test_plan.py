"""The plan is complete: what it announced is what then happened, as the machine's own file system bears witness.

On fresh machines, and on machines that are half hardened or have drifted, for each engine and both Debian releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from readingroom.apply import Engine, Plan, harden
from readingroom.fleet import Site
from readingroom.lab import Lab

from .announced import announced_in_vain, unannounced
from .conftest import ENGINES, ROLES, Story, plan_of
from .witness import Snapshot, changed_paths, look

pytestmark = pytest.mark.lab
MACHINES = ("public-1", "staff-1")

# Somebody was here: each line is a thing that an administrator, an update or a program does to a hardened machine.
DRIFT = """
rm /etc/readingroom/print-purge.json
chmod 0600 /etc/readingroom/log-retention.json
echo '# my own line' >> /etc/cups/cupsd.conf
rm -r /usr/local/lib/readingroom/log_purge
systemctl disable --now readingroom-print-purge.timer
systemctl stop readingroom-log-purge.timer
mkdir -p /etc/systemd/system/readingroom-log-purge.timer.d
echo '[Timer]' > /etc/systemd/system/readingroom-log-purge.timer.d/slower.conf
rm /etc/ssh/sshd_config.d/00-readingroom.conf
useradd --create-home --groups sudo stranger
systemctl daemon-reload
"""


@dataclass(frozen=True)
class Told:
    """A plan, and the machines before and after it was carried out."""

    engine: Engine
    plan: Plan
    before: Mapping[str, Snapshot]
    after: Mapping[str, Snapshot]


def test_nothing_happens_to_a_fresh_machine_that_the_plan_did_not_say(site: Site, story: Story) -> None:
    _assert_complete(Told(story.engine, plan_of(story.announced, site), story.before, story.after))


@pytest.fixture(scope="module", params=ENGINES)
def troubled(request: pytest.FixtureRequest, lab: Lab, site: Site) -> Told:
    """One machine that drifted, one that is half hardened; which is which differs between the engines."""
    engine: Engine = request.param
    drifted, half = MACHINES if engine == "ansible" else MACHINES[::-1]
    for name in MACHINES:
        lab.reset(name)
    lab.up()
    assert harden(site, engine="pyinfra", machines=[drifted]).ok
    assert harden(site, engine="pyinfra", machines=[half], roles=ROLES[:1]).ok
    lab.exec(drifted, ["sh", "-ec", DRIFT])
    announced = harden(site, engine=engine, check=True)
    before = {name: look(lab, name) for name in MACHINES}
    made = harden(site, engine=engine)
    assert made.ok, [machine.message for machine in made.machines.values()]
    return Told(engine, plan_of(announced, site), before, {name: look(lab, name) for name in MACHINES})


def test_nothing_happens_to_a_troubled_machine_that_the_plan_did_not_say(troubled: Told) -> None:
    _assert_complete(troubled)


def _assert_complete(told: Told) -> None:
    for name in MACHINES:
        plan, before, after = told.plan.machines[name], told.before[name], told.after[name]
        assert plan.status == "ok", plan.message
        assert len(changed_paths(before, after)) > len(ROLES), "hardly anything changed, so nothing is proved"
        assert unannounced(plan, before, after) == [], f"{told.engine} on {name}: not announced"
        assert announced_in_vain(plan, before, after) == [], f"{told.engine} on {name}: announced in vain"
