"""Who wins: silence, presets, the library, consortium floors, classes, machines and waivers."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest

from readingroom import controls, policy
from readingroom.controls.values import show
from readingroom.errors import Refused
from readingroom.policy.explain import explained

ROOT = Path(__file__).parents[3]
TODAY = dt.date(2026, 11, 23)
CATALOGUE = controls.load(ROOT)
MACHINES = {"desk-1": "public", "desk-2": "public", "staff-1": "staff"}


@pytest.fixture
def load(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    def load(text: str, machines: dict[str, str] | None = None, **others: str) -> policy.Policy:
        for name, content in others.items():
            write(f"{name}.yml", content)
        path = write("library.yml", "policy: 1\n" + text)
        return policy.load(path, CATALOGUE, root=ROOT, machines=machines or MACHINES, today=TODAY)

    return load


def value(holder: policy.Holder, key: str = "printing.unclaimed_jobs") -> str:
    return show(holder.values[key].value)


def test_silence_means_the_private_value(load) -> None:
    found = load("")
    for key, declared in CATALOGUE.keys.items():
        assert found.classes["public"].values[key].value == declared.silent
    assert value(found.classes["public"]) == "15m"


def test_a_preset_is_a_starting_point_that_a_library_may_change_either_way(load) -> None:
    assert value(load("extends: standard").classes["public"]) == "1h"
    for own in ("8h", "15m"):
        found = load(f"extends: standard\npublic: {{printing: {{unclaimed_jobs: {own}}}}}")
        assert value(found.classes["public"]) == own
        assert value(found.classes["staff"]) == "1h"


def test_a_library_may_tighten_a_floor_but_never_loosen_it(load) -> None:
    valley = "baseline: 1\npublic: {printing: {unclaimed_jobs: 1h}}"
    text = "extends: valley.yml\npublic: {printing: {unclaimed_jobs: %s}}"
    assert value(load(text % "15m", valley=valley).classes["public"]) == "15m"
    with pytest.raises(Refused, match="looser-than-floor"):
        load(text % "2h", valley=valley)


def test_a_preset_looser_than_a_floor_is_tightened_in_silence(load) -> None:
    found = load("extends: [small-library, valley.yml]", valley="baseline: 1\npublic: {printing: {unclaimed_jobs: 1h}}")
    assert value(found.classes["public"]) == "1h"
    assert value(found.classes["staff"]) == "nightly"


def test_the_order_of_baselines_does_not_matter(load) -> None:
    files = {
        "a": "baseline: 1\npublic: {printing: {unclaimed_jobs: 2h}, accounts: {administrators: [ada, ben]}}",
        "b": "baseline: 1\npublic: {printing: {unclaimed_jobs: 1h}, logs: {journal: volatile}}",
        "c": "baseline: 1\npublic: {accounts: {administrators: [ben, cy], shared_logins: [desk]}}",
    }
    results = set()
    for order in itertools.permutations(files):
        found = load(f"extends: [{', '.join(f'{name}.yml' for name in order)}]", **files)
        results.add(tuple(value(found.classes["public"], key) for key in CATALOGUE.keys))
    assert len(results) == 1
    keys = list(CATALOGUE.keys)
    (only,) = results
    assert only[keys.index("printing.unclaimed_jobs")] == "15m"  # silence is private, and stricter than the floor
    assert only[keys.index("accounts.shared_logins")] == "[desk]"


def test_a_class_and_a_machine_may_tighten_freely(load) -> None:
    found = load(
        "extends: standard\nchildren: {like: public, logs: {keep: 12h}}\nmachines: {desk-1: {logs: {keep: 1h}}}",
        machines={"desk-1": "children", "desk-2": "children", "desk-3": "public"},
    )
    assert value(found.machines["desk-3"], "logs.keep") == "24h"
    assert value(found.machines["desk-2"], "logs.keep") == "12h"
    assert value(found.machines["desk-1"], "logs.keep") == "1h"
    assert found.machines["desk-1"].kind == "public"


WAIVER = (
    "{id: W-1, control: print.unclaimed-jobs, machines: [desk-1], value: 8h, reason: Night classes print late, "
    "owner: Head of IT, approved_by: Board, until: 2027-01-31%s}"
)


def test_a_waiver_lowers_the_promise_on_its_machine_only_and_only_to_its_value(load) -> None:
    found = load(f"extends: standard\nwaivers: [{WAIVER % ''}]")
    assert value(found.machines["desk-1"]) == "8h"
    assert value(found.machines["desk-2"]) == value(found.classes["public"]) == "1h"
    waiver = found.machines["desk-1"].values["printing.unclaimed_jobs"].waiver
    assert waiver is not None
    assert waiver.until == dt.date(2027, 1, 31)


def test_only_the_consortium_waives_its_floor(load) -> None:
    floor = "baseline: 1\npublic: {printing: {unclaimed_jobs: 1h}}\n"
    signed = floor + f"waivers: [{WAIVER % ', library: Elm Library'}]"
    own = "library: {name: Elm Library}\nextends: valley.yml\n"
    assert value(load(own, valley=signed).machines["desk-1"]) == "8h"
    assert value(load(own.replace("Elm", "Oak"), valley=signed).machines["desk-1"]) == "15m"
    with pytest.raises(Refused, match="waiver-not-signed"):
        load(own + f"waivers: [{WAIVER % ''}]", valley=floor)


def test_a_waiver_that_gives_nothing_is_refused(load) -> None:
    with pytest.raises(Refused, match="waiver-needless"):
        load(f"public: {{printing: {{unclaimed_jobs: 24h}}}}\nwaivers: [{WAIVER % ''}]")


def test_a_legal_minimum_binds_machines_too(load) -> None:
    text = "legal: {minimum: {logs.keep: 12h}}\nextends: standard\nmachines: {desk-1: {logs: {keep: %s}}}"
    assert value(load(text % "12h").machines["desk-1"], "logs.keep") == "12h"
    with pytest.raises(Refused, match="below-legal-minimum"):
        load(text % "6h")


def test_explain_shows_each_layers_say(load) -> None:
    valley = "baseline: 1\nname: valley\npublic: {printing: {unclaimed_jobs: 2h}}"
    found = load(
        "library: {name: Elm}\nextends: [standard, valley.yml]\npublic: {printing: {unclaimed_jobs: 30m}}\n"
        "machines: {desk-1: {printing: {unclaimed_jobs: 10m}}}",
        valley=valley,
    )
    key = "printing.unclaimed_jobs"
    text = explained(key, CATALOGUE.owners[key], found)
    for said in ("preset standard", "baseline valley", "library.yml:5", "“Print jobs that nobody collects are deleted after "
                 "at most 30 minutes.”", "desk-1: 10m"):  # fmt: skip
        assert said in text
