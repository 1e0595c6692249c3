"""Every promise can be broken, and is seen to be: break → exactly that promise is red → harden → green again.

The scenarios of `tests/breaks/` are played on live machines; `-k` picks some by control.
The first of each promise is played, on one machine of those that make it, which is what CI has time for;
READINGROOM_BREAKS=all plays all on all (`make breaks`), and `thorough` plays them so that nothing stays open (see
`breaking.py`), at twice the time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from functools import partial

import pytest

from breaking import Bench
from library import FirstDay, Library
from readingroom import toolkit, verify
from readingroom.cli.prepare import prepare
from readingroom.compile import compile_site
from readingroom.controls.checks import Scenario, break_scenarios
from readingroom.fleet import Site

pytestmark = pytest.mark.lab
DEPTH = os.environ.get("READINGROOM_BREAKS", "first")
# A gateway's are played in test_gateway.py: the library's two machines have no promise of that kind.
ALL = tuple(
    scenario
    for scenario in break_scenarios(toolkit.root() / "tests" / "breaks")
    if not scenario.on or {"public", "staff"} & set(scenario.on)
)
FIRST = list({scenario.control: scenario for scenario in reversed(ALL)}.values())
SCENARIOS = FIRST[::-1] if DEPTH == "first" else ALL


@pytest.fixture(scope="module")
def site(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's site, compiled into a folder of this suite's own."""
    prepared = prepare("lab")
    site = dataclasses.replace(
        prepared.site, build=tmp_path_factory.mktemp("build"), ssh_config=library.lab.ssh_config,
        vantages=library.lab.vantages,
    )  # fmt: skip
    compile_site("lab", prepared.policy, prepared.catalogue, site.build)
    return site


def _by_machine(site: Site, chosen: list[Scenario]) -> dict[str, list[Scenario]]:
    """The scenarios that can be played on each machine: of its class, and of promises that are made for it."""
    promised = json.loads((site.build / "expectations.json").read_text())["machines"]
    chosen_for: dict[str, list[Scenario]] = {machine.name: [] for machine in site.machines}
    for scenario in chosen:
        fit = [
            machine.name
            for machine in site.machines
            if (not scenario.on or machine.machine_class in scenario.on)
            and promised[machine.name]["controls"][scenario.control]["applies"]
        ]
        if DEPTH == "first":  # whoever has least to do
            fit = sorted(fit, key=lambda name: len(chosen_for[name]))[:1]
        for name in fit:
            chosen_for[name].append(scenario)
    return chosen_for


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, first_day: FirstDay, site: Site) -> Bench:
    """Everything is played once, before the first test looks at how its scenario went."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    chosen = [item.callspec.params["scenario"] for item in items if hasattr(item, "callspec")]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        # beside other tests (-n), the standard error stream is the one that reaches the terminal
        said = partial(print, file=sys.stderr, flush=True)
        said()
        bench = Bench.ready(first_day.library.lab, site, first_day.evidence, said)
        bench.play_all(_by_machine(site, chosen), thorough=DEPTH == "thorough")
        said("", *bench.table(), sep="\n")
    return bench


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.control}:{scenario.place.line}")
def test_it_breaks_its_promise_and_no_other_and_is_mended(bench: Bench, scenario: Scenario) -> None:
    played = [one for one in bench.played if one.scenario is scenario]
    assert played, "this scenario was played on no machine: see its `on`, and where its promise applies"
    for one in played:
        assert not one.wrong, f"{one.machine}, mended with {one.engine}: {one.wrong}"


@pytest.mark.skipif(DEPTH == "first", reason="test_harden.py hardens these machines again, and finds nothing to change")
def test_after_everything_all_is_as_it_was_in_whatever_order_it_is_checked(bench: Bench, site: Site) -> None:
    after = verify.run(site, shuffle=20261123)
    assert {(machine, control): found.verdict for machine, control, found in after.verdicts()} == {
        (machine, control): found.verdict for machine, control, found in bench.baseline.verdicts()
    }
