"""A library's policy: read, layered, explained."""

from .effective import Holder, Policy, Resolved, Say
from .load import check, load, of_preset

__all__ = ["Holder", "Policy", "Resolved", "Say", "check", "load", "of_preset"]
