"""`undo` and `leave`: the way back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from .. import apply, controls, toolkit
from ..errors import ReadingRoomError
from ..fleet import LAB, Site
from .machine_commands import LimitOption, RoleOption, _applied, _limited, _ready
from .output import out
from .prepare import SiteArgument
from .progress import applying

YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def undo(
    site: SiteArgument = LAB,
    limit: LimitOption = None,
    role: RoleOption = None,
    yes: YesOption = False,
) -> None:
    """Give machines back as they were before Reading Room changed them: all of it, or one role.

    Says first what comes back and what cannot, and asks. What another role still needs stays.
    """
    ready = _ready(site)
    _give_back(ready, _limited(ready, limit), role, yes=yes, leave=False)


def leave(site: SiteArgument, limit: LimitOption = None, yes: YesOption = False) -> None:
    """Take machines out of Reading Room: undo everything, and remove every trace of it from them."""
    ready = _ready(site)
    _give_back(ready, _limited(ready, limit), None, yes=yes, leave=True)
    out.say(
        f"The policy, the inventory and the evidence of {site} are the library's own and stay: "
        f"policies/{site}.yml, inventories/{site}/, build/{site}/."
    )


def _give_back(
    site: Site, machines: Sequence[str] | None, roles: Sequence[str] | None, *, yes: bool, leave: bool
) -> None:
    with applying(out, "Looking at what would be given back") as on_event:
        looked = apply.undo(site, roles=roles, machines=machines, check=True, leave=leave, on_event=on_event)
    code = _applied(looked, with_changes=True)
    if looked.interrupted or not any(machine.changes for machine in looked.machines.values()):
        if code or looked.interrupted:
            raise typer.Exit(code)
        return
    concerned = {change.role for machine in looked.machines.values() for change in machine.changes}
    out.say("What cannot be given back:", style="bold")
    for role in sorted(concerned - {""}):
        for line in lost(site.root, role):
            out.say(f"  {role}: {line}")
    if not yes and not _confirmed():
        out.say("Nothing was changed.")
        raise typer.Exit(code)
    with applying(out, "Giving back") as on_event:
        done = apply.undo(site, roles=roles, machines=machines, leave=leave, on_event=on_event)
    code = _applied(done)
    if code:
        raise typer.Exit(code)


def lost(root: Path, role: str) -> Iterable[str]:
    """What a role deletes for ever, and what each of its promises says about its way back."""
    path = root / "roles" / role / "vars" / "main.yml"
    manages = yaml.safe_load(path.read_text(encoding="utf-8"))[f"__{role}_manages"] if path.is_file() else {}
    yield from manages.get("data", ())
    catalogue = controls.load(toolkit.root(), linked=False)
    yield from (f"{control.id}: {control.reversal}" for control in catalogue.of_role(role))


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise ReadingRoomError(
            "there is nobody to ask whether all this shall be given back\n  to mend  add --yes, or run it in a terminal"
        )
    return typer.confirm("Give all this back?", default=False)
