"""How copiers are emptied: what is offered, what is refused, and who prints just now."""

from __future__ import annotations

import print_copiers
import print_ipp as ipp
import pytest

REFUSED = ipp.Answer(0x0403, [])


class Copier:
    """A copier that offers some operations, carries out some of them and may not list its jobs."""

    def __init__(self, offers: set[int], does: set[int], ages: list[int], lists: bool = True) -> None:
        self.offers, self.does, self.lists = offers, does, lists
        self.jobs = dict(enumerate(ages, start=1))
        self.asked: list[int] = []

    def ask(self, operation: int, *attributes: bytes) -> ipp.Answer:
        if operation == ipp.GET_PRINTER_ATTRIBUTES:
            return ipp.Answer(0, [(4, {"operations-supported": list(self.offers)})])
        if operation == ipp.GET_JOBS:
            return ipp.Answer(0, [self._job(number) for number in self.jobs]) if self.lists else REFUSED
        self.asked.append(operation)
        if operation not in self.does:
            return REFUSED
        if operation == ipp.CANCEL_JOB:
            self.jobs.pop(attributes[0][-1])
        else:
            self.jobs.clear()
        return ipp.Answer(0, [])

    def _job(self, number: int) -> tuple[int, ipp.Group]:
        times: ipp.Group = {"job-printer-up-time": [90_000], "time-at-creation": [90_000 - self.jobs[number]]}
        return 2, {"job-id": [number], **times}


def emptied(monkeypatch: pytest.MonkeyPatch, copier: Copier, seconds: float = 0) -> str:
    monkeypatch.setattr(ipp, "Printer", lambda address, timeout: copier)
    return print_copiers.empty("ipp://copier.example/", seconds)


ALL = {ipp.PURGE_JOBS, ipp.CANCEL_JOBS, ipp.CANCEL_JOB, ipp.CANCEL_MY_JOBS}


@pytest.mark.parametrize("operation", sorted(ALL))
def test_whatever_a_copier_can_is_enough(monkeypatch: pytest.MonkeyPatch, operation: int) -> None:
    copier = Copier({operation}, {operation}, [5000, 6000])
    assert emptied(monkeypatch, copier) == "emptied"
    assert not copier.jobs


def test_what_is_refused_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    copier = Copier(ALL, {ipp.CANCEL_JOB}, [5000])
    assert emptied(monkeypatch, copier) == "emptied"
    assert copier.asked == [ipp.PURGE_JOBS, ipp.CANCEL_JOBS, ipp.CANCEL_JOB]


def test_jobs_that_came_since_the_night_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    copier = Copier(ALL, ALL, [50_000, 60])
    assert emptied(monkeypatch, copier, seconds=30_000) == "emptied"
    assert copier.asked == [ipp.CANCEL_JOB]
    assert list(copier.jobs) == [2]


def test_a_copier_that_refuses_everything_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emptied(monkeypatch, Copier(ALL, set(), [5000])) == "not emptied"


def test_a_copier_that_lists_nothing_is_emptied_at_night_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emptied(monkeypatch, Copier(ALL, ALL, [5000], lists=False), seconds=600) == "emptied"
    by_day = Copier(ALL, ALL, [5000], lists=False)
    assert emptied(monkeypatch, by_day, seconds=30_000) == "not emptied"
    assert by_day.jobs


def test_a_copier_that_is_off_is_reported() -> None:
    assert print_copiers.empty("ipp://127.0.0.1:9/ipp/print", 0) == "not reached"
