"""What a new user sees: the lab from red to green, and a site of one's own over plain SSH.

The machines are those of `test_breaks.py`, which were broken and mended meanwhile when it ran before.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from library import MACHINES, FirstDay, Library, not_kept
from readingroom import verify
from readingroom.verify import Evidence

pytestmark = pytest.mark.lab


def verdicts(evidence: Evidence) -> dict[tuple[str, str], str]:
    return {(machine, control): found.verdict for machine, control, found in evidence.verdicts()}


def test_1_plan_changes_nothing(first_day: FirstDay) -> None:
    assert first_day.planned.returncode == 0, first_day.planned.stderr
    assert "/etc/cups/cupsd.conf" in first_day.planned.stdout
    assert not first_day.touched


def test_2_harden_goes_from_red_to_green_and_says_so(first_day: FirstDay) -> None:
    done, evidence = first_day.hardened, first_day.evidence
    assert done.returncode == 0, f"{first_day.not_kept}\n{done.stderr}{done.stdout}"
    assert done.stdout.count("BROKEN → kept") > len(MACHINES) * 15
    found = list(verdicts(evidence).values())
    assert set(found) <= {"kept", "not-applicable", "not-tested", "unsupported"}
    assert found.count("kept") >= 2 * 20
    jsonschema.validate(json.loads(evidence.model_dump_json(by_alias=True)), verify.schema())


def test_3_a_second_run_has_nothing_to_change(first_day: FirstDay) -> None:
    library = first_day.library
    done = library.types("harden", "elm", "--engine", "pyinfra")
    assert done.returncode == 0, f"{not_kept(library.evidence())}\n{done.stderr}{done.stdout}"
    for name in MACHINES:
        assert f"{name}: Nothing to change" in done.stdout
    assert "Verifying after" not in done.stdout, "what was verified before stands, since nothing was changed"


def test_4_a_broken_promise_is_exit_code_1(first_day: FirstDay, tmp_path: Path) -> None:
    library = first_day.library
    library.lab.exec("public-1", ["systemctl", "disable", "--now", "readingroom-print-purge.timer"])
    junit = tmp_path / "report.xml"
    done = library.types("verify", "elm", "--control", "print.unclaimed-jobs", "--junit", str(junit))
    assert done.returncode == 1, done.stderr
    assert "<failure" in junit.read_text()


def test_5_a_machine_that_is_off_is_exit_code_3_and_the_others_are_verified(first_day: FirstDay) -> None:
    library, lab = first_day.library, first_day.library.lab
    lab.down(["staff-1"])
    done = library.types("verify", "elm", "--role", "log_retention")
    assert done.returncode == 3
    assert "staff-1" in done.stderr
    found = verdicts(library.evidence("-part"))
    assert "kept" in {verdict for (machine, _), verdict in found.items() if machine == "public-1"}
    assert {verdict for (machine, _), verdict in found.items() if machine == "staff-1"} <= {
        "not-tested",
        "not-applicable",
    }
    assert not lab.is_running("staff-1"), "a site of one's own never boots the lab"
    lab.up(["staff-1"])


def test_6_no_name_of_a_person_stands_in_what_is_written(first_day: FirstDay) -> None:
    text = json.dumps([found.observed for _, _, found in first_day.evidence.verdicts()])
    for word in ("operator", "circdesk", "ben", "patron@", "/home/", "10.77."):
        assert word not in text


def test_7_an_unknown_machine_is_bad_input(library: Library) -> None:
    done = library.types("harden", "elm", "--limit", "publik-1")
    assert done.returncode == 2
    assert "did you mean public-1?" in done.stderr
