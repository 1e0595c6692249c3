"""Writes down how everything that a role manages is, before it is changed for the first time; and what is managed no more.

It must not know how anything is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from . import kernel, packages, paths, queues, units
from .store import Record, State, Store

Look = Callable[[], State]


def record(store: Store, role: str, managed: Mapping[str, Any]) -> None:
    """Write down how everything in `managed` is, unless it is written down already."""
    mine = store.role(role)
    before = (dict(mine.things), mine.tell)
    for thing, look in _things(managed, mine.keep):
        if thing not in mine.things:
            known = store.known(thing)
            mine.things[thing] = look() if known is None else known
            for digest in paths.contents(mine.things[thing]):
                mine.keep(store.kept(digest))
    mine.tell = list(managed["tell"])
    if (mine.things, mine.tell) != before:
        mine.save()


def dropped(mine: Record, managed: Mapping[str, Any]) -> list[str]:
    """What is recorded and not managed any more, because the policy does not ask for it now."""
    wanted = {thing for thing, _ in _things(managed, paths.digest)}
    wanted |= {f"path {folder}" for path in managed["paths"] for folder in Path(path).parents}
    return [
        thing for thing in mine.things if thing not in wanted and not (thing.startswith("queue ") and managed["queues"])
    ]


def _things(managed: Mapping[str, Any], keep: paths.Keep) -> Iterator[tuple[str, Look]]:
    """The name of everything managed, and how to look at it."""
    yield from _paths(managed, keep)
    now = packages.statuses() if managed["packages"] else {}
    for name in managed["packages"]:
        yield f"package {name}", partial(packages.before, name, now)
    for name in managed["units"]:
        yield f"unit {name}", partial(units.before, name)
    for queue, policy in queues.policies().items() if managed["queues"] else ():
        yield f"queue {queue}", partial(dict, policy=policy)
    for name in managed["sysctls"]:
        yield f"sysctl {name}", partial(kernel.look, name)
    for pattern in managed["lines"]:
        yield f"lines {pattern}", dict
    for release in managed["releases"]:
        yield f"release {' '.join(release['argv'])}", partial(dict, release)


def _paths(managed: Mapping[str, Any], keep: paths.Keep) -> Iterator[tuple[str, Look]]:
    for path in managed["paths"]:
        for folder in paths.missing_folders(path):
            yield f"path {folder}", partial(dict, paths.ABSENT)
        yield f"path {path}", partial(paths.before, path, keep)
    for path in managed["trees"]:
        # what a role deletes where people's data live, it deletes for good
        if not path.startswith(paths.PRIVATE):
            yield f"path {path}", partial(paths.before, path, keep, whole=True)
