"""`plan`, `harden` and `verify`: everything that reaches machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from .. import apply, verify
from ..apply import ApplyResult, Change
from ..errors import ReadingRoomError
from ..fleet import LAB, Site
from ..lab import Lab
from ..report import plain, rows, table
from ..verify import Evidence
from .output import out
from .prepare import SiteArgument, prepare_and_compile
from .progress import applying, verifying

KEPT, BROKEN, BAD_INPUT, UNREACHABLE = 0, 1, 2, 3


class Engine(StrEnum):
    """What applies the roles."""

    ansible = "ansible"
    pyinfra = "pyinfra"


EngineOption = Annotated[Engine, typer.Option("--engine", help="What applies the roles; the result is the same.")]
LimitOption = Annotated[str | None, typer.Option("--limit", help="Machines or classes, separated by commas.")]
RoleOption = Annotated[list[str] | None, typer.Option("--role", help="Only this role; may be repeated.")]


def plan(
    site: SiteArgument = LAB,
    engine: EngineOption = Engine.ansible,
    limit: LimitOption = None,
    role: RoleOption = None,
) -> None:
    """Say what harden would change on each machine. Nothing is changed."""
    ready = _ready(site)
    names = _limited(ready, limit)
    with applying(out, "Looking at what would change") as on_event:
        result = apply.harden(ready, engine=engine.value, roles=role, machines=names, check=True, on_event=on_event)
    code = _applied(result, with_changes=True)
    raise typer.Exit(code)


def harden(
    site: SiteArgument = LAB,
    engine: EngineOption = Engine.ansible,
    limit: LimitOption = None,
    role: RoleOption = None,
) -> None:
    """Verify, apply the policy, verify again if it changed anything, and print the promises before → after.

    Without a SITE this is the lab: disposable machines on this computer. Your own machines are touched only when
    you name their site.
    """
    ready = _ready(site)
    names = _limited(ready, limit)
    before = _verified(ready, names, "Verifying before", roles=role)
    with applying(out, f"Applying with {engine.value}") as on_event:
        result = apply.harden(ready, engine=engine.value, roles=role, machines=names, check=False, on_event=on_event)
    code = _applied(result)
    if result.interrupted:
        raise typer.Exit(code)
    if result.ok and not any(machine.changes for machine in result.machines.values()):
        out.say("Nothing was changed, so what was verified before still stands.")
        after = before
    else:
        after = _verified(ready, names, "Verifying after", roles=role)
    _write(after, ready, whole=not (limit or role))
    _print_table(after, None if after is before else before)
    raise typer.Exit(max(code, _exit_code(after)))


def verify_(
    site: SiteArgument = LAB,
    limit: LimitOption = None,
    role: RoleOption = None,
    control: Annotated[list[str] | None, typer.Option("--control", help="Only this promise; may be repeated.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write a JUnit report for CI.")] = None,
) -> None:
    """Check every promise on the running machines, and write the evidence to build/SITE/evidence.json."""
    ready = _ready(site)
    names = _limited(ready, limit)
    evidence = _verified(ready, names, "Verifying", roles=role, controls=control)
    _write(evidence, ready, whole=not (limit or role or control))
    if junit is not None:
        evidence.junit(junit)
    _print_table(evidence)
    raise typer.Exit(_exit_code(evidence))


# what they share ------------------------------------------------------------------------------------------------------


def _ready(site: str) -> Site:
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
    return prepared.site


def _limited(site: Site, limit: str | None) -> list[str] | None:
    names = limit.split(",") if limit else None
    return [machine.name for machine in site.limited_to(names)] if names else None


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


def _print_changes(changes: Sequence[Change]) -> None:
    for role, group in groupby(changes, key=lambda change: change.role):
        out.say(f"  {role}")
        for change in group:
            out.say(f"    {change.what}")
            for line in change.detail.splitlines():
                style = {"+": "green", "-": "red"}.get(line[:1])
                out.say(f"      {line}", style=style)


def _applied(result: ApplyResult, *, with_changes: bool = False) -> int:
    """Say how each machine fared; gives the exit code."""
    for name, machine in result.machines.items():
        if machine.status == "ok":
            out.say(f"{name}: {machine.message}", style="bold")
        else:
            out.error(f"{name}: {machine.message}")
        for note in dict.fromkeys(machine.notes):
            out.say(f"  note: {note}", style="yellow")
        if with_changes:
            _print_changes(machine.changes)
    statuses = {machine.status for machine in result.machines.values()}
    if "unreachable" in statuses:
        return UNREACHABLE
    return BROKEN if "failed" in statuses or result.interrupted else KEPT


def _exit_code(evidence: Evidence) -> int:
    if any(machine.unreachable for machine in evidence.machines.values()):
        return UNREACHABLE
    return BROKEN if any(found.verdict == "broken" for _, _, found in evidence.verdicts()) else KEPT
