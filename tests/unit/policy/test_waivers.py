"""A waiver from the asking to its end: what it lacks is said, and it touches the machines it names and no other."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from readingroom import controls, policy, toolkit
from readingroom.compile import compiled
from readingroom.errors import ReadingRoomError, Refused
from readingroom.policy.waivers import Request, answer

ROOT = toolkit.root()
CATALOGUE = controls.load(ROOT)
CONTROL = CATALOGUE.controls["print.unclaimed-jobs"]
TODAY = dt.date(2026, 11, 24)
MACHINES = {"desk-1": "staff", "desk-2": "staff", "pc-1": "public"}
PLAIN = "policy: 1\nlibrary: {name: Elm, languages: [en]}\nextends: standard\n"
FULL = Request(CONTROL, ("desk-1",), "8h", "Evening classes: print late", "Head of IT", "2027-01-31")


def load(tmp_path: Path, text: str, today: dt.date = TODAY) -> policy.Policy:
    path = tmp_path / "elm.yml"
    path.write_text(text, encoding="utf-8")
    return policy.load(path, CATALOGUE, root=ROOT, machines=MACHINES, today=today)


def test_what_is_printed_is_a_waiver_once_it_is_approved(tmp_path: Path) -> None:
    found = answer(FULL, load(tmp_path, PLAIN), TODAY)
    assert [lack.partition(":")[0] for lack in found.missing] == ["approved_by"]
    with pytest.raises(Refused, match="lacks approved_by"):
        load(tmp_path, PLAIN + found.entry)
    approved = found.entry.replace("approved_by:", "approved_by: The Board")
    (waiver,) = load(tmp_path, PLAIN + approved).waivers
    assert (waiver.id, waiver.machines, waiver.reason) == ("W-1", ("desk-1",), "Evening classes: print late")


def test_everything_that_is_missing_is_said(tmp_path: Path) -> None:
    lacks = answer(Request(CONTROL, (), ""), load(tmp_path, PLAIN), TODAY).missing
    assert [lack.partition(":")[0] for lack in lacks] == [
        "machines",
        "value",
        "reason",
        "owner",
        "until",
        "approved_by",
    ]


def test_the_next_waiver_has_a_number_of_its_own(tmp_path: Path) -> None:
    first = answer(FULL, load(tmp_path, PLAIN), TODAY).entry.replace("approved_by:", "approved_by: The Board")
    second = Request(CONTROL, ("desk-2",), "8h")
    assert "id: W-2" in answer(second, load(tmp_path, PLAIN + first), TODAY).entry


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(CONTROL, ("desk-9",), "8h"), "not in the inventory"),
        (Request(CONTROL, ("desk-1",), "5m"), "not looser"),
        (Request(CONTROL, ("desk-1",), "soon"), "to mend"),
        (Request(CONTROL, ("desk-1",), "8h", until="2029-01-01"), "cannot end on"),
        (Request(CONTROL, ("desk-1",), "8h", until="2026-11-23"), "cannot end on"),
        (Request(CONTROL, ("desk-1",), "8h", until="next year"), "is not a date"),
    ],
)
def test_what_no_approval_could_mend_is_refused(tmp_path: Path, request_: Request, said: str) -> None:
    with pytest.raises(ReadingRoomError, match=said):
        answer(request_, load(tmp_path, PLAIN), TODAY)


def test_a_waiver_for_one_machine_touches_only_that_machine(tmp_path: Path) -> None:
    entry = answer(FULL, load(tmp_path, PLAIN), TODAY).entry.replace("approved_by:", "approved_by: The Board")
    before = compiled("elm", load(tmp_path, PLAIN), CATALOGUE)
    after = compiled("elm", load(tmp_path, PLAIN + entry), CATALOGUE)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {
        "inventory/host_vars/desk-1.yml", "policy.json", "expectations.json", "notice.json",
    }  # fmt: skip
    machines = [json.loads(text["expectations.json"])["machines"] for text in (before, after)]
    assert [name for name in MACHINES if machines[0][name] != machines[1][name]] == ["desk-1"]
    facts = json.loads(after["notice.json"])
    assert [waiver["id"] for waiver in facts["waivers"]] == ["W-1"]
    assert facts["classes"] == json.loads(before["notice.json"])["classes"]


def test_a_waiver_ends(tmp_path: Path) -> None:
    entry = answer(FULL, load(tmp_path, PLAIN), TODAY).entry.replace("approved_by:", "approved_by: The Board")
    assert load(tmp_path, PLAIN + entry, dt.date(2027, 1, 31)).waivers
    with pytest.raises(Refused, match="waiver-expired"):
        load(tmp_path, PLAIN + entry, dt.date(2027, 2, 1))
