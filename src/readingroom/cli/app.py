"""The commands put together, and how their errors leave the program."""

from __future__ import annotations

import sys

import typer

from .. import __version__
from ..errors import ReadingRoomError
from ..lab.cli import app as lab
from . import machine_commands as about_machines
from . import policy_commands as about_policy
from . import undo_commands as about_undo
from . import waiver_commands as about_waivers
from .output import out

app = typer.Typer(
    name="readingroom",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(about_machines.harden)
app.command()(about_machines.plan)
app.command(name="verify")(about_machines.verify_)
app.command()(about_undo.undo)
app.command()(about_undo.leave)
app.command()(about_policy.check)
app.command()(about_policy.explain)
app.command(name="compile")(about_policy.compile_)
app.command()(about_policy.schema)
app.command()(about_policy.generate)
app.add_typer(about_waivers.app, name="waiver", help="Ask for leave to be looser than the policy on a machine.")
app.add_typer(lab, name="lab", help="Disposable machines on this computer: boot, enter, reset, throw away.")


def _version(asked: bool) -> None:
    if asked:
        out.say(f"readingroom {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Write your library's privacy policy once; get machines that keep it, and proof that they do.

    Start with `readingroom harden lab`: two disposable machines, from red to green.
    """


def main() -> None:
    """Run the command line; a fault of the input is explained, never shown as a traceback."""
    try:
        app()
    except ReadingRoomError as error:
        out.error(str(error))
        sys.exit(about_machines.BAD_INPUT)
    except KeyboardInterrupt:
        out.error("Stopped: no machine was being changed.  Next: the same command again; it begins where things stand.")
        sys.exit(about_machines.INTERRUPTED)
