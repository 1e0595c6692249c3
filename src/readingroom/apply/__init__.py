"""Carry out a compiled policy on machines, with Ansible or with pyinfra, and take it back.

`harden`, `planned` and `undo` are all that other parts need. Neither engine is imported into the calling process: each runs as
a child.
"""

from readingroom.apply.harden import harden
from readingroom.apply.model import ApplyResult, Change, Engine, Event, MachineResult
from readingroom.apply.planned import MachinePlan, Plan, planned
from readingroom.apply.undo import undo

__all__ = [
    "ApplyResult",
    "Change",
    "Engine",
    "Event",
    "MachinePlan",
    "MachineResult",
    "Plan",
    "harden",
    "planned",
    "undo",
]
