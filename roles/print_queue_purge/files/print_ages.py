"""How long a thing has been here, whatever happens to the clock. Must not know what the things are."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLOCK_STEP = 5  # a larger jump between the two clocks is somebody setting the time


@dataclass(frozen=True)
class Clock:
    """Now, by the clock on the wall and by one that nobody can set."""

    wall: float
    steady: float
    boot: str

    @staticmethod
    def now() -> Clock:
        """Read both; the steady one also counts while the machine sleeps."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Clock(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


class Ages:
    """How long each thing has been here. A wall clock that jumps makes nothing older or younger.

    What an earlier run saw ages by the steady clock. What is new is as old as its own time stamp says, unless
    the clock was set since that run: then it cannot be older than the time since.
    """

    def __init__(self, before: dict[str, Any], now: Clock) -> None:
        self._now = now
        self._before: dict[str, Any] = before.get("ages", {})
        self._ages: dict[str, float] = {}
        passed = now.wall - before.get("wall", now.wall)
        if before.get("boot") == now.boot:
            steady = now.steady - before["steady"]
            self._clock_was_set = abs(passed - steady) > CLOCK_STEP
            passed = steady
        else:
            self._clock_was_set = False
        self._passed = max(0.0, passed)

    def knows(self, key: str, stamp: float) -> bool:
        """Did the run before this one ask for it as well?"""
        return f"{key} {stamp:.0f}" in self._before

    def of(self, key: str, stamp: float) -> float:
        """Seconds that `key` has been here; `stamp` is when it says it was made, and makes it a new thing."""
        key = f"{key} {stamp:.0f}"
        if key in self._before:
            age = float(self._before[key]) + self._passed
        else:
            age = max(0.0, self._now.wall - stamp)
            if self._clock_was_set:
                age = min(age, self._passed) if stamp <= self._now.wall else self._passed
        self._ages[key] = age
        return float(age)

    def as_state(self) -> dict[str, Any]:
        """What the next run needs."""
        now = self._now
        return {"wall": now.wall, "steady": now.steady, "boot": now.boot, "ages": self._ages}


def read_state(path: Path) -> dict[str, Any]:
    """What the last run left; nothing if it left nothing that can be used."""
    try:
        state = json.loads(path.read_text())
        Ages(state, Clock(0, 0, state["boot"])).of("any", 0)
        return dict(state)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Keep the ages for the next run; without room on the disk they are worked out from time stamps again."""
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.write_text(json.dumps(state))
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
