"""`waiver request`: the way to a waiver, up to the point where somebody else has to say yes."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from ..errors import ReadingRoomError, did_you_mean
from ..fleet import LAB
from ..policy.waivers import Request, answer
from ..toolkit import typed
from .output import out
from .prepare import prepare

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def _group() -> None:
    """Leave for single machines to be looser than the policy, with a reason, an owner, an approval and an end."""


@app.command()
def request(
    control: Annotated[str, typer.Argument(help="The promise that cannot be kept, such as print.unclaimed-jobs.")],
    site: Annotated[str, typer.Option("--site", help="Whose policy.")] = LAB,
    machine: Annotated[list[str] | None, typer.Option("--machine", help="For which machine; may be repeated.")] = None,
    value: Annotated[str, typer.Option("--value", help="What is to hold there instead.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")] = "",
    until: Annotated[str, typer.Option("--until", help="The last day it holds, such as 2027-01-31.")] = "",
) -> None:
    """Print a waiver to paste into the policy, and say what it still lacks. Nothing is changed."""
    prepared = prepare(site)
    controls = prepared.catalogue.controls
    if control not in controls:
        raise ReadingRoomError(f"{control} is not a promise\n  to mend  {did_you_mean(control, controls)}")
    asked = Request(controls[control], tuple(machine or ()), value, reason, owner, until)
    found = answer(asked, prepared.policy, date.today())
    out.raw(found.entry)
    for lack in found.missing:
        out.aside.say(f"missing  {lack}", style="yellow")
    out.aside.last(
        f"Nothing was changed.  Next: have it approved, put it into policies/{site}.yml, then {typed('plan', site)}"
    )
