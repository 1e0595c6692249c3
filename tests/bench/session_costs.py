"""What the reset of a session costs at login and at logout: the same machine as found and hardened, in one run."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from readingroom import apply, toolkit
from readingroom.fleet import Site
from readingroom.verify.connection import connect, ssh_root

sys.path.insert(0, str(toolkit.root() / "tests" / "compliance"))
from sessions.session import opened, settle

ROUNDS = 7
Costs = tuple[float, float]


def page(site: Site) -> str:
    """The section of the benchmarks' page; `site` has one public machine, as found."""
    machine = site.machines[0].name
    before = _costs(site, machine)
    result = apply.harden(site, engine="pyinfra", roles=["session_reset"])
    if not result.ok:
        raise SystemExit("pyinfra failed: " + "; ".join(one.message for one in result.machines.values()))
    after = _costs(site, machine)
    rows = "\n".join(
        f"| {what} | {old:.2f} | {new:.2f} | {new / old:.2f} | {new - old:+.2f} |"
        for what, old, new in zip(("login", "logout"), before, after, strict=True)
    )
    return (
        f"## Sessions\n\nA login of the patron account at the console, from `login` to the first command, and a logout until "
        f"nobody is logged in: seconds, median of {ROUNDS}.\n\n| | as found | hardened | ratio | difference |\n"
        f"| --- | ---: | ---: | ---: | ---: |\n{rows}\n"
    )


def _costs(site: Site, machine: str) -> Costs:
    """Login and logout in seconds. What is asked over ssh costs the same before and after."""
    host = connect(machine, ssh_root(site.ssh_config, machine))
    logins, logouts = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with opened(host, "patron") as session:
            logins.append(time.perf_counter() - began)
            began = time.perf_counter()
            session.leave()
            _await(lambda session=session: not session.is_known())
            logouts.append(time.perf_counter() - began)
        settle(session)  # or the next login would find its manager running
    return statistics.median(logins), statistics.median(logouts)


def _await(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not seen() and time.monotonic() < end:
        time.sleep(0.01)
