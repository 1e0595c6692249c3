"""Ring by ring: the gate is proved promises; who is off is pending; a broken ring stops; resume goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from readingroom.apply import ApplyResult, Change, MachineResult
from readingroom.fleet import Ring
from readingroom.report import Command, after_harden, after_verify
from readingroom.rollout import Record, Rollout, gate, read_record, roll_out
from readingroom.verify import ControlEvidence, Evidence, MachineEvidence

RINGS = (Ring("canary", ("pc-1",)), Ring("main", ("pc-2", "pc-3")), Ring("rest", ("pc-4",)))
RECORD = Record(policy_digest="sha256:1")
CHANGE = Change("logs", "Write /x")
BUSY = "another run of Reading Room is at work on pc-2 since 10:32"


def evidence(verdicts: Mapping[str, str]) -> Evidence:
    machines = {}
    for name, verdict in verdicts.items():
        gone = verdict == "away"
        reason = None if verdict in ("kept", "broken") else "no answer"
        one = ControlEvidence(
            verdict="not-tested" if gone else verdict, statement="It is so.", role="logs", reason=reason,  # type: ignore[arg-type]
            at="2026-11-24T06:00:00Z",
        )  # fmt: skip
        machines[name] = MachineEvidence(
            **{"class": "public"}, os=None, unreachable="no answer" if gone else None, controls={"log.journal": one}
        )
    return Evidence(site="elm", policy_digest="sha256:1", toolkit="0", machines=machines)


class Machines:
    """Invented machines: how applying ends, and what verification then finds; every step is noted."""

    def __init__(
        self,
        statuses: Mapping[str, str] = {},
        after: Mapping[str, str] = {},
        interrupt: str = "",
        *,
        changes: tuple[Change, ...] = (CHANGE,),
    ) -> None:
        self.statuses, self.after, self.interrupt, self.changes = statuses, after, interrupt, changes
        self.log: list[str] = []

    def verify(self, ring: Ring, when: str) -> Evidence:
        self.log.append(f"{when} {ring.name}")
        if self.interrupt == f"{when} {ring.name}":
            raise KeyboardInterrupt
        return evidence({name: self.after.get(name, "kept") for name in ring.machines})

    def apply(self, ring: Ring) -> ApplyResult:
        self.log.append(f"apply {ring.name}")
        results = {}
        for name in ring.machines:
            status = self.statuses.get(name, "ok")
            message = BUSY if status == "busy" else "it says why"
            changes = self.changes if status in ("ok", "failed") else ()
            results[name] = MachineResult("failed" if status == "busy" else status, changes, message)  # type: ignore[arg-type]
        return ApplyResult("ansible", False, results, interrupted=self.interrupt == f"apply {ring.name}")

    def roll_out(self, build: Path | None = None, record: Record = RECORD, *, resume: bool = False) -> Rollout:
        return roll_out(
            RINGS, verify=self.verify, apply=self.apply, on_ring=lambda ring: None, on_applied=lambda result: None,
            record=record, build=build, resume=resume,
        )  # fmt: skip


def last_line(rollout: Rollout) -> str:
    return after_harden(rollout, Command("elm"))


def test_rings_follow_one_another_each_verified_before_the_next(tmp_path: Path) -> None:
    machines = Machines()
    rollout = machines.roll_out(tmp_path)
    assert machines.log == [f"{step} {ring.name}" for ring in RINGS for step in ("before", "apply", "after")]
    assert read_record(tmp_path, "sha256:1") == Record(
        policy_digest="sha256:1", proved=("pc-1", "pc-2", "pc-3", "pc-4")
    )
    assert last_line(rollout) == (
        "Done: 4 machines hardened with 4 changes, 4 of 4 promises kept.  "
        "Next: readingroom verify elm, whenever you like"
    )


@pytest.mark.parametrize(
    ("machines", "why"),
    [
        (Machines({"pc-2": "failed"}), "pc-2 did not go through"),
        (Machines(after={"pc-3": "broken"}), "pc-3 breaks 1 promise"),
        (Machines(after={"pc-3": "not-tested"}), "on pc-3 no promise could be shown to be kept"),
        (Machines({"pc-2": "busy"}), "pc-2 did not go through"),
        (Machines({"pc-2": "unreachable", "pc-3": "unreachable"}), "none of its machines could be reached"),
    ],
)
def test_a_broken_ring_stops_the_rollout_and_later_rings_are_not_touched(machines: Machines, why: str) -> None:
    rollout = machines.roll_out()
    assert "apply rest" not in machines.log
    assert [ring.name for ring in rollout.not_begun] == ["rest"]
    stopped = rollout.results[-1].gate
    assert stopped is not None
    assert not stopped.is_open
    assert why in "; ".join(stopped.why)
    assert "not begun, nothing changed there: ring rest (1 machine)" in last_line(rollout)


def test_a_machine_that_is_off_is_pending_and_stops_nobody() -> None:
    machines = Machines({"pc-2": "unreachable"}, after={"pc-2": "away"})
    rollout = machines.roll_out()
    assert machines.log[-1] == "after rest"
    assert [result.gate.pending for result in rollout.results if result.gate] == [(), ("pc-2",), ()]
    assert last_line(rollout).endswith(
        "Not done: pc-2 could not be reached.  Next: switch it on, then readingroom harden elm --limit pc-2"
    )


def test_resume_leaves_out_what_was_proved_and_goes_on(tmp_path: Path) -> None:
    Machines(after={"pc-3": "broken"}).roll_out(tmp_path)
    record = read_record(tmp_path, "sha256:1")
    assert record is not None
    assert record.proved == ("pc-1", "pc-2")
    machines = Machines()
    rollout = machines.roll_out(tmp_path, record, resume=True)
    assert machines.log[0] == "before main"
    assert rollout.results[0].ring.machines == ("pc-3",)
    assert "pc-1, pc-2 proved by an earlier run" in last_line(rollout)


def test_without_resume_everybody_is_hardened_again() -> None:
    machines = Machines()
    machines.roll_out(record=RECORD.with_proved(("pc-1",)))
    assert machines.log[0] == "before canary"


def test_another_policy_proves_nothing(tmp_path: Path) -> None:
    Machines().roll_out(tmp_path)
    assert read_record(tmp_path, "sha256:2") is None


def test_a_machine_that_is_being_changed_is_not_proved_any_longer(tmp_path: Path) -> None:
    Machines(interrupt="apply canary").roll_out(tmp_path, RECORD.with_proved(("pc-1", "pc-4")))
    found = read_record(tmp_path, "sha256:1")
    assert found is not None
    assert found.proved == ("pc-4",)


@pytest.mark.parametrize(
    ("interrupt", "said"),
    [
        (
            "before canary",
            "Done: nothing.  Not done: stopped while verifying, before anything of ring canary was changed",
        ),
        ("apply main", "stopped before the promises of ring main were verified again"),
        ("after main", "stopped before the promises of ring main were verified again"),
    ],
)
def test_ctrl_c_says_what_was_done_and_what_to_type(interrupt: str, said: str) -> None:
    rollout = Machines(interrupt=interrupt).roll_out()
    assert rollout.interrupted
    assert said in last_line(rollout)
    assert "Next: readingroom " in last_line(rollout)


@pytest.mark.parametrize(
    ("machines", "following"),
    [
        (Machines({"pc-1": "failed"}), "mend what is said above, then readingroom harden elm --resume (always safe)"),
        (Machines({"pc-1": "busy"}), "wait until that run has ended, then readingroom harden elm --resume"),
        (Machines(after={"pc-1": "broken"}), "look at what is BROKEN above; readingroom plan elm says whether"),
        (Machines({"pc-1": "unreachable"}), "switch it on, then readingroom harden elm --limit pc-1"),
    ],
)
def test_the_last_line_says_what_to_type_next(machines: Machines, following: str) -> None:
    assert following in last_line(machines.roll_out())


def test_started_by_make_the_last_line_speaks_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")
    assert "Next: make verify SITE=elm" in last_line(Machines().roll_out())
    assert "make harden SITE=elm RESUME=yes" in last_line(Machines({"pc-1": "busy"}).roll_out())


def test_verify_says_what_would_mend_what_is_broken() -> None:
    line = after_verify(evidence({"pc-1": "kept", "pc-2": "broken", "pc-3": "away"}), Command("elm"))
    assert line == (
        "Done: 2 machines verified, 1 of 3 promises kept, 1 broken, 1 not tested.  Not done: pc-3 could not be reached.  "
        "Next: readingroom plan elm --limit pc-2 says what would mend it"
    )


def test_the_gate_opens_for_waived_promises_beside_kept_ones() -> None:
    found = evidence({"pc-1": "kept"})
    controls = {
        **found.machines["pc-1"].controls,
        "log.retention": evidence({"x": "waived"}).machines["x"].controls["log.journal"],
    }
    machine = found.machines["pc-1"].model_copy(update={"controls": controls})
    applied = ApplyResult("ansible", False, {"pc-1": MachineResult("ok")})
    assert gate(applied, found.model_copy(update={"machines": {"pc-1": machine}})).proved == ("pc-1",)


def test_what_nothing_changed_is_not_verified_again_and_opens_its_gate() -> None:
    machines = Machines(changes=())
    rollout = machines.roll_out()
    assert not [step for step in machines.log if step.startswith("after")]
    assert rollout.unchanged
    assert not rollout.not_begun
    assert not Machines().roll_out().unchanged
