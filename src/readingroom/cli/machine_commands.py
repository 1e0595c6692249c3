"""`plan`, `harden` and `verify`: everything that reaches machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .. import apply, verify
from ..apply import ApplyResult
from ..errors import ReadingRoomError
from ..fleet import LAB, Ring, Site
from ..lab import Lab
from ..report import Command, after_harden, after_plan, after_verify, plain, plan_text, rows, table
from ..rollout import Record, Rollout, read_record, roll_out
from ..verify import Evidence, policy_digest
from .drift import last_evidence, tell_drift
from .output import out
from .prepare import Prepared, SiteArgument, prepare_and_compile
from .progress import applying, verifying

KEPT, BROKEN, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class Engine(StrEnum):
    """What applies the roles."""

    ansible = "ansible"
    pyinfra = "pyinfra"


EngineOption = Annotated[Engine, typer.Option("--engine", help="What applies the roles; the result is the same.")]
LimitOption = Annotated[str | None, typer.Option("--limit", help="Machines or classes, separated by commas.")]
RingOption = Annotated[str | None, typer.Option("--ring", help="Rings of the inventory, separated by commas.")]
RoleOption = Annotated[list[str] | None, typer.Option("--role", help="Only this role; may be repeated.")]


def plan(
    site: SiteArgument = LAB,
    engine: EngineOption = Engine.ansible,
    limit: LimitOption = None,
    ring: RingOption = None,
    role: RoleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The plan for another program: plan.schema.json.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also show new files, and long diffs to their end.")] = False,
) -> None:
    """Say what harden would do to each machine, by promise, and whether anyone would notice. Nothing is changed."""
    ready = _ready(site)
    names = _chosen(ready.site, limit, ring)
    told = out.aside if as_json else out
    with applying(told, "Looking at what would change") as on_event:
        result = apply.harden(
            ready.site, engine=engine.value, roles=role, machines=names, check=True, on_event=on_event
        )
    part = limit or ring or role or result.interrupted
    found = apply.planned(result, ready.site, ready.catalogue, complete=not part)
    if as_json:
        out.raw(found.text())
    else:
        titles = {control.id: control.title for control in ready.catalogue.controls.values()}
        for line in plan_text(found, titles, full=full):
            out.show(line)
    told.last(after_plan(found, _command(site, engine, limit, ring), interrupted=result.interrupted))
    raise typer.Exit(_status(result))


def harden(
    site: SiteArgument = LAB,
    engine: EngineOption = Engine.ansible,
    limit: LimitOption = None,
    ring: RingOption = None,
    role: RoleOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out what an earlier run has proved.")] = False,
) -> None:
    """Verify, apply the policy, verify again what changed, and print the promises before → after; ring by ring.

    Without a SITE this is the lab: disposable machines on this computer. Your own machines are touched only when
    you name their site.
    """
    ready = _ready(site)
    names = _chosen(ready.site, limit, ring)
    rings = ready.site.rings_of(names, ring.split(",") if ring else None)
    digest = policy_digest(ready.site)
    earlier = read_record(ready.site.build, digest)
    if resume and earlier is None:
        out.say("Nothing of this policy has been proved by an earlier run: every machine is hardened.")

    def applied(part: Ring) -> ApplyResult:
        with applying(out, f"Applying with {engine.value}") as on_event:
            return apply.harden(
                ready.site, engine=engine.value, roles=role, machines=part.machines, check=False, on_event=on_event
            )

    rollout = roll_out(
        rings,
        verify=lambda part, when: _verified(ready.site, part.machines, f"Verifying {when}", roles=role),
        apply=applied,
        on_ring=lambda part: _tell_ring(part, rings),
        on_applied=_applied,
        record=earlier or Record(policy_digest=digest),
        build=None if role else ready.site.build,
        resume=resume,
    )
    if rollout.after is not None:
        everything = not role and {machine.name for machine in ready.site.machines} == set(rollout.after.machines)
        _write(rollout.after.model_copy(update={"complete": everything}), ready.site, whole=everything)
        if rollout.unchanged:
            out.say("Nothing was changed, so what was verified before still stands.")
        _print_table(rollout.after, None if rollout.unchanged else rollout.before)
    _tell_gate(rollout)
    out.last(after_harden(rollout, _command(site, engine, limit, ring)))
    raise typer.Exit(_rollout_code(rollout))


def verify_(
    site: SiteArgument = LAB,
    limit: LimitOption = None,
    ring: RingOption = None,
    role: RoleOption = None,
    control: Annotated[list[str] | None, typer.Option("--control", help="Only this promise; may be repeated.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write a JUnit report for CI.")] = None,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Also say what changed since the last run, and by what.")
    ] = False,
) -> None:
    """Check every promise on the running machines, and write the evidence to build/SITE/evidence.json."""
    ready = _ready(site)
    names = _chosen(ready.site, limit, ring)
    earlier = last_evidence(ready.site) if since_last else None
    evidence = _verified(ready.site, names, "Verifying", roles=role, controls=control)
    _write(evidence, ready.site, whole=not (limit or ring or role or control))
    if junit is not None:
        evidence.junit(junit)
    _print_table(evidence)
    if since_last:
        tell_drift(ready, earlier, evidence)
    out.last(after_verify(evidence, _command(site, None, limit, ring)))
    raise typer.Exit(_exit_code(evidence))


# what they share ------------------------------------------------------------------------------------------------------


def _ready(site: str) -> Prepared:
    """The site compiled, and its lab machines up if it is the lab."""
    if site == LAB:
        missing = Lab.current().missing_requirements()
        if missing:
            raise ReadingRoomError(
                "the lab cannot run here: " + "; ".join(missing) + "\n"
                "  to mend  make harden installs what can be installed; or name your own machines: make harden SITE=…"
            )
    prepared = prepare_and_compile(site)
    review = prepared.policy.own.approved.get("review_by")
    if review is not None and review < date.today():
        out.say(f"The policy was due for review on {review}: have it approved anew.", style="yellow")
    if site == LAB:
        Lab.current().up([machine.name for machine in prepared.site.machines])
    return prepared


def _chosen(site: Site, limit: str | None, ring: str | None) -> list[str] | None:
    """The machines that `--limit` and `--ring` leave; None when all are meant."""
    if limit is None and ring is None:
        return None
    names = [machine.name for machine in site.limited_to(limit.split(",") if limit else None)]
    left = {name for part in site.rings_of(names, ring.split(",") if ring else None) for name in part.machines}
    if not left:
        raise ReadingRoomError(f"no machine of {limit} is in the ring {ring}\n  to mend  leave one of them out")
    return [name for name in names if name in left]


def _command(site: str, engine: Engine | None, limit: str | None, ring: str | None) -> Command:
    """How this command was given, for the last words; what is the default is left out."""
    other = engine.value if engine not in (None, Engine.ansible) else None
    return Command(site, {"engine": other, "limit": limit, "ring": ring})


def _tell_ring(ring: Ring, rings: Sequence[Ring]) -> None:
    if len(rings) > 1:
        out.say(f"\nRing {ring.name}: {', '.join(ring.machines)}", style="bold")


def _tell_gate(rollout: Rollout) -> None:
    """Why a rollout went no further, and who is pending."""
    last = rollout.results[-1].gate if rollout.results else None
    if last and last.why and rollout.not_begun:
        out.error(f"The gate of ring {rollout.results[-1].ring.name} stays shut: {'; '.join(last.why)}.")
    pending = [name for result in rollout.results if result.gate for name in result.gate.pending]
    if pending:
        out.say(f"Pending, because they could not be reached: {', '.join(pending)}", style="yellow")


def _rollout_code(rollout: Rollout) -> int:
    codes = [_status(result.applied) for result in rollout.results if result.applied]
    if rollout.after:
        codes.append(_exit_code(rollout.after))
    return INTERRUPTED if rollout.interrupted else max(codes, default=KEPT)


def _verified(
    site: Site,
    machines: Sequence[str] | None,
    what: str,
    *,
    roles: Sequence[str] | None = None,
    controls: Sequence[str] | None = None,
) -> Evidence:
    with verifying(out, what) as on_event:
        return verify.run(site, controls=controls, roles=roles, machines=machines, on_event=on_event)


def _write(evidence: Evidence, site: Site, *, whole: bool) -> None:
    """Evidence of a part never replaces evidence of the whole."""
    path = site.build / ("evidence.json" if whole else "evidence-part.json")
    evidence.write(path)
    out.say(f"Evidence: {path.relative_to(site.root)}")


def _print_table(after: Evidence, before: Evidence | None = None) -> None:
    promises = rows(after, before)
    if out.console.is_terminal:
        out.console.print(table(promises))
    else:
        out.say(plain(promises))


def _applied(result: ApplyResult) -> None:
    """Say how each machine fared."""
    for name, machine in result.machines.items():
        if machine.status == "ok":
            out.say(f"{name}: {machine.message}", style="bold")
        else:
            out.error(f"{name}: {machine.message}")
        for note in dict.fromkeys(machine.notes):
            out.say(f"  note: {note}", style="yellow")


def _status(result: ApplyResult) -> int:
    statuses = {machine.status for machine in result.machines.values()}
    if "unreachable" in statuses:
        return UNREACHABLE
    return INTERRUPTED if result.interrupted else BROKEN if "failed" in statuses else KEPT


def _exit_code(evidence: Evidence) -> int:
    if any(machine.unreachable for machine in evidence.machines.values()):
        return UNREACHABLE
    return BROKEN if any(found.verdict == "broken" for _, _, found in evidence.verdicts()) else KEPT
