"""A lab instance of this suite's own, and a record of what each engine did on fresh machines."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import get_args

import pytest

from readingroom import controls, policy, toolkit
from readingroom.apply import ApplyResult, Engine, MachineResult, Plan, harden, planned, undo
from readingroom.apply.engines import roles_in_order
from readingroom.cli.prepare import policy_path
from readingroom.compile import compile_site
from readingroom.fleet import Site, load_site
from readingroom.lab import Lab

from .witness import Snapshot, look

ENGINES: tuple[Engine, ...] = get_args(Engine)
# Whether every promise has its check is not this suite's matter.
CATALOGUE = controls.load(toolkit.root(), linked=False)
# Those with a promise for machines that the lab starts by itself; a gateway's are looked at in tests/lab/test_gateway.py.
ROLES = sorted(
    role
    for role in roles_in_order(toolkit.root())
    if any({"public", "staff"} & set(control.applies_to) for control in CATALOGUE.of_role(role))
)


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's site, compiled into a folder of this suite's own.

    The roles are copied: an editor that saves a file between two runs would look like an engine that is not idempotent.
    """
    root, copy = toolkit.root(), tmp_path_factory.mktemp("checkout")
    for name in ("roles", "playbooks"):
        shutil.copytree(root / name, copy / name)
    shutil.copy(root / "ansible.cfg", copy)
    site = dataclasses.replace(load_site("lab", root), root=copy, build=copy / "build", ssh_config=lab.ssh_config)
    promise(site)
    return site


def promise(site: Site, change: Callable[[str], str] = lambda text: text) -> None:
    """Compile the lab's policy for the site, after `change`."""
    root, written = toolkit.root(), site.root / "policy.yml"
    written.write_text(change(policy_path("lab", root).read_text()))
    machines = {machine.name: machine.machine_class for machine in site.machines}
    compile_site("lab", policy.load(written, CATALOGUE, root=root, machines=machines), CATALOGUE, site.build)


def plan_of(result: ApplyResult, site: Site) -> Plan:
    """The plan behind a dry run."""
    return planned(result, site, CATALOGUE, complete=True)


def changes_of(outcome: MachineResult, role: str | None = None) -> Counter[str]:
    """What changed, of one role or all; a failed run has no list to compare.

    A file is known by its path: on a fresh machine Ansible announces it by another task than the one that writes it,
    since its own modules refuse to look into folders that are not there yet.
    """
    assert outcome.status == "ok", outcome.message
    whats = [change.what for change in outcome.changes if role in (None, change.role)]
    return Counter(path if (path := what.partition(": ")[2]).startswith("/") else what for what in whats)


@pytest.fixture
def fresh(lab: Lab, site: Site) -> None:
    """Machines as they were found."""
    for machine in site.machines:
        lab.reset(machine.name)
    lab.up()


@dataclasses.dataclass(frozen=True)
class Story:
    """What happened when `engine` hardened fresh machines, and they were given back, step by step."""

    engine: Engine
    before: Mapping[str, Snapshot]
    announced: ApplyResult
    made: ApplyResult
    after: Mapping[str, Snapshot]
    again: ApplyResult
    other_announced: ApplyResult
    undo_announced: ApplyResult
    undone: ApplyResult
    undone_again: ApplyResult
    given_back: Mapping[str, Snapshot]


@pytest.fixture(scope="package", params=ENGINES)
def story(request: pytest.FixtureRequest, lab: Lab, site: Site) -> Story:
    engine: Engine = request.param
    other = next(name for name in ENGINES if name != engine)
    names = [machine.name for machine in site.machines]
    for name in names:
        lab.reset(name)
    lab.up()

    def looks() -> dict[str, Snapshot]:
        return {name: look(lab, name) for name in names}

    return Story(  # in this order
        engine,
        before=looks(),
        announced=harden(site, engine=engine, check=True),
        made=harden(site, engine=engine),
        after=looks(),
        again=harden(site, engine=engine),
        other_announced=harden(site, engine=other, check=True),
        undo_announced=undo(site, check=True),
        undone=undo(site),
        undone_again=undo(site),
        given_back=looks(),
    )
