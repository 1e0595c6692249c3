"""One run of the purge: each kind of record in turn. One that fails does not keep the others from their limit."""

from __future__ import annotations

import argparse
import fcntl
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from log_purge import accounting, journal, leases, logins, logs, mail
from log_purge.clock import read_clocks, reckon, time_service_vouches
from log_purge.settings import Settings, load
from log_purge.store import Store

SETTINGS = "/etc/readingroom/log-retention.json"
HOLD = "/etc/readingroom/legal-hold-logs"
STATE = "/var/lib/readingroom/log-retention"


def main(arguments: Sequence[str]) -> int:
    """Run once; 0 when everything that had to go is gone (or a legal hold pauses it), 1 otherwise, 2 for bad settings."""
    parser = argparse.ArgumentParser(prog="log-purge", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="another tree, to try it out")
    root: Path = parser.parse_args(arguments).root
    below = root.joinpath
    if below(HOLD.lstrip("/")).exists():
        print("legal hold: nothing is deleted")
        return 0
    try:
        settings = load(below(SETTINGS.lstrip("/")), root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    state = below(STATE.lstrip("/"))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once would each move the same lines
        return run(settings, Store(state / "state.json"))


def run(settings: Settings, store: Store) -> int:
    """All kinds of records, by the time that can be trusted."""
    reckoning = reckon(store.reckoning, read_clocks(), time_service_vouches)
    now = reckoning.now
    if reckoning.doubted is not None:
        print("the clock has jumped and no time service confirms it: ages are reckoned without it")
    kinds: dict[str, Callable[[], Counter[str]]] = {
        "logs": lambda: logs.purge(settings, now, store),
        "logins": lambda: logins.purge(settings, now),
        "journal": lambda: journal.purge(settings, now, store),
        "network addresses": lambda: leases.purge(settings, now),
        "accounting": lambda: accounting.purge(settings),
        "mail": lambda: mail.purge(settings),
    }
    failed = False
    for kind, purge in kinds.items():
        try:
            for what, count in sorted(purge().items()):
                print(f"{what}: {count}")
        except (OSError, ValueError, sqlite3.Error, subprocess.SubprocessError) as error:
            failed = True  # never the error's own words: they name files, and files are named after people
            print(f"{kind}: not finished ({type(error).__name__})", file=sys.stderr)
    store.save(reckoning)
    return int(failed)
