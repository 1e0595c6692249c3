"""A library's machines, hardened as a new user does it, once for all tests that need them so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import faults
from checkout import fresh_lab
from desk import Desk
from library import LOOK, MACHINES, FirstDay, Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with fresh_lab("library", MACHINES) as lab:
        library = Library(lab, tmp_path_factory.mktemp("library"))
        library.furnish({"public-1": "public", "staff-1": "staff"})
        yield library


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
    with Desk.fresh(tmp_path_factory.mktemp("library")) as desk:
        yield desk


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What became of each fault, when all are tried."""
    reports = [one for how in ("passed", "failed") for one in terminalreporter.stats.get(how, [])]
    if tried := faults.table(pair for one in reports for pair in one.user_properties):
        terminalreporter.write_line(tried)
