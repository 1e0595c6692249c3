"""`python -m readingroom.verify`: one role's checks, quickly, for the authors of roles and tests.

`readingroom verify` is the command for users; this one exists so that a test can be run before a whole site can.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import ReadingRoomError
from ..toolkit import root
from .runner import run


@dataclass(frozen=True)
class _Site:
    name: str
    root: Path
    build: Path
    ssh_config: Path
    vantages: tuple[tuple[str, ...], ...]


def main() -> int:
    """Verify, print a line for each promise, write the evidence."""
    options = _options()
    home = root()
    build = home / "build" / options.site
    config = options.ssh_config
    vantages: tuple[tuple[str, ...], ...] = ((),)
    if config is None:
        from ..lab import Lab

        lab = Lab.current()
        config, vantages = lab.ssh_config, lab.vantages
    site = _Site(options.site, home, build, Path(config), vantages)
    instance = os.environ.get("READINGROOM_LAB", "") if options.site == "lab" else ""
    logs = build / "verify" / instance
    target = options.evidence or (logs if instance else build) / "evidence.json"
    began = time.monotonic()
    try:
        evidence = run(
            site, controls=options.control, roles=options.role, machines=options.machine, shuffle=options.shuffle,
            logs=logs,
        )  # fmt: skip
    except ReadingRoomError as error:
        print(error, file=sys.stderr)
        return 2
    evidence.write(target)
    if options.junit:
        evidence.junit(options.junit)
    for machine, control, found in evidence.verdicts():
        if found.verdict != "not-applicable":
            words = "; ".join(filter(None, (found.reason, found.observed)))
            print(f"{machine:<10} {found.verdict:<11} {control:<29} {words}")
    print(f"{time.monotonic() - began:.1f} s; {target}; logs of checks that did not work: {logs}")
    return 1 if evidence.counts["broken"] else 3 if evidence.unreachable else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m readingroom.verify", description=__doc__)
    parser.add_argument("--site", default="lab")
    parser.add_argument("--role", action="append")
    parser.add_argument("--control", action="append")
    parser.add_argument("--machine", action="append")
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="run the tests in another order")
    parser.add_argument("--evidence", type=Path, help="where to write it; the default is printed")
    parser.add_argument("--junit", type=Path)
    parser.add_argument("--ssh-config", type=Path, help="default: the lab's (READINGROOM_LAB picks the instance)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
