"""`undo` and `leave`: the way back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from .. import apply, controls, toolkit
from ..apply import ApplyResult
from ..apply.rendering import read_role_variables
from ..errors import ReadingRoomError
from ..fleet import LAB, Site
from ..report import Command, after_undo
from .machine_commands import LimitOption, RingOption, RoleOption, _applied, _chosen, _command, _ready, _status
from .output import out
from .prepare import SiteArgument
from .progress import applying

YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def undo(
    site: SiteArgument = LAB,
    limit: LimitOption = None,
    ring: RingOption = None,
    role: RoleOption = None,
    yes: YesOption = False,
) -> None:
    """Give machines back as they were before Reading Room changed them: all of it, or one role.

    Says first what comes back and what cannot, and asks. What another role still needs stays.
    """
    ready = _ready(site).site
    _give_back(ready, _chosen(ready, limit, ring), role, _command(site, None, limit, ring), yes=yes, leave=False)


def leave(site: SiteArgument, limit: LimitOption = None, ring: RingOption = None, yes: YesOption = False) -> None:
    """Take machines out of Reading Room: undo everything, and remove every trace of it from them.

    The policy, the inventory and the evidence are the library's own and stay where they are.
    """
    ready = _ready(site).site
    _give_back(ready, _chosen(ready, limit, ring), None, _command(site, None, limit, ring), yes=yes, leave=True)


def _give_back(
    site: Site,
    machines: Sequence[str] | None,
    roles: Sequence[str] | None,
    command: Command,
    *,
    yes: bool,
    leave: bool,
) -> None:
    verb = "leave" if leave else "undo"
    if roles:
        command = Command(command.site, {**command.options, "role": " --role ".join(roles)})
    with applying(out, "Looking at what would be given back") as on_event:
        result = apply.undo(site, roles=roles, machines=machines, check=True, leave=leave, on_event=on_event)
    _applied(result)
    _tell(site.root, result)
    if any(machine.changes for machine in result.machines.values()) and not result.interrupted:
        if not yes and not _confirmed():
            out.last(after_undo(result, command, verb))
            raise typer.Exit(_status(result))
        with applying(out, "Giving back") as on_event:
            result = apply.undo(site, roles=roles, machines=machines, leave=leave, on_event=on_event)
        _applied(result)
    out.last(after_undo(result, command, verb))
    raise typer.Exit(_status(result))


def _tell(root: Path, result: ApplyResult) -> None:
    """What would come back on each machine, and what of it cannot."""
    concerned = set()
    for name, machine in result.machines.items():
        for role, changes in groupby(machine.changes, key=lambda change: change.role):
            concerned.add(role)
            out.say(f"  {name}: {role or 'what is left of Reading Room'}")
            for change in changes:
                out.say(f"    {change.what}")
    for role in sorted(concerned - {""}):
        out.say(f"What cannot be given back, and how each promise of {role} ends:", style="bold")
        for line in lost(root, role):
            out.say(f"  {line}")


def lost(root: Path, role: str) -> Iterable[str]:
    """What a role deletes for ever, and what each of its promises says about its way back."""
    yield from read_role_variables(root / "roles" / role).get(f"__{role}_manages", {}).get("data", ())
    catalogue = controls.load(toolkit.root(), linked=False)
    yield from (f"{control.id}: {control.reversal}" for control in catalogue.of_role(role))


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise ReadingRoomError(
            "there is nobody to ask whether all this shall be given back\n  to mend  add --yes, or run it in a terminal"
        )
    return typer.confirm("Give all this back?", default=False)
