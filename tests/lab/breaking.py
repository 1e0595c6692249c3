"""Plays break scenarios on live machines: which together, in what order, and what may be concluded.

A verification is the costly part, so several scenarios are played at once, each of another promise. Were one to break a
second promise, it would be seen unless that promise is the target of another in its company; so the companies of a
scenario on its two machines differ as far as they can. The thorough schedule leaves nothing open: every scenario is
played twice, in companies that have nothing else in common. What does not come out as expected is played again in
smaller companies, down to alone. Both engines mend, in turns.

Must not know what a scenario does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from readingroom import verify
from readingroom.apply import ApplyResult, Engine, harden
from readingroom.controls.checks import Scenario
from readingroom.fleet import Site
from readingroom.lab import Lab

LARGEST, LARGEST_THOROUGH = 20, 4
Company = tuple[Scenario, ...]
Schedule = list[dict[str, Company]]
Wrong = dict[str, str]


def schedule(by_machine: Mapping[str, Sequence[Scenario]], largest: int = LARGEST, thorough: bool = False) -> Schedule:
    """Who is played where, round by round; no two of a company break the same promise.

    >>> from readingroom.errors import Place
    >>> some = [Scenario(name, "", (), (), "role", Place("")) for name in ("a", "b", "c", "d")]
    >>> for one in schedule({"m": some, "n": some}, largest=2):
    ...     print({machine: "".join(scenario.control for scenario in company) for machine, company in one.items()})
    {'m': 'ab', 'n': 'ac'}
    {'m': 'cd', 'n': 'bd'}
    """
    machines = Counter(id(one) for scenarios in by_machine.values() for one in scenarios)
    # What can be played on one machine only is played there twice, when nothing may stay open.
    waiting = {
        machine: [one for one in scenarios for _ in range(2 if thorough and machines[id(one)] == 1 else 1)]
        for machine, scenarios in by_machine.items()
    }
    met: dict[int, set[str]] = {key: set() for key in machines}
    rounds: Schedule = []
    while any(waiting.values()):
        rounds.append({name: _company(left, met, largest, thorough) for name, left in waiting.items() if left})
    return rounds


def _company(waiting: list[Scenario], met: dict[int, set[str]], largest: int, thorough: bool) -> Company:
    """Take as many as go together out of `waiting`, those of the most crowded promises first."""
    crowd = Counter(one.control for one in waiting)
    company: list[Scenario] = []
    for strangers_only in (True,) if thorough else (True, False):
        for one in sorted(waiting, key=lambda one: -crowd[one.control]):
            fits = all(
                one.control != other.control
                and not (strangers_only and (one.control in met[id(other)] or other.control in met[id(one)]))
                for other in company
            )
            if fits and len(company) < largest:
                company.append(one)
                waiting.remove(one)
    for one in company:
        met[id(one)] |= {other.control for other in company} - {one.control}
    return tuple(company)


def left_open(rounds: Schedule) -> int:
    """How many pairs of a scenario and another promise no play can tell apart, because both were always broken."""
    hidden: dict[int, set[str]] = {}
    for companies in rounds:
        for company in companies.values():
            for one in company:
                others = {other.control for other in company} - {one.control}
                hidden[id(one)] = hidden.get(id(one), others) & others
    return sum(map(len, hidden.values()))


def engine_for(number: int, place: int) -> Engine:
    """Ansible mends one machine in every second round, as it takes ten times as long; pyinfra does the rest."""
    return "ansible" if number % 4 == 2 * place else "pyinfra"


@dataclass(frozen=True)
class Played:
    """How one scenario went on one machine; `wrong` is empty when it broke its promise, only that, and was mended."""

    scenario: Scenario
    machine: str
    company: int
    engine: Engine
    wrong: str = ""


@dataclass
class Bench:
    """Hardened lab machines, and what was verified on them while nothing was broken; `say` hears how it goes."""

    lab: Lab
    site: Site
    baseline: verify.Evidence
    say: Callable[[str], None]
    played: list[Played] = field(default_factory=list)
    rounds: Schedule = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    @classmethod
    def ready(cls, lab: Lab, site: Site, baseline: verify.Evidence, say: Callable[[str], None]) -> Bench:
        """Machines that were hardened and verified."""
        untested = {name for one in baseline.machines.values() for name, found in one.controls.items()
                    if found.verdict == "not-tested"}  # fmt: skip
        if untested:  # for want of somebody to knock from, which the lab has; or a busy computer's doing
            say(f"verified once more: {', '.join(sorted(untested))}")
            baseline = _with(baseline, verify.run(site, controls=sorted(untested)), untested)
        return cls(lab, site, baseline, say)

    def play_all(self, by_machine: Mapping[str, Sequence[Scenario]], thorough: bool) -> None:
        """Play every scenario on every machine it is listed for; raises `AssertionError` where a promise is not kept."""
        for machine, scenarios in by_machine.items():
            for control in {one.control for one in scenarios}:
                found = self.baseline.machines[machine].controls[control]
                # where one browser cannot keep its part, the part of the other can be broken all the same
                if found.verdict not in ("kept", "unsupported"):
                    why = found.reason or found.observed
                    raise AssertionError(f"{machine}: {control} is {found.verdict} before anything is broken ({why})")
        self.rounds = schedule(by_machine, LARGEST_THOROUGH if thorough else LARGEST, thorough)
        for number, companies in enumerate(self.rounds):
            engines = {machine.name: engine_for(number, place) for place, machine in enumerate(self.site.machines)}
            results = self.play(companies, engines)
            self.say(f"round {number + 1} of {len(self.rounds)}, {sum(map(len, companies.values()))} plays")
            for machine, wrong in results.items():
                self._settle(machine, companies[machine], wrong, engines[machine])

    def play(self, companies: Mapping[str, Company], engines: Mapping[str, Engine]) -> dict[str, Wrong]:
        """Break, verify everything, mend, verify what was broken; by machine, what was wrong with which promise."""
        with ThreadPoolExecutor() as pool:
            with self._timed("breaking"):
                failed = dict(zip(companies, pool.map(self._break, companies, companies.values()), strict=True))
            with self._timed("verifying"):
                broken = verify.run(self.site, machines=list(companies))
            wrong = {name: self._difference(name, company, broken) for name, company in companies.items()}
            with self._timed("mending"):
                list(pool.map(lambda name: harden(self.site, engine=engines[name], machines=[name]), companies))
        controls = sorted({scenario.control for company in companies.values() for scenario in company})
        with self._timed("verifying again"):
            mended = verify.run(self.site, machines=list(companies), controls=controls)
        for machine in companies:
            wrong[machine] |= failed[machine]
            left = self._difference(machine, (), mended)
            if left:
                wrong[machine] |= {name: f"not mended by {engines[machine]}: {why}" for name, why in left.items()}
                self._renew(machine)
        return wrong

    def _settle(self, machine: str, company: Company, wrong: Wrong, engine: Engine) -> None:
        """Note what is clear, and play the rest again in smaller companies."""
        wrong = self._told(machine, wrong)
        if wrong and len(company) == 1:  # a busy computer's accident does not happen twice
            again = self._told(machine, self.play({machine: company}, {machine: engine})[machine])
            wrong = {control: why for control, why in again.items() if control in wrong}
        if not wrong or len(company) == 1:
            words = "; ".join(f"{control} {why}" for control, why in wrong.items())
            self.played += [Played(one, machine, len(company), engine, words) for one in company]
            return
        own = [one for one in company if one.control in wrong]
        others = [one for one in company if one.control not in wrong]
        smaller = [(one,) for one in own]
        if wrong.keys() - {one.control for one in own}:
            smaller += [tuple(half) for half in (others[::2], others[1::2]) if half]
        else:
            self._settle(machine, tuple(others), {}, engine)
        for fewer in smaller:
            self._settle(machine, fewer, self.play({machine: fewer}, {machine: engine})[machine], engine)

    def _told(self, machine: str, wrong: Wrong) -> Wrong:
        for control, why in wrong.items():
            self.say(f"  {machine}: {control} {why}")
        return wrong

    def _break(self, machine: str, company: Company) -> Wrong:
        failed = {}
        for scenario in company:
            for line in scenario.run:
                done = self.lab.exec(machine, ["/bin/sh", "-c", line], check=False, timeout=60)
                if done.returncode:
                    said = done.stderr.strip()[-200:]
                    failed[scenario.control] = f"could not be broken: `{line}` ended with {done.returncode}: {said}"
            # a service that several restart would reach systemd's limit, stay down, and break all promises about it
            self.lab.exec(machine, ["systemctl", "reset-failed"], check=False)
        return failed

    def _difference(self, machine: str, company: Company, evidence: verify.Evidence) -> Wrong:
        """What is not as it should be: the company's promises broken, all others as they were."""
        expected = {scenario.control for scenario in company}
        before = self.baseline.machines[machine].controls
        wrong = {}
        for control, found in evidence.machines[machine].controls.items():
            wanted = "broken" if control in expected else before[control].verdict
            # what only a locked browser cannot do it may do when the lock is off: nothing is lost by that
            if found.verdict != wanted and (wanted, found.verdict) != ("unsupported", "kept"):
                wrong[control] = f"is {found.verdict}, not {wanted} ({found.reason or found.observed})"
        return wrong

    def _renew(self, machine: str) -> None:
        self.lab.reset(machine)
        _must_work(harden(self.site, engine="ansible", machines=[machine]))

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.spent[what] = self.spent.get(what, 0.0) + time.monotonic() - began

    def table(self) -> list[str]:
        """One line for each play, and where the time went."""
        lines = []
        for one in sorted(self.played, key=lambda one: (one.scenario.place, one.machine)):
            verdict = f"WRONG: {one.wrong}" if one.wrong else f"broke its promise and no other; mended by {one.engine}"
            with_ = f"with {one.company - 1} others" if one.company > 1 else "alone"
            lines.append(f"{one.scenario.control:<28} {one.machine:<9} {with_:<13} {verdict}   [{one.scenario.why}]")
        times = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in self.spent.items())
        open_ = left_open(self.rounds)
        said = f"{open_} pairs of a scenario and another promise stay open" if open_ else "nothing stays open"
        return [*lines, f"{len(self.played)} plays in {len(self.rounds)} rounds: {times}; {said}"]


def _with(evidence: verify.Evidence, later: verify.Evidence, controls: Collection[str]) -> verify.Evidence:
    """What was found, with what was found later of some promises."""
    machines = {
        name: one.model_copy(update={"controls": {**one.controls, **{
            control: found for control, found in later.machines[name].controls.items() if control in controls
        }}})
        for name, one in evidence.machines.items()
    }  # fmt: skip
    return evidence.model_copy(update={"machines": machines})


def _must_work(result: ApplyResult) -> None:
    for name, machine in result.machines.items():
        if machine.status != "ok":
            raise AssertionError(f"{name} could not be hardened: {machine.message}")
