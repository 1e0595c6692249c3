"""From what tests saw to a verdict."""

from __future__ import annotations

from datetime import date
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from readingroom.verify.job import Outcome
from readingroom.verify.judge import judge

TODAY = date(2026, 11, 23)
PROMISE = {"applies": True, "role": "print_queue_purge", "statement": "Jobs go.", "waiver": None, "held": False}
NOT_MADE = "this promise is not made for machines of this class"
SAW = {
    "passed": "0 left", "failed": "2 left", "not-tested": "no printer", "unsupported": "it cannot",
    "not-applicable": "not here",
}  # fmt: skip


def outcomes(*results):
    return [
        Outcome(control="a", order=place, result=result, words=SAW[result], seconds=0.1)
        for place, result in enumerate(results)
    ]


def verdict(*results, **changes):
    found = judge(PROMISE | changes, outcomes(*results), at="2026-11-23T12:00:00Z", today=TODAY)
    return found.verdict, found.observed, found.reason


def waiver(until):
    return {"id": "W-14", "until": until, "value": "8h"}


@pytest.mark.parametrize(
    ("results", "changes", "found"),
    [
        (["passed"], {}, ("kept", "0 left", None)),
        (["failed"], {}, ("broken", "2 left", None)),
        (["not-tested"], {}, ("not-tested", "", "no printer")),
        (["passed", "not-tested"], {}, ("not-tested", "0 left", "no printer")),
        (["passed", "failed", "not-tested"], {}, ("broken", "2 left", None)),
        (["unsupported"], {}, ("unsupported", "", "it cannot")),
        (["passed", "unsupported"], {}, ("unsupported", "0 left", "it cannot")),
        (["failed", "unsupported"], {}, ("broken", "2 left", None)),
        (["unsupported", "not-tested"], {}, ("not-tested", "", "no printer; it cannot")),
        (["passed", "not-applicable"], {}, ("kept", "0 left", None)),
        (["not-applicable", "unsupported"], {}, ("unsupported", "", "it cannot")),
        (["not-applicable", "not-applicable"], {}, ("not-applicable", "", "not here")),
        (["unsupported"], {"waiver": waiver("2027-01-31")}, ("unsupported", "", "it cannot")),
        ([], {}, ("not-tested", "", "the check gave no result; the log of this machine says more")),
        (["passed"], {"waiver": waiver("2027-01-31")}, ("waived", "0 left", "waiver W-14 until 2027-01-31")),
        (["passed"], {"waiver": waiver("2026-11-23")}, ("waived", "0 left", "waiver W-14 until 2026-11-23")),
        (["failed"], {"waiver": waiver("2027-01-31")}, ("broken", "2 left", None)),
        (["not-tested"], {"waiver": waiver("2027-01-31")}, ("not-tested", "", "no printer")),
        (["passed"], {"waiver": waiver("2026-11-22")}, ("broken", "0 left", "waiver W-14 ended on 2026-11-22")),
        ([], {"held": True}, ("waived", "", "a legal hold pauses this promise")),
        ([], {"applies": False}, ("not-applicable", "", NOT_MADE)),
        ([], {"applies": False, "held": True}, ("not-applicable", "", NOT_MADE)),
    ],
)  # fmt: skip
def test_what_was_seen_and_what_was_promised_give_the_verdict(results, changes, found):
    assert verdict(*results, **changes) == found


@given(some.lists(some.sampled_from(sorted(SAW)), max_size=5))
def test_the_order_in_which_tests_ran_makes_no_difference(results):
    seen = outcomes(*results)
    found = {
        judge(PROMISE, list(order), at="2026-11-23T12:00:00Z", today=TODAY).model_dump_json()
        for order in permutations(seen)
    }
    assert len(found) == 1


@given(
    some.lists(some.sampled_from(sorted(SAW)), max_size=5),
    some.sampled_from([None, "2026-11-22", "2026-11-23", "2027-01-31"]),
    some.booleans(),
    some.booleans(),
)
def test_nothing_but_passed_tests_without_an_exception_is_kept(results, until, held, applies):
    kept = verdict(*results, waiver=until and waiver(until), held=held, applies=applies)[0] == "kept"
    assert kept == (set(results) - {"not-applicable"} == {"passed"} and until is None and not held and applies)
