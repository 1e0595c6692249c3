"""What time it is, when the machine's clock may have jumped.

Deleting goes by age, and age by the clock. A clock that leaps ahead would make fresh records look old, one that falls
back would keep old ones for ever. So each run remembers when it ran, by the clock and by the time since boot (which
nobody can set), and a leap within one boot is believed only when a time service vouches for the clock, or when the
machine has been on with it for a day. Until then the purge goes on by its own reckoning: last run + time since then.

After a boot there is nothing to measure a leap ahead with (a machine may have been off for the summer), so the clock
is believed, unless it shows a time before the last run.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 600.0
PATIENCE = 86400.0


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment: `wall` as set, `uptime` since boot (asleep or awake), and which boot it was."""

    wall: float
    uptime: float
    boot: str


@dataclass(frozen=True)
class Reckoning:
    """What a run took for the time, kept for the next one; `doubted` is for how long the clock was on and not believed."""

    now: float
    uptime: float
    boot: str
    doubted: float | None = None

    def stored(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def reckon(before: Reckoning | None, seen: Reading, vouched: Callable[[], bool]) -> Reckoning:
    """The time to judge ages by; the time service is only asked when the clock has leapt.

    >>> last = Reckoning(now=1000.0, uptime=50.0, boot="a")
    >>> reckon(last, Reading(wall=4600.0, uptime=3650.0, boot="a"), lambda: False).now     # an hour passed on both
    4600.0
    >>> reckon(last, Reading(wall=900000.0, uptime=3650.0, boot="a"), lambda: False).now   # a leap nobody vouches for
    4600.0
    >>> reckon(last, Reading(wall=900000.0, uptime=3650.0, boot="a"), lambda: True).now
    900000.0
    >>> reckon(last, Reading(wall=90.0, uptime=20.0, boot="b"), lambda: False).now         # a dead battery after a boot
    1000.0
    """
    believed = Reckoning(seen.wall, seen.uptime, seen.boot)
    if before is None:
        return believed
    same_boot = before.boot == seen.boot
    # Across a boot the time since boot tells nothing (a container's counts from its host's boot).
    elapsed = max(0.0, seen.uptime - before.uptime) if same_boot else 0.0
    expected = before.now + elapsed
    leap = seen.wall - expected
    if abs(leap) <= TOLERANCE or (leap > 0 and not same_boot) or vouched():
        return believed
    doubted = 0.0 if before.doubted is None else before.doubted + elapsed
    return believed if doubted >= PATIENCE else Reckoning(expected, seen.uptime, seen.boot, doubted)


def read_clocks() -> Reading:
    """The clocks of this machine, now."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Reading(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


def time_service_vouches() -> bool:
    """Whether the kernel's clock is being kept by a time service that has reached its servers."""
    try:
        asked = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == "yes"
