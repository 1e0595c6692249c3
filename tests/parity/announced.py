"""Whether a plan told all that then happened to a machine, and nothing that did not.

What the system does by itself is in `SYSTEM`, each line with its reason; a change that is neither announced nor there is a
hole in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from readingroom.apply.planned import MachinePlan

from .witness import ABSENT, Snapshot, changed_paths

# What belongs to the system: it changes whenever packages come or programs run, and nobody announces it.
SYSTEM = {
    "/var/lib/readingroom*": "Reading Room's own records: what was there before, how old a log's lines are",
    "/var/lib/dpkg*": "dpkg's database",
    "/var/backups*": "dpkg's nightly copies of its database, when a run meets midnight",
    "/var/lib/apt*": "apt's lists and its record of what came in as a dependency",
    "/var/lib/ucf*": "the record of packages' configuration files",
    "/var/lib/pam*": "what libpam-runtime wrote last, beside /etc/pam.d/common-*",
    "/var/cache*": "caches",
    "/var/log*": "logs; what the roles delete of them is announced as data",
    "/var/lib/systemd*": "timers' stamps, random seed, core dumps",
    "/var/lib/logrotate*": "when logs were last rotated",
    "/var/lib/private*": "services' own state",
    "/var/lib/lastlog*": "who logged in, by PAM; what the roles do with it is announced as data",
    "/var/tmp*": "temporary files",  # noqa: S108
    "/root/.ansible*": "Ansible's folder for temporary files",
    "/home/operator/.ansible*": "Ansible's folder for temporary files",
    "/etc/ld.so.cache": "the linker's cache, after libraries came in",
    "/etc/cups/subscriptions.conf*": "CUPS's own list of who wants to hear of jobs",
    "/etc/cups/ssl*": "CUPS's own certificate",
    "/var/lib/lightdm*": "the login screen's own, whenever it starts",
    "/usr/lib/locale*": "caches",
    "/usr/share/*cache*": "caches of icons, menus and file types, after packages came in",
    "/usr/share/mime*": "the index of file types, after packages came in",
    "/run*": "gone after a reboot",
    "/usr/lib/udev/hwdb.bin": "the index of hardware, after packages came in",
    "/etc/apparmor.d/local/*": "an empty file for local additions beside each profile of a package",
    "/etc/systemd/user/*.wants/*": "what packages have on for every user",
    "/usr/share/python3*": "Python's compiled copies",
    "*/__pycache__*": "Python's compiled copies",
}
# What the announced installation of a package changes beside the package's own files.
BY_PACKAGE = {
    "/etc/pam.d/common-*": ("libpam-pwquality", "pam-auth-update lets the module in"),
    "/etc/alternatives/*": ("xz-utils", "update-alternatives offers it under the names of older programs"),
    "/etc/rc?.d/*stunnel4": ("stunnel4", "update-rc.d, for a system without systemd"),
    "/etc/rc?.d/*unbound": ("unbound", "update-rc.d, for a system without systemd"),
    "/var/lib/unbound*": ("unbound", "the package's own folder"),
    "/var/lib/stunnel4": ("stunnel4", "the package's own folder"),
    "/etc/networks": ("netbase", "the list of networks, where there is none yet"),
    "/etc/rc?.d/*unattended-upgrades": ("unattended-upgrades", "update-rc.d, for a system without systemd"),
}


def unannounced(plan: MachinePlan, before: Snapshot, after: Snapshot) -> list[str]:
    """What changed on the machine though the plan did not say so; empty when the plan was complete."""
    announced = _Announced(plan, after)
    found = [
        f"{path}: {before.state(path)} → {after.state(path)}"
        for path in changed_paths(before, after)
        if not announced.path(path) and "→ /etc/alternatives/" not in after.state(path)  # update-alternatives' own
    ]
    new = {f"package {one}" for one in after.packages.keys() ^ before.packages.keys() if one not in announced.packages}
    units = {
        f"unit {unit}: {before.enabled.get(unit)} → {state}"
        for unit, state in after.enabled.items()
        if before.enabled.get(unit) != state and not announced.unit(unit)
    }
    people = {
        f"account {line}"
        for line in before.accounts ^ after.accounts
        if not announced.login(line.split(":")[0])
    }  # fmt: skip
    return [*found, *sorted(new), *sorted(units), *sorted(people)]


def announced_in_vain(plan: MachinePlan, before: Snapshot, after: Snapshot) -> list[str]:
    """What the plan said would be done, and was not."""
    found = []
    for change in plan.changes:
        path = change.subject
        if path.startswith("/run/"):
            continue
        if change.act == "remove" and after.state(path) != ABSENT:
            found.append(f"{path} is still there")
        elif change.act in ("write", "directory") and after.state(path) == before.state(path):
            found.append(f"{path} is as it was")
        elif change.act == "install":
            found += [
                f"package {one}" for one in change.packages if one in before.packages or one not in after.packages
            ]
    return found


class _Announced:
    """The plan, asked by path, unit and login."""

    def __init__(self, plan: MachinePlan, after: Snapshot) -> None:
        by_act: dict[str, set[str]] = {}
        for change in plan.changes:
            by_act.setdefault(change.act, set()).add(change.subject)
        self.paths = {*by_act.get("write", ()), *by_act.get("directory", ()), *by_act.get("remove", ())}
        self.removed = tuple(f"{path}/" for path in by_act.get("remove", ()))
        self.units = by_act.get("unit", set())
        self.steps = [change.what for change in plan.changes if change.act == "step"]
        self.packages = {package for change in plan.changes for package in change.packages}
        self.globs = [*(edit.what for edit in plan.edits), *(glob for lost in plan.lost for glob in _globs(lost.what))]
        self.of_packages = after.shipped

    def path(self, path: str) -> bool:
        """Whether the plan, or the nature of the system, accounts for a change at `path`."""
        if path in self.paths or path.startswith(self.removed) or path in self.of_packages:
            return True
        if any(fnmatchcase(path, glob) for glob in (*SYSTEM, *self.globs)):
            return True
        if any(fnmatchcase(path, glob) and package in self.packages for glob, (package, _) in BY_PACKAGE.items()):
            return True
        if path.startswith("/etc/systemd/system/") and (self.unit(Path(path).name) or path.endswith(".wants")):
            return True  # how systemd remembers what is enabled
        return self._of_steps(path)

    def unit(self, unit: str) -> bool:
        """Whether the plan says that `unit` will be enabled, disabled or brought."""
        if unit in self.units or any(path.endswith(f"/{unit}") for path in {*self.paths, *self.of_packages}):
            return True
        if f"/etc/init.d/{unit.removesuffix('.service')}" in self.of_packages:
            return True  # systemd makes a unit of a package's script for sysvinit
        return any(re.search(rf"\b{re.escape(unit.partition('.')[0])}\b", step) for step in self.steps)

    def login(self, login: str) -> bool:
        """Whether a step names `login`."""
        return any(re.search(rf"(?<![\w.-]){re.escape(login)}(?![\w-])", step) for step in self.steps)

    def _of_steps(self, path: str) -> bool:
        if any(path in step for step in self.steps):
            return True
        # a login's own folder, which comes with the login
        return path.startswith("/home/") and self.login(Path(path).parts[2])


def _globs(words: str) -> Iterator[str]:
    """The paths that a sentence of `data:` names, with all that is below them."""
    for path in re.findall(r"/[\w.*/-]+", words):
        path = path.rstrip(".")
        yield path
        yield f"{path.rstrip('*')}*"
