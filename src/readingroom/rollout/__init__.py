"""Hardening ring by ring, with a gate between: a ring must be proved to keep its promises before the next begins."""

from .gate import Gate, gate
from .record import Record, read_record
from .run import RingResult, Rollout, roll_out

__all__ = ["Gate", "Record", "RingResult", "Rollout", "gate", "read_record", "roll_out"]
