"""The verbs: `facts`, `record`, `settle`, `undo`, `sweep`. A request in, one JSON object out, both plain data.

{"facts": {…}, "changes": [{"role", "what"}], "notes": [{"role", "text"}], "problem": text or null}. With `check` nothing is
changed, and `changes` says what would be. What is given back is decided from the record and the machine alone, so that a
role that has changed since, or is gone, can be undone as well.
"""

from __future__ import annotations

import contextlib
import platform
import pwd
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import accounts, guard, kernel, lines, packages, pam, paths, queues, units
from .recording import dropped, record
from .store import Store, write
from .tools import Problem, run

TOOLKIT = ("/etc/readingroom", "/usr/local/lib/readingroom", "/var/lib/readingroom")
Step = tuple[str, Callable[[], str | None]]


def facts() -> dict[str, str]:
    """The release, under the names that roles use."""
    release = platform.freedesktop_os_release()
    version = release.get("VERSION_ID", "")
    return {
        "distribution": release["NAME"].split()[0], "distribution_version": version, "os_family": "Debian",
        "distribution_major_version": version.split(".")[0], "distribution_release": release.get("VERSION_CODENAME", ""),
        "hostname": platform.node().split(".")[0], "architecture": platform.machine(), "service_mgr": "systemd",
    }  # fmt: skip


