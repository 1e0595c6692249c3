"""The evidence file: a closed schema, written whole, and JUnit made from it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import jsonschema
import pytest
from pydantic import ValidationError

from readingroom.verify import VERDICTS, ControlEvidence, Evidence, MachineEvidence, schema

REPO = Path(__file__).resolve().parents[3]
AT = "2026-11-23T12:04:05Z"


def found(verdict, **more):
    reason = None if verdict in ("kept", "broken") else "because"
    said = {
        "verdict": verdict,
        "statement": "Only ada may administer.",
        "role": "print_queue_purge",
        "observed": "3 seen",
    }
    return ControlEvidence(**{**said, "reason": reason, "at": AT, **more})


@pytest.fixture
def evidence():
    controls = {f"print.{verdict}": found(verdict) for verdict in VERDICTS}
    machine = MachineEvidence(**{"class": "public"}, os="Debian GNU/Linux 13 (trixie)", controls=controls)
    off = MachineEvidence(
        **{"class": "staff"}, os=None, unreachable="no answer", controls={"print.kept": found("not-tested")}
    )
    return Evidence(site="lab", policy_digest="sha256:0", toolkit="0.1", machines={"public-1": machine, "staff-1": off})


def test_what_is_written_can_be_read_and_fits_the_published_schema(evidence, tmp_path):
    evidence.write(tmp_path / "evidence.json")
    assert Evidence.read(tmp_path / "evidence.json") == evidence
    published = json.loads((REPO / "src/readingroom/verify/evidence.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(json.loads((tmp_path / "evidence.json").read_text()), published)


def test_the_published_schema_is_the_models():
    published = json.loads((REPO / "src/readingroom/verify/evidence.schema.json").read_text())
    assert published == schema(), "write readingroom.verify.schema() there again"


@pytest.mark.parametrize("place", [[], ["machines", "public-1"], ["machines", "public-1", "controls", "print.kept"]])
def test_nothing_else_fits_into_the_schema(evidence, place):
    plain = json.loads(evidence.model_dump_json(by_alias=True))
    target = plain
    for step in place:
        target = target[step]
    target["sessions"] = 17
    with pytest.raises(ValidationError):
        Evidence.model_validate(plain)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema())


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [("not-tested", None), ("waived", None), ("unsupported", None), ("not-applicable", ""), ("kept", "x")],
)
def test_an_exception_says_why_and_kept_needs_no_reason(verdict, reason):
    with pytest.raises(ValidationError):
        found(verdict, reason=reason)


def test_only_what_is_plainly_kept_is_counted_as_kept(evidence):
    assert evidence.counts == {verdict: 2 if verdict == "not-tested" else 1 for verdict in VERDICTS}
    assert evidence.unreachable == ("staff-1",)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(evidence, tmp_path, monkeypatch):
    path = tmp_path / "evidence.json"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no space left on device")))
    with pytest.raises(OSError, match="no space"):
        evidence.write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_junit_says_the_same_and_nothing_more(evidence, tmp_path):
    evidence.junit(tmp_path / "junit.xml")
    text = (tmp_path / "junit.xml").read_text()
    root = Xml.fromstring(text)  # noqa: S314 - our own file
    assert root.attrib == {"name": "Reading Room lab", "tests": "7", "failures": "1", "errors": "0", "skipped": "5"}
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == 7
    assert list(cases[("public-1.print_queue_purge", "print.kept")]) == []
    (failure,) = cases[("public-1.print_queue_purge", "print.broken")]
    assert (failure.tag, failure.get("message")) == ("failure", "3 seen")
    for verdict in set(VERDICTS) - {"kept", "broken"}:
        (skipped,) = cases[("public-1.print_queue_purge", f"print.{verdict}")]
        assert (skipped.tag, skipped.get("message")) == ("skipped", f"{verdict}: because; 3 seen")
    assert "12:04" not in text, "no time finer than the date"
    assert "ada" not in text, "sentences of the policy may list staff logins"
    assert "2026-11-23" in text
    assert root.find("testsuite[@name='staff-1']/properties/property[@name='unreachable']").get("value") == "no answer"


def test_junit_is_well_formed_whatever_was_observed(evidence, tmp_path):
    odd = found("broken", observed='<&"\x0b\x00\ufffe ü ]]>')
    machine = evidence.machines["public-1"].model_copy(update={"controls": {"print.odd": odd}})
    evidence.model_copy(update={"machines": {"public-1": machine}}).junit(tmp_path / "junit.xml")
    root = Xml.parse(tmp_path / "junit.xml")  # noqa: S314 - our own file
    assert root.find(".//failure").get("message") == '<&" ü ]]>'
