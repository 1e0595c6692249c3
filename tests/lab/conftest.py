"""A library's machines, hardened as a new user does it, once for all tests that need them so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from desk import Desk
from faults import Faults
from library import INSTANCE, LOOK, MACHINES, FirstDay, Library
from readingroom.lab import Lab


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    lab = Lab(INSTANCE)
    lab.destroy()
    lab.up(MACHINES)
    library = Library(lab, tmp_path_factory.mktemp("library"))
    library.furnish({"public-1": "public", "staff-1": "staff"})
    yield library
    lab.destroy()


@pytest.fixture(scope="session")
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """What became of each fault, printed when all are tried."""
    found = Faults()
    yield found
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(found)


@pytest.fixture(scope="session")
def first_day(library: Library) -> FirstDay:
    def looks() -> list[str]:
        return [library.lab.exec(name, LOOK, check=False).stdout for name in MACHINES]

    before = looks()
    planned = library.types("plan", "elm")
    touched = looks() != before
    return FirstDay(library, planned, touched, library.types("harden", "elm"), library.evidence())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A machine of the module's own, as found."""
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    desk = Desk.fresh(tmp_path_factory.mktemp("library"))
    yield desk
    desk.lab.destroy()
