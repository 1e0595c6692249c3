"""A lab instance of this suite's own, and a record of what each engine did on fresh machines."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest

from readingroom import controls, policy, toolkit
from readingroom.apply import ApplyResult, Engine, Plan, harden, planned
from readingroom.apply.engines import roles_in_order
from readingroom.cli.prepare import policy_path
from readingroom.compile import compile_site
from readingroom.fleet import Site, load_site
from readingroom.lab import Lab

from .witness import Snapshot, look

ENGINES: tuple[Engine, ...] = get_args(Engine)
ROLES = sorted(roles_in_order(toolkit.root()))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    missing = Lab.missing_requirements()
    if missing:
        pytest.skip(f"the lab cannot run here: {'; '.join(missing)}")
    before = os.environ.get("READINGROOM_LAB")
    os.environ["READINGROOM_LAB"] = "parity"
    lab = Lab.current()
    lab.up()
    yield lab
    lab.destroy()
    if before is None:
        del os.environ["READINGROOM_LAB"]
    else:
        os.environ["READINGROOM_LAB"] = before


@pytest.fixture(scope="session")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's site, compiled into a folder of this suite's own.

    The roles are copied: an editor that saves a file between two runs would look like an engine that is not idempotent.
    """
    root, copy = toolkit.root(), tmp_path_factory.mktemp("checkout")
    for name in ("roles", "playbooks"):
        shutil.copytree(root / name, copy / name)
    shutil.copy(root / "ansible.cfg", copy)
    site = dataclasses.replace(load_site("lab", root), build=copy / "build", ssh_config=lab.ssh_config)
    catalogue = _catalogue()
    machines = {machine.name: machine.machine_class for machine in site.machines}
    compile_site(
        "lab", policy.load(policy_path("lab", root), catalogue, root=root, machines=machines), catalogue, site.build
    )
    return dataclasses.replace(site, root=copy)


def _catalogue() -> controls.Catalogue:
    return controls.load(toolkit.root(), linked=False)  # whether every promise has its check is not this suite's matter


def plan_of(result: ApplyResult, site: Site) -> Plan:
    """The plan behind a dry run."""
    return planned(result, site, _catalogue(), complete=True)


@pytest.fixture
def fresh(lab: Lab, site: Site) -> None:
    """Machines as they were found."""
    for machine in site.machines:
        lab.reset(machine.name)
    lab.up()


@dataclasses.dataclass(frozen=True)
class Story:
    """What happened when `engine` hardened fresh machines, step by step."""

    engine: Engine
    announced: ApplyResult
    before: Mapping[str, Snapshot]
    made: ApplyResult
    after: Mapping[str, Snapshot]
    again: ApplyResult
    announced_again: ApplyResult
    other_announced: ApplyResult


@pytest.fixture(scope="session", params=ENGINES)
def story(request: pytest.FixtureRequest, lab: Lab, site: Site) -> Story:
    engine: Engine = request.param
    other = next(name for name in ENGINES if name != engine)
    for machine in site.machines:
        lab.reset(machine.name)
    lab.up()
    return Story(
        engine,
        announced=harden(site, engine=engine, check=True),
        before={machine.name: look(lab, machine.name) for machine in site.machines},
        made=harden(site, engine=engine),
        after={machine.name: look(lab, machine.name) for machine in site.machines},
        again=harden(site, engine=engine),
        announced_again=harden(site, engine=engine, check=True),
        other_announced=harden(site, engine=other, check=True),
    )
