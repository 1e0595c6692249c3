"""Plays break scenarios on live machines: which together, in what order, and what may be concluded.

A round plays one scenario of each role at a time on a machine, so that a verification proves several. Machines pair
them differently: were a scenario to break a second promise, it would do so in two different companies, and cannot hide
behind the scenario that is expected to break it. Each machine is mended by another engine, in turns, so a scenario
that is played on two machines is mended by both engines. Whatever does not come out as expected is played again alone.

Must not know what a scenario does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest

from readingroom import verify
from readingroom.apply import Engine, harden
from readingroom.controls.checks import Scenario
from readingroom.fleet import Site
from readingroom.lab import Lab

ENGINES: tuple[Engine, Engine] = ("ansible", "pyinfra")
Company = tuple[Scenario, ...]


@dataclass
class Played:
    """How one scenario went on one machine; `wrong` is empty when it broke its promise, only that, and was mended."""

    scenario: Scenario
    machine: str
    company: tuple[str, ...]
    engine: Engine
    wrong: str = ""


def rounds(by_machine: Mapping[str, Sequence[Scenario]]) -> Iterator[dict[str, Company]]:
    """Who is played where, round by round: at most one scenario of a role, and other companies on other machines.

    >>> from readingroom.errors import Place
    >>> def of(role, *names): return [Scenario(name, "", (), (), role, Place("")) for name in names]
    >>> some = of("a", "a1", "a2", "a3") + of("b", "b1", "b2", "b3")
    >>> for one in rounds({"m": some, "n": some}):
    ...     print({machine: [scenario.control for scenario in company] for machine, company in one.items()})
    {'m': ['a1', 'b1'], 'n': ['a1', 'b3']}
    {'m': ['a2', 'b2'], 'n': ['a2', 'b1']}
    {'m': ['a3', 'b3'], 'n': ['a3', 'b2']}
    """
    plans = {}
    for place, (machine, scenarios) in enumerate(by_machine.items()):
        roles: dict[str, list[Scenario]] = {}
        for scenario in scenarios:
            roles.setdefault(scenario.role, []).append(scenario)
        length = max(map(len, roles.values()), default=0)
        columns = []
        for shift, column in enumerate(roles.values()):
            padded = [*column, *[None] * (length - len(column))]
            turn = 2 * place * shift % length
            columns.append(padded[turn:] + padded[:turn])
        plans[machine] = [tuple(filter(None, row)) for row in zip(*columns, strict=True)]
    for row in zip_longest(*plans.values(), fillvalue=()):
        yield {machine: company for machine, company in zip(plans, row, strict=True) if company}


@dataclass
class Bench:
    """Hardened lab machines, and what was verified on them while nothing was broken."""

    lab: Lab
    site: Site
    baseline: verify.Evidence
    played: list[Played] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    @classmethod
    def ready(cls, lab: Lab, site: Site) -> Bench:
        """Fresh machines, hardened once."""
        for machine in site.machines:
            lab.reset(machine.name)
        _must_work(harden(site, engine="ansible"))
        return cls(lab, site, verify.run(site))

    def play_all(self, by_machine: Mapping[str, Sequence[Scenario]]) -> None:
        """Play every scenario on every machine it is listed for."""
        for number, companies in enumerate(rounds(by_machine)):
            engines = {machine.name: ENGINES[(number + place) % 2] for place, machine in enumerate(self.site.machines)}
            results = self.play(companies, engines)
            for machine, wrong in results.items():
                company = companies[machine]
                if wrong and len(company) > 1:
                    for scenario in company:
                        alone = self.play({machine: (scenario,)}, engines)[machine]
                        self._note((scenario,), machine, engines[machine], alone)
                else:
                    self._note(company, machine, engines[machine], wrong)

    def play(self, companies: Mapping[str, Company], engines: Mapping[str, Engine]) -> dict[str, str]:
        """Break, verify everything, mend, verify what was broken; by machine what was wrong, or an empty text."""
        with ThreadPoolExecutor() as pool:
            wrong = dict(zip(companies, self._timed("break", pool.map, self._break, *_pairs(companies)), strict=True))
            broken = self._timed("verify", verify.run, self.site, machines=list(companies))
            for machine, company in companies.items():
                wrong[machine] = wrong[machine] or self._difference(machine, company, broken)
            self._timed("mend", pool.map, lambda pair: self._mend(*pair, engines[pair[0]]), companies.items())
        controls = sorted({scenario.control for company in companies.values() for scenario in company})
        mended = self._timed("verify again", verify.run, self.site, machines=list(companies), controls=controls)
        for machine in companies:
            left = self._difference(machine, (), mended)
            if left:
                wrong[machine] = f"{wrong[machine]}; {engines[machine]} did not mend it: {left}".lstrip("; ")
                self._renew(machine)
        return wrong

    def _break(self, machine: str, company: Company) -> str:
        for scenario in company:
            for line in scenario.run:
                done = self.lab.exec(machine, ["/bin/sh", "-c", line], check=False, timeout=60)
                if done.returncode:
                    return f"{scenario.place.short}: `{line}` failed ({done.returncode}): {done.stderr.strip()[-200:]}"
        return ""

    def _difference(self, machine: str, company: Company, evidence: verify.Evidence) -> str:
        """What is not as it should be: the company's promises broken, all others as in the baseline."""
        expected = {scenario.control for scenario in company}
        before = self.baseline.machines[machine].controls
        said = []
        for control, found in evidence.machines[machine].controls.items():
            wanted = "broken" if control in expected else before[control].verdict
            if found.verdict != wanted:
                why = found.reason or found.observed
                said.append(f"{control} is {found.verdict}, not {wanted} ({why})")
        return "; ".join(said)

    def _mend(self, machine: str, company: Company, engine: Engine) -> None:
        roles = sorted({scenario.role for scenario in company})
        harden(self.site, engine=engine, roles=roles, machines=[machine])

    def _renew(self, machine: str) -> None:
        self.lab.reset(machine)
        _must_work(harden(self.site, engine="ansible", machines=[machine]))

    def _note(self, company: Company, machine: str, engine: Engine, wrong: str) -> None:
        for scenario in company:
            others = tuple(other.control for other in company if other is not scenario)
            self.played.append(Played(scenario, machine, others, engine, wrong))

    def _timed(self, what: str, call, *args, **options):  # type: ignore[no-untyped-def]
        began = time.monotonic()
        done = call(*args, **options)
        done = list(done) if isinstance(done, Iterator) else done
        self.spent[what] = self.spent.get(what, 0.0) + time.monotonic() - began
        return done

    def table(self) -> list[str]:
        """One line for each scenario and machine, and where the time went."""
        lines = []
        for one in sorted(self.played, key=lambda one: (one.scenario.place, one.machine)):
            verdict = "broke that alone, mended" if not one.wrong else f"WRONG: {one.wrong}"
            names = f"{one.scenario.control:<29}{one.machine:<10}{one.engine:<8}"
            lines.append(f"{names} {verdict}   [{one.scenario.why}]")
        times = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in self.spent.items())
        return [*lines, f"{len(self.played)} scenarios played: {times}"]


def _pairs(companies: Mapping[str, Company]) -> tuple[Iterable[str], Iterable[Company]]:
    return companies.keys(), companies.values()


def _must_work(result: object) -> None:
    for name, machine in result.machines.items():  # type: ignore[attr-defined]
        if machine.status != "ok":
            raise AssertionError(f"{name} could not be hardened: {machine.message}")
