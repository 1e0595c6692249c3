"""An interim command: `python -m readingroom.apply --engine pyinfra --site lab [--role R] [--machine M] [--check]`."""

from __future__ import annotations

import argparse
import sys
import time

from readingroom.apply import Event, harden
from readingroom.errors import ReadingRoomError
from readingroom.fleet import load_site
from readingroom.toolkit import root


def show(event: Event) -> None:
    """Print what a developer wants to see of an event."""
    if event.kind in ("changed", "failed", "unreachable", "note"):
        print(f"{event.machine:<12} {event.kind:<11} {event.role}: {event.what}")
        for line in event.detail.splitlines():
            print(f"{'':<25}{line}")


def main() -> int:
    """Parse, run, sum up."""
    parser = argparse.ArgumentParser(prog="python -m readingroom.apply", description=__doc__)
    parser.add_argument("--engine", choices=["ansible", "pyinfra"], default="ansible")
    parser.add_argument("--site", default="lab")
    parser.add_argument("--role", action="append", help="only this role; may be given several times")
    parser.add_argument("--machine", action="append", help="only this machine or class; may be given several times")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would be changed")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        result = harden(
            load_site(options.site, root()),
            engine=options.engine,
            roles=options.role,
            machines=options.machine,
            check=options.check,
            on_event=show,
        )
    except ReadingRoomError as error:
        print(error, file=sys.stderr)
        return 2
    for name, machine in result.machines.items():
        print(f"\n{name}: {machine.status}, {len(machine.changes)} changes, {machine.seconds} s\n{machine.message}")
    print(f"{time.monotonic() - start:.1f} s in all")
    return 0 if result.ok else 3 if any(m.status == "unreachable" for m in result.machines.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
