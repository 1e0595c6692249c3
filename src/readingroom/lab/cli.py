"""The commands `readingroom lab …`.

Must not know how the lab works; that is `Lab`. Errors leave as LabError for whoever mounts `app` to print.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .errors import LabError
from .lab import Lab
from .processes import inside_environment

app = typer.Typer(
    help="Disposable Debian machines on this host: a small library's, unhardened on purpose.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[MACHINE]…", help="Which machines.")]
Name = Annotated[str, typer.Argument(metavar="MACHINE", help="Which machine.")]


@app.command()
def up(machines: Names = None) -> None:
    """Boot machines; builds their images on first use. Running ones are left alone.

    Without a name: public-1 (Debian 13) and staff-1 (Debian 12).
    """
    lab = _lab()
    lab.up(machines)
    typer.echo(f"The lab is up. Log in with: ssh -F {lab.ssh_config} {(machines or ['public-1'])[0]}")


@app.command()
def down(machines: Names = None) -> None:
    """Switch machines off (all when none is named). What they wrote stays."""
    _lab().down(machines)


@app.command()
def destroy() -> None:
    """Throw all machines of this lab away. The images stay."""
    _lab().destroy()


@app.command()
def reset(machine: Name) -> None:
    """Throw one machine away and boot it anew, as found."""
    _lab().reset(machine)


@app.command()
def status() -> None:
    """Show every machine: what it is, where, and whether it runs."""
    lab = _lab()
    table = Table("machine", "class", "release", "address", "state", box=None, pad_edge=False)
    for entry in lab.status():
        machine = entry.machine
        state = f"{entry.state}, outdated image" if entry.outdated else entry.state
        table.add_row(machine.name, machine.machine_class, machine.suite, machine.address, state)
    Console().print(table)


@app.command()
def build(
    again: Annotated[bool, typer.Option("--again", help="Also those that are there: for newer packages.")] = False,
) -> None:
    """Build the images machines stand on, without booting any."""
    lab = _lab()
    lab.build(again)
    for name in lab.prune():
        typer.echo(f"removed the outdated image {name}")


@app.command()
def shell(machine: Name) -> None:
    """Open a shell as root in a machine, past ssh."""
    _replace([*_lab().enter_command(machine), "bash", "-l"])


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(machine: Name, command: Annotated[list[str], typer.Argument(metavar="COMMAND…")]) -> None:
    """Run a command as root in a machine, past ssh: readingroom lab exec public-1 -- lpstat -t."""
    words = command[1:] if command[0] == "--" else command
    _replace([*_lab().enter_command(machine), *words])


def _lab() -> Lab:
    lab = Lab.current()
    lab.require_root()
    return lab


def _replace(command: list[str]) -> None:
    sys.stdout.flush()
    # S606: this process becomes the command, so that a terminal, signals and exit status are its own
    os.execvpe(command[0], command, inside_environment())  # noqa: S606


def main() -> None:
    """Run the commands on their own, printing errors the way the lab words them."""
    try:
        app(prog_name="readingroom lab")
    except LabError as problem:
        typer.echo(str(problem), err=True)
        raise SystemExit(3) from None
