"""Do security fixes arrive by themselves? A canary package gets its fix in the way that Debian's timers would bring it."""

from __future__ import annotations

import json
import shlex
from typing import Any

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from updates.view import BUSY, asked_in_view

HOUR = 3600
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")
LONGEST = {"daily": 24 * HOUR, "weekly": 7 * 24 * HOUR}
LEEWAY = 2 * HOUR  # Debian spreads the load of its servers: a timer may be an hour late, and only once
# Lists by which unattended-upgrades passes over packages, or days.
PASSING_OVER = (
    "Unattended-Upgrade::Package-Blacklist",
    "Unattended-Upgrade::Package-Whitelist",
    "Unattended-Upgrade::Update-Days",
)
_TIMER = """
import json, subprocess, sys, time
name = sys.argv[1]
shown = subprocess.run(["systemctl", "show", "-p", "ActiveState,SubState,UnitFileState,Persistent", name],
                       capture_output=True, text=True).stdout.splitlines()
found = dict(line.split("=", 1) for line in shown if "=" in line)
path = "/org/freedesktop/systemd1/unit/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)
due = subprocess.run(["busctl", "get-property", "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Timer",
                      "NextElapseUSecRealtime"], capture_output=True, text=True).stdout.split()
found["wait"] = int(due[1]) / 1e6 - time.time() if len(due) == 2 else -1
print(json.dumps(found))
"""


@control("update.security")
def test_a_fix_is_installed_by_what_the_timers_start(host: Host, promise: Promise) -> None:
    if promise.value == "manual":
        promise.observed(NOTHING)
        return
    seen = asked_in_view(host, "fixes.py")
    if seen["busy"] or seen["locked"]:
        promise.not_tested(BUSY)
    if seen["before"] != "1" or not seen["offered"]:
        raise RuntimeError("apt did not see a package of our own, or no fix for it")
    assert seen["after"] == "2", "a security fix for a package of our own was offered, and nothing installed it"
    promise.observed("a fix for a package of our own was offered and came in by what the timers start")


@control("update.security")
def test_the_timers_come_by_themselves_and_make_up_for_lost_days(host: Host, promise: Promise) -> None:
    if promise.value == "manual":
        promise.observed(NOTHING)
        return
    for name in TIMERS:
        seen = timer(host, name)
        assert seen["ActiveState"] == "active", "a timer that brings security fixes is not running"
        assert seen["UnitFileState"] == "enabled", "a timer that brings security fixes does not start with the machine"
        soon = seen["SubState"] == "running" or 0 <= seen["wait"] <= LONGEST[promise.value] + LEEWAY
        assert soon, "a timer that brings security fixes comes too seldom"
        assert seen["Persistent"] == "yes", "a machine that was off at the time misses its security fixes"
    promise.observed("both timers run, come in time, and make up for a time when the machine was off")


@control("update.security")
def test_nothing_is_passed_over(host: Host, promise: Promise) -> None:
    if promise.value == "manual":
        promise.observed(NOTHING)
        return
    count = int(probe.run(host, f"apt-config dump --format '%f%n' {shlex.join(PASSING_OVER)} | grep -c '::$' || true"))
    assert count == 0, f"{count} settings keep security fixes from some packages, or from some days"
    said = probe.run(host, "apt-config shell every APT::Periodic::Unattended-Upgrade")
    days = int(said.strip().removeprefix("every='").rstrip("d'") or 0)
    assert 0 < days * 24 * HOUR <= LONGEST[promise.value], "security fixes are installed too seldom"
    promise.observed(f"no package and no day is passed over; fixes are installed every {days} days")


def timer(host: Host, name: str) -> dict[str, Any]:
    """How a timer is, in systemd's words, and in how many seconds it will elapse (`wait`)."""
    found: dict[str, Any] = json.loads(probe.run(host, f"python3 -I -c {shlex.quote(_TIMER)} {name}"))
    return found
