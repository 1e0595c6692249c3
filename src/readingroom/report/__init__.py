"""What people read: the table of promises, before and after, as data, on a terminal and as plain text; the plan."""

from .plan import plan_text
from .promises import Row, Summary, plain, rows, summary
from .terminal import table

__all__ = ["Row", "Summary", "plain", "plan_text", "rows", "summary", "table"]
