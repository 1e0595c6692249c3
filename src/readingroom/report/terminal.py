"""The table of promises for a terminal, in colour. Must not know anything that the data does not say."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..verify.evidence import Verdict
from .promises import WORDS, Row, summary

_STYLES: dict[Verdict, str] = {
    "kept": "green",
    "broken": "bold red",
    "waived": "yellow",
    "unsupported": "blue",
    "not-tested": "magenta",
    "not-applicable": "dim",
}


def table(promises: Sequence[Row]) -> Table:
    """A rich table, a section for each machine; what was seen stands under each promise that is not kept."""
    compared = any(row.before for row in promises)
    made = Table(title=str(summary(promises)), title_style="bold", title_justify="left", expand=False)
    made.add_column("machine", no_wrap=True)
    if compared:
        made.add_column("before", no_wrap=True)
    made.add_column("after" if compared else "verdict", no_wrap=True)
    made.add_column("promise", ratio=1)
    last = ""
    for row in promises:
        if last and row.machine != last:
            made.add_section()
        said = escape(row.statement)
        if row.after != "kept" and row.note:
            said += f"\n[dim]{escape(row.note)}[/dim]"
        verdicts = [_verdict(row.before), _verdict(row.after)] if compared else [_verdict(row.after)]
        made.add_row(row.machine if row.machine != last else "", *verdicts, said)
        last = row.machine
    return made


def _verdict(verdict: Verdict | None) -> Text:
    return Text(WORDS[verdict], style=_STYLES[verdict]) if verdict else Text("")
