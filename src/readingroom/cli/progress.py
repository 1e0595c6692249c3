"""What a person sees while machines work: one moving line for each machine, or plain lines where nothing can move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..apply import Event as ApplyEvent
from ..verify import Event as VerifyEvent
from ..verify import Finished, Judged, Started
from .output import Output


@contextmanager
def applying(out: Output, title: str) -> Iterator[Callable[[ApplyEvent], None]]:
    """Show a run of an engine; yields what takes its events."""
    columns = (SpinnerColumn(), TextColumn("{task.fields[machine]}", style="bold"), TextColumn("{task.description}"))
    progress = Progress(
        *columns, TimeElapsedColumn(), console=out.console, transient=True, disable=not out.console.is_terminal
    )
    rows: dict[str, TaskID] = {}
    roles: dict[str, str] = {}

    def heard(event: ApplyEvent) -> None:
        if not event.machine and event.detail:
            out.say(event.detail)
        if not event.machine or event.kind == "note":  # a machine's notes come with its last words
            return
        if out.console.is_terminal:
            if event.machine not in rows:
                rows[event.machine] = progress.add_task("", machine=event.machine, total=None)
            if event.what or event.role:
                progress.update(rows[event.machine], description=f"{event.role}: {event.what}".strip(": "))
        elif event.role and roles.get(event.machine) != event.role:
            roles[event.machine] = event.role
            out.say(f"  {event.machine}: {event.role}")

    out.say(f"{title} …")
    with progress:
        yield heard


@contextmanager
def verifying(out: Output, title: str) -> Iterator[Callable[[VerifyEvent], None]]:
    """Show a verification; yields what takes its events."""
    columns = (TextColumn("{task.description}", style="bold"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=out.console, transient=True, disable=not out.console.is_terminal)
    rows: dict[str, TaskID] = {}
    seen: set[tuple[str, str]] = set()

    def heard(event: VerifyEvent) -> None:
        match event:
            case Started(machine=machine, controls=controls):
                rows[machine] = progress.add_task(machine, total=controls)
            case Judged(machine=machine, control=control):
                if (machine, control) not in seen:
                    seen.add((machine, control))
                    progress.advance(rows[machine])
            case Finished(machine=machine, unreachable=unreachable):
                progress.remove_task(rows[machine])
                if unreachable:
                    out.error(f"{machine}: {unreachable}")

    out.say(f"{title} …")
    with progress:
        yield heard