class Undoing:
    """Gives things of one role back; in a check it only says so."""

    def __init__(self, store: Store, role: str, check: bool, given_back: Collection[str] = ()) -> None:
        self.store, self.role, self.check = store, role, check
        self.mine = store.role(role)
        self.said: list[str] = []
        self.notes: list[str] = []
        # what another role holds stays; in a check, the roles before this one count as given back
        self.given_back = list(given_back) if check else []
        self.held = self._held(role, given_back)

    def _held(self, role: str, given_back: Collection[str]) -> set[str]:
        others = [other for other in self.store.others(role) if other.place.name not in given_back]
        return {thing for other in others for thing in other.things}

    def everything(self) -> None:
        """The whole role, and its record."""
        self._do(self._changes())
        self.things(list(self.mine.things))
        if not self.check:
            self.mine.forget()

    def things(self, names: list[str]) -> None:
        """These things: what we started stops, files come back, packages go, and units are as they were."""
        mine = {name: self.mine.things[name] for name in names if name not in self.held}
        to_say = [
            what for what, _ in self._units(mine)
        ]  # as it is now: what goes on the way may stop one along with it
        self._do(self._queues(mine))
        self._do(self._profiles(mine))
        self._do(self._new_units(mine))
        self._do(self._releases(mine))
        touched = len(self.said)
        self._do(self._lines(mine))
        self._do(self._paths(mine), noted=False)
        self._do(self._packages(mine))
        if not self.check:
            self._do(
                self._paths(mine)
            )  # where a package took along what was there before it, or left what is now in nobody's way
            units.forget([name for _, name, state in _of(mine, "unit") if not state["there"]])
        self.said += [what for what in to_say if what not in self.said]
        self._do(self._units(mine))
        self._do(self._kernel(mine))
        if len(self.said) > touched and not self.check:
            waiting = units.tell(
                [*self.mine.tell, *(name for kind, name, state in _of(mine, "unit") if state["active"])]
            )
            self.notes += [f"{name} follows its former settings from its next start on" for name in waiting]

    def _do(self, steps: Iterator[Step], *, noted: bool = True) -> None:
        for what, action in steps:
            self.said += [what] if what and what not in self.said else []
            problem = None if self.check else action()
            self.notes += [problem] if problem and noted else []

    def _changes(self) -> Iterator[Step]:
        done = accounts.acts(self.mine.changes)
        while done:
            act = done.pop()
            yield accounts.say(act), lambda act=act: accounts.take_back(act, self.store.kept)  # type: ignore[misc]
            if not self.check:
                left = self.mine.changes.read_text().splitlines()[: len(done)]
                write(self.mine.changes, "".join(f"{line}\n" for line in left).encode())

    def _queues(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        now = queues.policies()
        for _, name, state in _of(mine, "queue"):
            if now.get(name, state["policy"]) != state["policy"]:
                yield (
                    f"Queue {name}: on an error {state['policy']} again",
                    lambda name=name, state=state: queues.give_back(name, state["policy"]),  # type: ignore[misc]
                )

    def _new_units(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        for _, name, state in _of(mine, "unit"):
            now = units.look(name)
            ours_masks = now["file"].startswith("masked") and f"path /etc/systemd/system/{name}" in mine
            if not state["there"] and now["there"] and not ours_masks:  # that file goes as files go
                yield " ".join(units.words(name, state)), lambda name=name: units.stop_new(name)  # type: ignore[misc]

    def _profiles(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        """What PAM calls, before what it calls goes."""
        new = [
            path for _, path, state in _of(mine, "path") if path.startswith(pam.PROFILES) and state["kind"] == "absent"
        ]
        if names := [Path(path).name for path in new if Path(path).exists()]:
            yield f"Take out of PAM: {', '.join(names)}", lambda: pam.take_out(names)

    def _releases(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        """What only the role's own program can give back, while it is there."""
        for _, _, state in _of(mine, "release"):
            if Path(state["argv"][0]).exists():
                yield state["says"], lambda state=state: run(*state["argv"]) and None  # type: ignore[misc]

    def _lines(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        for _, pattern, _ in _of(mine, "lines"):
            for path in lines.marked(pattern):
                yield (
                    f"Switch lines on again in {path}",
                    lambda path=path: lines.switch_on(path, accounts.restore),  # type: ignore[misc]
                )

    def _kernel(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        for _, name, state in _of(mine, "sysctl"):
            if state["value"] is not None and kernel.look(name) != state:
                yield f"Kernel: {name} as before", lambda name=name, state=state: kernel.give_back(name, state)  # type: ignore[misc]

    def _paths(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        found = [(name, state) for _, name, state in _of(mine, "path")]
        gone = sorted((one for one in found if one[1]["kind"] == "absent"), reverse=True)  # what lies inside goes first
        for path, state in [*sorted(one for one in found if one[1]["kind"] != "absent"), *gone]:
            if not paths.same(path, state):
                word = "Remove" if state["kind"] == "absent" else "Give back as it was:"
                yield f"{word} {path}", lambda path=path, state=state: accounts.restore(path, state, self.store.kept)  # type: ignore[misc]

    def _packages(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        gone: set[str] = set()  # in a check: what the roles before this one would have taken along
        for number, role in enumerate(self.given_back):
            held = self._held(role, self.given_back[:number])
            theirs = {name: state for name, state in self.store.role(role).things.items() if name not in held}
            gone.update(_removable(theirs, gone)[0])
        going, staying = _removable(mine, gone)
        self.notes += [f"the package {name} stays: something else needs it by now" for name in staying]
        if going:
            yield f"Remove the packages {', '.join(going)}", lambda: packages.purge(going)

    def _units(self, mine: Mapping[str, Any]) -> Iterator[Step]:
        for _, name, state in _of(mine, "unit"):
            if state["there"]:
                comes_back = f"path /etc/systemd/system/{name}" in mine
                for word in units.words(name, state, file_comes_back=comes_back):
                    yield word, lambda name=name, state=state: units.give_back(name, state)  # type: ignore[misc]


def _removable(things: Mapping[str, Any], gone: Collection[str]) -> tuple[list[str], list[str]]:
    """Which of these packages go, with what came along, and which stay; `gone` will not be there any more."""
    new = {name: state for _, name, state in _of(things, "package") if state["status"] != "installed"}
    if not new:
        return [], []
    now = packages.statuses()
    beside = set.intersection(*(set(state["beside"]) for state in new.values()))
    return packages.removable({name for name in new if now.get(name) == "installed"}, beside, gone)


def _of(things: Mapping[str, Any], kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [(kind, name.partition(" ")[2], state) for name, state in things.items() if name.startswith(f"{kind} ")]


def settle(store: Store, role: str, managed: Mapping[str, Any], check: bool) -> Undoing:
    """Give back what the policy no longer asks for, and forget it."""
    undoing = Undoing(store, role, check)
    names = dropped(undoing.mine, managed)
    if names:
        undoing.things(names)
        if not check:
            for name in names:
                del undoing.mine.things[name]
            undoing.mine.save()
    return undoing


def _engine_folders() -> None:
    """Ansible's folders for temporary files, where nothing is in them any more."""
    for login in {"root", guard.came_in()}:
        top = Path(pwd.getpwnam(login).pw_dir, ".ansible")
        folders = sorted((path for path in (top / "tmp").rglob("*") if path.is_dir()), reverse=True)
        for folder in (*folders, top / "tmp", top):
            with contextlib.suppress(OSError):
                folder.rmdir()  # only what is empty goes


def sweep(check: bool) -> list[str]:
    """Remove what only we use, whoever forgot it there; what was removed."""
    found = [path for path in TOOLKIT if Path(path).exists()]
    found += sorted(str(path) for path in Path("/etc").rglob("*readingroom*") if paths.OURS.fullmatch(str(path)))
    found += sorted(str(path) for path in units.STAMPS.glob("stamp-readingroom-*"))
    found = [path for path in found if not any(path.startswith(f"{other}/") for other in found)]
    for path in found if not check else ():
        if path.startswith("/etc/systemd/system/") and not Path(path).is_symlink():
            units.stop_new(Path(path).name)
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
    if not check:
        units.forget([])
        for path in map(str, Path("/run").glob("readingroom-*")):  # gone after a reboot anyway
            shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
    return found


def main(verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one verb."""
    answer: dict[str, Any] = {"facts": {}, "roles": [], "changes": [], "notes": [], "problem": None}
    store, check, role = Store(), bool(request.get("check")), request.get("role", "")
    undoing = None
    try:
        if verb == "facts":
            answer["facts"], answer["roles"] = facts(), store.roles()
        elif verb == "record":
            record(store, role, request["managed"])
        elif verb == "settle":
            undoing = settle(store, role, request["managed"], check)
        elif verb == "undo":
            undoing = Undoing(store, role, check, request["given_back"])
            undoing.everything()
            if request["whole"] and not check and not store.roles():
                shutil.rmtree(
                    store.place.parent, ignore_errors=True
                )  # the last one takes our programs' own notes along
                _engine_folders()
        elif verb == "sweep":
            answer["changes"] = [f"Remove {path}" for path in sweep(check)]
    except (Problem, OSError) as error:
        answer["problem"] = str(error)
    if undoing is not None:
        answer["changes"], answer["notes"] = undoing.said, undoing.notes
    return answer
