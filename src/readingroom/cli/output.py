"""What is printed: rich on a terminal, plain text elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text


class Output:
    """The two streams of a command: results, and what went wrong."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.faults = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def aside(self) -> Output:
        """The same voice on the error stream, where the standard output is for another program."""
        other = Output()
        other.console = self.faults
        return other

    def show(self, text: Text) -> None:
        """A line with colours of its own."""
        self.console.print(text)

    def say(self, text: str, style: str | None = None) -> None:
        """A line of result, in words."""
        self.console.print(text, style=style, markup=False)

    def last(self, text: str) -> None:
        """The last line of a command, apart from what came before."""
        self.console.print()
        self.console.print(text, style="bold", markup=False)

    def raw(self, text: str) -> None:
        """Text for another program, exactly as it is."""
        sys.stdout.write(text)

    def error(self, text: str) -> None:
        """What went wrong; the first line stands out."""
        head, _, rest = text.partition("\n")
        self.faults.print(head, style="bold red", markup=False)
        if rest:
            self.faults.print(rest, markup=False)


out = Output()
