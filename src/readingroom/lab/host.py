"""What the host is asked for beyond its packages. Must not know what is done in the machines."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .progress import Reporter

# Each machine watches files in a dozen ways, and all machines' roots are one user to the kernel, whose default is 128.
WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
WATCHERS_WANTED = 1024


def make_room(report: Reporter) -> None:
    """Let many machines run at once, until the host's next start; without it services fail in them when there are ten."""
    if int(WATCHERS.read_text()) >= WATCHERS_WANTED:
        return
    with contextlib.suppress(OSError):  # a host that does not let us still has room for a few
        WATCHERS.write_text(f"{WATCHERS_WANTED}\n")
        report.say(f"Raised this computer's fs.inotify.max_user_instances to {WATCHERS_WANTED} until its next start.")
