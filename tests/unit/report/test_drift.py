"""Drift: what was judged otherwise than last time, and what did it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from readingroom.apply import MachinePlan
from readingroom.apply.history import History, read_history, script
from readingroom.apply.planned import PlannedChange
from readingroom.report import drift_text, drifted, last_look
from readingroom.verify import ControlEvidence, Evidence, MachineEvidence

SAID = """\
package 07:31:02 upgrade cups-daemon:amd64 2.4.2-3 2.4.2-4
file f 07:32 cups-daemon /etc/cups/cupsd.conf
file d 07:33 - /etc/readingroom
file f 07:34 - /etc/a file with spaces
"""


def evidence(verdicts: Mapping[str, str]) -> Evidence:
    controls = {
        control: ControlEvidence(
            verdict=verdict, statement="So it is.", role="print_queue_purge",  # type: ignore[arg-type]
            reason=None if verdict in ("kept", "broken") else "for a reason", at="2026-11-24T06:00:00Z",
        )
        for control, verdict in verdicts.items()
    }  # fmt: skip
    machine = MachineEvidence(**{"class": "public"}, os="Debian", controls=controls)
    return Evidence(site="lab", policy_digest="sha256:0", toolkit="0", machines={"pc-1": machine})


def change(subject: str, *, new: bool = False, whole_role: bool = False) -> PlannedChange:
    return PlannedChange(
        act="write", subject=subject, what=f"Write {subject}", role="print_queue_purge", controls=("print.jobs",),
        whole_role=whole_role, new=new, diff="",
    )  # fmt: skip


def plan(*changes: PlannedChange) -> MachinePlan:
    return MachinePlan(
        **{"class": "public"}, status="ok", message="", changes=changes, edits=(), lost=(), noticed=(), unsure=(),
        waivers=(), notes=(),
    )  # fmt: skip


def text(plans: Mapping[str, MachinePlan], history: History) -> list[str]:
    drifts = drifted(evidence({"print.jobs": "kept"}), evidence({"print.jobs": "broken"}))
    return list(drift_text(drifts, plans, {"pc-1": history}))


def test_only_what_is_judged_otherwise_is_told() -> None:
    before = evidence(
        {"print.jobs": "kept", "print.logs": "kept", "log.journal": "broken", "log.mail": "not-applicable"}
    )
    after = evidence({"print.jobs": "broken", "print.logs": "kept", "log.journal": "kept", "log.mail": "kept"})
    assert [(one.control, one.was, one.now, one.is_loss) for one in drifted(before, after)] == [
        ("print.jobs", "kept", "broken", True), ("log.journal", "broken", "kept", False),
    ]  # fmt: skip
    assert list(drift_text(drifted(before, before), {}, {})) == [
        "Since the last run: every promise stands as it stood."
    ]


def test_the_file_that_did_it_is_named_with_its_time_and_its_package() -> None:
    said = text({"pc-1": plan(change("/etc/cups/cupsd.conf"))}, read_history(SAID))
    assert said[1:3] == [
        "  print.jobs: kept → BROKEN",
        "    by  /etc/cups/cupsd.conf changed at 07:32 (of the package cups-daemon)",
    ]
    assert "    package cups-daemon upgraded from 2.4.2-3 to 2.4.2-4 at 07:31" in said
    assert "    something came or went in /etc/readingroom at 07:33" in said
    assert said.count(said[2]) == 1


def test_a_file_that_is_gone_and_what_has_no_time_are_told_too() -> None:
    said = text({"pc-1": plan(change("/etc/readingroom/x.json", new=True), change("/etc/y"))}, History())
    assert "    by  /etc/readingroom/x.json is not there any more" in said
    assert "    by  it would take: Write /etc/y" in said


def test_what_serves_a_whole_role_is_named_only_when_nothing_closer_is() -> None:
    near, far = change("/etc/near"), change("/etc/far", whole_role=True)
    assert not any("far" in line for line in text({"pc-1": plan(near, far)}, History()))
    assert any("far" in line for line in text({"pc-1": plan(far)}, History()))


def test_a_machine_that_cannot_tell_is_not_taken_for_one_where_nothing_happened() -> None:
    assert any("cannot be told: gone" in line for line in text({}, History(unknown="gone")))


def test_the_moment_of_the_last_look() -> None:
    assert last_look(evidence({"print.jobs": "kept"}), "pc-1") == 1795500000
    assert last_look(evidence({"print.jobs": "kept"}), "pc-2") is None


def test_the_script_finds_what_changed_since_and_nothing_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("readingroom.apply.history.PLACES", (str(tmp_path),))
    (tmp_path / "old").write_text("x")
    time.sleep(1.1)  # the moment is told in whole seconds
    moment = int(time.time())
    time.sleep(1.1)
    (tmp_path / "new file").write_text("x")
    said = subprocess.run(["sh", "-c", script(moment)], capture_output=True, text=True, check=True).stdout
    assert [event.path for event in read_history(said).files if not event.is_folder] == [str(tmp_path / "new file")]
