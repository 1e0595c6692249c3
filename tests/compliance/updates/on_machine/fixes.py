"""Does what apt's own timers start, in the private view, where a newer version of a canary waits in an archive of ours.

Prints {"busy"} when somebody else is installing, else {"before", "after": versions, "steps": commands run,
"locked", "offered": the view works}.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import private

FOLDER, CANARY = Path(sys.argv[1]), sys.argv[2]


def sweep() -> None:
    """Take away what a check left when the power went in the middle of it; another one may be at work for two hours."""
    hour = int(time.time()) // 3600
    known = private.run("dpkg-query", "--show", "--showformat", "${Package}\n", "rrcheck*")[1].split()
    for name in known:
        match = re.fullmatch(r"rrcheck(\d+)x[0-9a-f]+", name)
        if match and hour - int(match[1]) > 2:
            private.run("dpkg", "--purge", "--force-remove-reinstreq", name)


def main() -> dict[str, object]:
    sweep()
    if private.busy():
        return {"busy": True}
    old = private.deb(FOLDER, CANARY, "1")
    private.archive(FOLDER / "archive", private.deb(FOLDER, CANARY, "2"), private.codename())
    private.only(f"deb [trusted=yes] file:{FOLDER}/archive ./", FOLDER)
    if private.run("dpkg", "--install", str(old))[0]:
        return {"busy": True}
    try:
        before, steps = private.version(CANARY), 0
        for unit in ("apt-daily.service", "apt-daily-upgrade.service"):
            if command := private.starts(unit):
                private.run(*command, within=60)
                steps += 1
        after = private.version(CANARY)
        logs = [path.read_text(errors="replace") for path in Path("/var/log/unattended-upgrades").glob("*.log")]
        locked = after == before and (private.busy() or any("ock could not be acquired" in log for log in logs))
        private.run("apt-get", "update")  # the control: asked by hand, apt sees the fix
        return {
            "busy": False, "before": before, "after": after, "steps": steps, "locked": locked,
            "offered": private.candidate(CANARY) == "2",
        }  # fmt: skip
    finally:
        private.run("dpkg", "--purge", CANARY)


print(json.dumps(main()))
