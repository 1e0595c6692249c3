"""Tells the person what the lab is doing: live lines on a terminal, plain lines anywhere else.

Must not know what the stages mean.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Reporter:
    """Receives what happens; this one keeps quiet."""

    def say(self, text: str) -> None:
        """Tell one thing, once."""

    def stage(self, name: str, text: str, done: float) -> None:
        """The work called `name` is now at `text`; `done` is the part behind us, from 0 to 1."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the whole of the work."""
        yield


class PlainReporter(Reporter):
    """One line per event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stage(self, name: str, text: str, done: float) -> None:
        if self._last.get(name) != text:
            self._last[name] = text
            self.say(f"{time.monotonic() - self._began:5.0f} s  {name}: {text}")


class LiveReporter(PlainReporter):
    """A bar per piece of work, on a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def stage(self, name: str, text: str, done: float) -> None:
        with self._lock:
            if self._progress is None:
                return
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=1.0, at=text)
            self._progress.update(self._tasks[name], completed=done, at=text)

    @contextmanager
    def working(self) -> Iterator[None]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[at]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as self._progress:
            yield
        self._progress, self._tasks = None, {}


def reporter(console: Console | None = None) -> Reporter:
    """Live when somebody watches, plain otherwise."""
    console = console or Console(stderr=True)
    return LiveReporter(console) if console.is_terminal else PlainReporter(console)
