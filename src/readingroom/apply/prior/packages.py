"""Packages: which were not there before us, and whether they can go again without taking somebody else's with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from .store import State
from .tools import Problem, run


def statuses() -> dict[str, str]:
    """Every package dpkg knows, with its status."""
    lines = run("dpkg-query", "-W", "-f=${Package}\t${db:Status-Status}\n").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def before(name: str, now: dict[str, str]) -> State:
    """The state to record; beside a package that is missing, all that are there, to know later what came along."""
    status = now.get(name, "not-installed")
    others = [] if status == "installed" else sorted(one for one, how in now.items() if how == "installed")
    return {"status": status, "beside": others}


def removable(
    wanted: Collection[str], beside: Collection[str], gone: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """What goes when `wanted` goes, and which of `wanted` stay because a package of somebody's needs them.

    With `wanted` goes what was installed along with it: what came by itself, is not in `beside`, and is needed by nothing
    else. A package that a person asked for is never taken along. `gone` is still there, and will not be by then.
    """
    before = set(gone)
    ours = set(run("apt-mark", "showauto").split()) - set(beside) | set(wanted) | before
    going = set(wanted) - before
    if going and _would_go("purge", going | before) - ours:
        going = {name for name in going if not _would_go("purge", {name, *before}) - ours}
    if not going:
        return [], sorted(set(wanted) - before)
    also = _would_go("purge", going | before) | (_would_go("purge --autoremove", going | before) & ours)
    also |= _spared(_needed_by(going) & ours - going - also, going | before | also, ours)
    return sorted((going | also) - before), sorted(set(wanted) - before - going)


def _spared(left: set[str], going: set[str], ours: set[str]) -> set[str]:
    """What of `left` can go as well: apt keeps both halves of somebody's "this or that", of which one was enough before."""
    if not left:
        return set()
    together = _would_go("purge", {*going, *left})
    if not together - ours:
        return together
    gone: set[str] = set()
    for name in sorted(left):
        with_it = _would_go("purge", {*going, *gone, name})
        gone |= set() if with_it - ours else with_it
    return gone


def _needed_by(names: Collection[str]) -> set[str]:
    """All that `names` depend on, and what that depends on."""
    said = run("apt-cache", "depends", "--recurse", "--installed", "--important", *sorted(names))
    return set(re.findall(r"^[^\s<|]+", said, re.MULTILINE))


def _would_go(how: str, names: Collection[str]) -> set[str]:
    # what is merely recommended or suggested by something does not count as needed: it came with ours
    said = run("apt-get", "--simulate", "--quiet", "--option=APT::AutoRemove::RecommendsImportant=false",
               "--option=APT::AutoRemove::SuggestsImportant=false", *how.split(), *sorted(names))  # fmt: skip
    return {match[1].partition(":")[0] for match in re.finditer(r"^(?:Purg|Remv) (\S+)", said, re.MULTILINE)}


def purge(names: Sequence[str]) -> None:
    """Remove packages with their settings."""
    try:
        run("apt-get", "purge", "--quiet", "--yes", *names)
    except Problem:
        run("dpkg", "--configure", "--pending", may_fail=True)  # an install that was cut short
        run("apt-get", "purge", "--quiet", "--yes", *names)
