"""When a night begins to count, for everything that the policy calls "nightly". Knows no jobs."""

from __future__ import annotations

import time

HOUR = 3  # closed everywhere; the timers are set to the same hour


def last_night(now: float) -> float:
    """The most recent three o'clock at night, local time, as a time stamp."""
    local = time.localtime(now)
    three = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, HOUR, 0, 0, 0, 0, -1))
    if three <= now:
        return three
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday - 1, HOUR, 0, 0, 0, 0, -1))
