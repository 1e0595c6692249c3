"""The table of promises, before and after: first as data, then for a terminal, then as plain text."""

from .promises import Row, Summary, plain, rows, summary
from .terminal import table

__all__ = ["Row", "Summary", "plain", "rows", "summary", "table"]
