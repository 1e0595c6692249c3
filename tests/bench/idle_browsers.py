"""When does a browser that is left alone turn to others? Without a policy and under it, for a minute and a half."""

from __future__ import annotations

import json
import sys

from readingroom import apply, toolkit
from readingroom.fleet import Site
from readingroom.verify.connection import connect, ssh_root

sys.path.insert(0, str(toolkit.root() / "tests" / "compliance"))
from browsers.browser import Sight
from browsers.plays import DWELL_SECONDS, NAMES, Plays, plays

LONG = 90
POLICIES = {"found": "none", "locked": "as hardened"}


def page(site: Site) -> str:
    """The section of the benchmarks' page; `site` has one public machine."""
    machine = site.machines[0].name
    result = apply.harden(site, engine="pyinfra", roles=["browser_lockdown"])
    if not result.ok:
        raise SystemExit("pyinfra failed: " + "; ".join(one.message for one in result.machines.values()))
    keys = json.loads((site.build / "expectations.json").read_text())["machines"][machine]["keys"]
    host = connect(machine, ssh_root(site.ssh_config, machine))
    with plays(host, lambda key: keys[key]["value"], dwell=LONG) as tried:
        rows = [_row(tried, browser, play) for browser in tried.installed for play in POLICIES]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return (
        f"## Browsers that are left alone\n\nA browser visits the pages of the check and is then left alone. Names of others "
        f"that it asked for, its makers' lists of dangerous sites among them: when the first, how many in {DWELL_SECONDS} "
        f"seconds (as long as a verification waits) and in {LONG}; and packets to addresses that nobody had named.\n\n"
        f"| browser | policy | first after | in {DWELL_SECONDS} s | in {LONG} s | packets |\n"
        f"| --- | --- | ---: | ---: | ---: | ---: |\n{table}\n"
    )


def _row(tried: Plays, browser: str, play: str) -> tuple[str, ...]:
    sight = Sight(tried.seen(browser, play), tried.base)
    up = sight.requests("/visit")[0]["at"]
    first: dict[str, float] = {}
    for one in sight.found["questions"]:
        if one["name"] not in tried.served() and not one["name"].endswith(".in-addr.arpa"):
            first.setdefault(one["name"], max(0.0, one["at"] - up))
    counts = [str(sum(at <= span for at in first.values())) for span in (DWELL_SECONDS, LONG)]
    soonest = f"{min(first.values()):.1f} s" if first else ""
    return NAMES[browser], POLICIES[play], soonest, *counts, str(len(sight.packets()))
