"""A library's machines, hardened as a new user does it, once for all tests that need them so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from desk import Desk
from library import INSTANCE, LOOK, MACHINES, FirstDay, Library
from readingroom import toolkit
from readingroom.lab import Lab


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    lab = Lab(INSTANCE)
    lab.destroy()
    lab.up(MACHINES)
    home = tmp_path_factory.mktemp("library")
    for name in ("roles", "playbooks", "tests", "ansible.cfg"):
        (home / name).symlink_to(toolkit.root() / name)
    shutil.copytree(toolkit.root() / "policies", home / "policies")
    shutil.copy(home / "policies" / "lab.yml", home / "policies" / "elm.yml")
    inventory = home / "inventories" / "elm" / "hosts.yml"
    inventory.parent.mkdir(parents=True)
    shutil.copy(toolkit.root() / "inventories" / "lab" / "hosts.yml", inventory)
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "config").symlink_to(lab.ssh_config)
    yield Library(lab, home)
    lab.destroy()


@pytest.fixture(scope="session")
def first_day(library: Library) -> FirstDay:
    def looks() -> list[str]:
        return [library.lab.exec(name, LOOK, check=False).stdout for name in MACHINES]

    before = looks()
    planned = library.readingroom("plan", "elm")
    touched = looks() != before
    return FirstDay(library, planned, touched, library.readingroom("harden", "elm"), library.evidence())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A machine of the module's own, as found."""
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    desk = Desk.fresh(tmp_path_factory.mktemp("library"))
    yield desk
    desk.lab.destroy()
