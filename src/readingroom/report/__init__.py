"""What people read: the table of promises, before and after, as data, on a terminal and as plain text; the plan; and the
last line of a command."""

from .drift import Drift, drift_text, drifted, last_look
from .last_words import Command, after_harden, after_plan, after_undo, after_verify
from .plan import plan_text
from .promises import Row, Summary, plain, rows, summary
from .terminal import table

__all__ = [
    "Command",
    "Drift",
    "Row",
    "Summary",
    "after_harden",
    "after_plan",
    "after_undo",
    "after_verify",
    "drift_text",
    "drifted",
    "last_look",
    "plain",
    "plan_text",
    "rows",
    "summary",
    "table",
]
