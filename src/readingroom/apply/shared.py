"""What a role's `deploy.py` is written with: the role's own list of what it manages, carried out by pyinfra.

    def apply(variables):
        with Role("print_queue_purge", variables) as role:
            role.packages()
            role.directories()
            role.files()
            role.units()

`Role` reads the same `vars/main.yml` and the same templates as the Ansible tasks do; the files of playbooks/tasks/ do what
the methods of the same names do here. It runs while pyinfra executes (each operation at once, in order) and in a dry run
(nothing executes, everything is announced); a role does not see the difference. It must not know any role by name, nor
how the machine is reached.
"""

from __future__ import annotations

import difflib
import hashlib
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host, state

from readingroom.apply.connector import upload_script
from readingroom.apply.looking import values_on
from readingroom.apply.model import Act
from readingroom.apply.observe import Brought, Installed, Paths, PathState, Release, Said, Text, Units, UnitState
from readingroom.apply.rendering import defined, holds, render_file

ROLES = "readingroom.roles"  # key in host.connector_data: the folder of all roles
NOTES = "readingroom.notes"  # … what takes a word for the person at the keyboard
AGAIN = "readingroom.again"  # … what opens a root shell over a connection of its own, shared with nobody
UNFINISHED = "readingroom.unfinished"  # … an earlier run was cut short: its handlers may still be due
FACES = "readingroom.faces"  # key in host.connector_data: operation hash → the `Face` of the change


def changed(op: OperationMeta) -> bool:
    """Whether `op` changed the machine; in a dry run, whether it would."""
    return op.did_change() if op.is_complete() else op.will_change


@dataclass(frozen=True, slots=True)
class Face:
    """What a change looks like from outside: see `model.Event`. Each of `steps` is told as a change of its own."""

    act: Act = "step"
    subject: str = ""
    detail: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """What is to be done to a file, in words; `rewritten` when it is more than its rights."""

    what: str
    detail: str
    rewritten: bool


@operation()
def run_script(script: str) -> Generator[StringCommand, None, None]:
    """Run a POSIX script as root. Always a change: call it only when a fact says that it is needed."""
    yield StringCommand(script)


class Role:
    """One role on the machine at hand."""

    def __init__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.name = name
        self.path = Path(host.connector_data[ROLES], name)
        self.facts: dict[str, Any] = host.get_fact(Release)
        self._given = {**variables, "ansible_facts": self.facts, "inventory_hostname": host.name}
        self.values: dict[str, Any] = {}
        self.manages: dict[str, Any] = {}
        self.look()
        self.check: bool = not state.is_executing
        self._handlers: dict[str, Callable[[], object]] = {}
        self._triggered: set[str] = set()
        self._units_changed = False

    @property
    def debian(self) -> int:
        """The Debian release: 12, 13, …"""
        return int(self.facts["distribution_major_version"])

    def look(self) -> None:
        """Ask the machine what the role has to know of it, and go by that from now on: see `looking`."""
        self.values = values_on(self.path, self._given, _said)
        self.manages = defined(self.values.get(f"__{self.name}_manages", {}))

    @property
    def found(self) -> dict[str, Any]:
        """What the role's look found: when the role began, or was told to look again."""
        answer: dict[str, Any] = self[f"__{self.name}_found"]
        return answer

    def refuse(self) -> None:
        """Stop before anything is changed when the role's look has found something against going on."""
        if self.found["refusals"]:
            raise PyinfraError("\n".join(["Nothing was changed.", *self.found["refusals"]]))

    def __getitem__(self, variable: str) -> Any:
        """A value by its full name, worked out."""
        return defined(self.values[variable])

    def wanted(self, key: str) -> list[Any]:
        """The entries of `__<role>_manages[key]` whose `when` holds."""
        entries = self.manages.get(key) or []
        return [item for item in entries if not isinstance(item, dict) or self.holds(item.get("when", True))]

    def holds(self, condition: str | bool | Sequence[str]) -> bool:
        """Whether a `when` holds here: a variable's name, an expression in core Jinja, or a list of them."""
        if isinstance(condition, (str, bool)):
            return holds(condition, self.values)
        return all(holds(one, self.values) for one in condition)

    # Handlers: named, in the order they were declared, once, only if something triggered them.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also after a failure: a file that was written must not wait for a restart that never comes.
        if kind is None or issubclass(kind, PyinfraError):
            self.flush()

    def note(self, text: str) -> None:
        """Tell the person at the keyboard something that is no change: what was found, what to look at."""
        host.connector_data[NOTES](text)

    def handler(self, name: str, action: Callable[[], object]) -> None:
        """Declare what `triggers: [name]` does. Declare in the order in which they shall run."""
        self._handlers[name] = action
        if host.connector_data.get(UNFINISHED):
            self._triggered.add(name)

    def notify(self, triggers: Sequence[str] | str) -> None:
        """Ask for handlers by name."""
        names = [triggers] if isinstance(triggers, str) else list(triggers)
        unknown = [name for name in names if name not in self._handlers]
        if unknown:
            raise PyinfraError(f"role {self.name}: no handler called {', '.join(unknown)} in deploy.py")
        self._triggered.update(names)

    def notify_if(self, op: OperationMeta, triggers: Sequence[str] | str) -> bool:
        """Ask for handlers if `op` changed something; says whether it did."""
        if changed(op):
            self.notify(triggers)
            return True
        return False

    def flush(self) -> None:
        """Run the triggered handlers now."""
        self.reload_units()
        for name, action in self._handlers.items():
            if name in self._triggered:
                self._triggered.discard(name)
                action()

    # Ready actions for handlers, and for whatever needs them.

    def restart(self, unit: str) -> OperationMeta:
        """Restart a unit (as a handler: `role.handler("restart-cups", lambda: role.restart("cups.service"))`)."""
        return self.script(f"Restart {unit}", f"systemctl restart {shlex.quote(unit)}", act="restart", subject=unit)

    def reload(self, unit: str) -> OperationMeta:
        """Reload a unit, or restart it when it cannot reload."""
        script = f"systemctl reload-or-restart {shlex.quote(unit)}"
        return self.script(f"Reload {unit}", script, act="restart", subject=unit)

    def script(
        self,
        what: str,
        script: str,
        triggers: Sequence[str] | str = (),
        detail: str = "",
        retries: int = 0,
        *,
        act: Act = "step",
        subject: str = "",
        steps: Sequence[str] = (),
    ) -> OperationMeta:
        """Run a script as root, unconditionally: guard the call with a fact (`if not host.get_fact(…)`).

        `detail` is a diff or a few words; `act` and `subject` say what it does to what; `steps` lists what one script
        does in several steps, and each is told as a change of its own.
        """
        op = run_script(name=what, script=script, _retries=retries)
        host.connector_data.setdefault(FACES, {})[op._hash] = Face(act, subject, detail, tuple(steps))
        self.notify_if(op, triggers)
        return op

    def on_machine(self, program: str, *words: str) -> str:
        """The command that has the machine run one of playbooks/files/, which is not left there."""
        text = (
            Path(host.connector_data[ROLES])
            .with_name("playbooks")
            .joinpath("files", program)
            .read_text(encoding="utf-8")
        )
        return shlex.join(["/usr/bin/python3", "-IBS", "-c", text, *words])

    # The list of what the role manages.

    def packages(self, names: Sequence[str] | None = None, recommends: bool = False) -> None:
        """Install what is missing of `manages.packages` (or of `names`), with fresh lists, in one go."""
        wanted = self.wanted("packages") if names is None else list(names)
        wanted = [item if isinstance(item, str) else item["name"] for item in wanted]
        installed: tuple[str, ...] = host.get_fact(Installed, wanted) if wanted else ()
        missing = sorted(set(wanted) - set(installed))
        if not missing:
            return
        quoted = " ".join(map(shlex.quote, missing))
        recommended = "" if recommends else "--no-install-recommends "
        install = (
            "export DEBIAN_FRONTEND=noninteractive; "
            'find /var/lib/apt/lists -maxdepth 1 -name "*_Packages*" -mmin -60 | grep -q . || apt-get update -qq; '
            "apt-get install -qq -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
            f"{recommended}{quoted}"
        )
        brought = host.get_fact(Brought, missing, recommends) if self.check else ()
        subject = "\n".join(sorted({*missing, *brought}))
        self.script(f"Install {', '.join(missing)}", install, act="install", subject=subject)

    def directories(self) -> None:
        """Create and correct `manages.directories`: {path, mode, owner, group}."""
        wanted = self.wanted("directories")
        before = self._paths([item["path"] for item in wanted])
        for item in wanted:
            path, now = item["path"], before[item["path"]]
            differences = _differences(now, item, "directory")
            if differences:
                q, owner = shlex.quote(path), shlex.quote(f"{item['owner']}:{item['group']}")
                script = f"mkdir -p {q} && chown {owner} {q} && chmod {item['mode']} {q}"
                self.script(
                    f"Directory {path}",
                    script,
                    item.get("triggers", ()),
                    "\n".join(differences),
                    act="directory",
                    subject=path,
                )

    def files(self, only: Callable[[dict[str, Any]], bool] = lambda item: True) -> None:
        """Write `manages.files` but what is tried first (see trial.py); `only` picks some, for a role with two steps."""
        wanted = [item for item in self.wanted("files") if only(item) and "tried" not in item]
        before = self._paths([item["path"] for item in wanted])
        for item in wanted:
            self._file(item, before[item["path"]])

    def render(self, template: str, **more: Any) -> str:
        """The text of one of the role's templates, byte for byte as Ansible writes it."""
        return render_file(self.path / "templates" / template, {**self.values, **more})

    def content(self, item: Mapping[str, Any]) -> bytes:
        """The bytes that a file entry asks for: its `template`, `source` or `content`."""
        if "template" in item:
            return self.render(item["template"], item=item).encode()
        if "source" in item:
            return Path(self.path, "files", item["source"]).read_bytes()
        content: str | bytes = item["content"]
        return content if isinstance(content, bytes) else content.encode()

    def write(
        self,
        path: str,
        content: bytes | str,
        mode: str,
        owner: str = "root",
        group: str = "root",
        **more: Any,
    ) -> bool:
        """Write one file that is not in the list; says whether it changed."""
        item = {"path": path, "content": content, "mode": mode, "owner": owner, "group": group, **more}
        return self._file(item, self._paths([path])[path])

    def absent(self) -> None:
        """Remove `manages.absent`: {path, triggers}; a directory goes with all that is in it."""
        wanted = self.wanted("absent")
        before = self._paths([item["path"] for item in wanted])
        for item in wanted:
            if before[item["path"]].exists:
                self._units_changed |= item["path"].startswith("/etc/systemd/system/")
                self.script(
                    f"Remove {item['path']}",
                    f"rm -rf -- {shlex.quote(item['path'])}",
                    item.get("triggers", ()),
                    act="remove",
                    subject=item["path"],
                )

    def units(self, only: Callable[[dict[str, Any]], bool] = lambda item: True) -> None:
        """Bring `manages.units` into the state asked for: {name, enabled, state, masked}.

        A unit that `comes_running` is enabled and started by its package, whose installation was announced.
        """
        self.reload_units()
        wanted = [item for item in self.wanted("units") if only(item)]
        names = [item["name"] if "." in item["name"] else f"{item['name']}.service" for item in wanted]
        before: dict[str, UnitState] = host.get_fact(Units, names) if names else {}
        for item, name in zip(wanted, names, strict=True):
            now = before.get(name, UnitState())
            will_run = self.check and item.get("comes_running") and not now.exists
            verbs = [] if will_run else _verbs(item, now)
            if verbs:
                script = " && ".join(f"systemctl -q {verb} {shlex.quote(name)}" for verb in verbs)
                what = f"{' and '.join(verbs).capitalize()} {name}"
                self.script(what, script, item.get("triggers", ()), act="unit", subject=name)

    def reload_units(self) -> None:
        """Let systemd read its files again if one of them changed; not a change of its own."""
        if self._units_changed and not self.check:
            host.run_shell_command(StringCommand("systemctl daemon-reload"))
        self._units_changed = False

    def _paths(self, paths: Sequence[str]) -> dict[str, PathState]:
        return host.get_fact(Paths, list(paths)) if paths else {}

    def _file(self, item: Mapping[str, Any], now: PathState) -> bool:
        path, content = item["path"], self.content(item)
        pending = self._pending(item, now, content)
        if pending is None:
            return False
        if path.startswith("/etc/systemd/system/"):
            self._units_changed = True
        script = _write_script(item, content) if pending.rewritten else _set_rights(item, path)
        self.script(pending.what, script, item.get("triggers", ()), pending.detail, act="write", subject=path)
        return True

    def pending(self, item: Mapping[str, Any]) -> Pending | None:
        """What would have to be done to a file of the list; None when it is as it should be."""
        return self._pending(item, self._paths([item["path"]])[item["path"]], self.content(item))

    def _pending(self, item: Mapping[str, Any], now: PathState, content: bytes) -> Pending | None:
        path, differences = item["path"], _differences(now, item, "file")
        same = now.kind == "file" and now.digest == hashlib.sha256(content).hexdigest()
        if same:
            return Pending(f"Rights of {path}", "\n".join(differences), rewritten=False) if differences else None
        return Pending(f"Write {path}", _diff(path, now, content, bool(item.get("no_diff"))), rewritten=True)


def _said(script: str) -> str:
    answer: str = host.get_fact(Said, script)
    return answer


def _set_rights(item: Mapping[str, Any], path: str) -> str:
    quoted = shlex.quote(path)
    return f"chown {shlex.quote(item['owner'] + ':' + item['group'])} {quoted} && chmod {item['mode']} {quoted}"


def _write_script(item: Mapping[str, Any], content: bytes) -> str:
    """Write beside the target, give it its rights, let the validator look, and only then put it in place."""
    path = item["path"]
    directory, _, name = path.rpartition("/")
    new = f"{directory}/.{name}.readingroom"
    steps = [_set_rights(item, new)]
    if "validate" in item:
        steps.append(item["validate"].replace("%s", shlex.quote(new)))
    steps.append(f"mv -fT {shlex.quote(new)} {shlex.quote(path)}")
    put = upload_script(content, new)
    undo = f"{{ s=$?; rm -f {shlex.quote(new)}; exit $s; }}"
    return f"{put}[ $? = 0 ] || exit 1\n{{ {' && '.join(steps)}; }} || {undo}"


def _differences(now: PathState, item: Mapping[str, Any], kind: str) -> list[str]:
    if not now.exists:
        return ["not there yet"]
    found = [] if now.kind == kind else [f"{now.kind} → {kind}"]
    pairs = [
        ("mode", now.mode, str(item["mode"]).zfill(4)),
        ("owner", now.owner, item["owner"]),
        ("group", now.group, item["group"]),
    ]
    return found + [f"{word} {old} → {new}" for word, old, new in pairs if old != new]


def _diff(path: str, now: PathState, content: bytes, secret: bool) -> str:
    if secret:
        return "content not shown"
    before = host.get_fact(Text, path) if now.kind == "file" else ""
    try:
        after = content.decode()
    except UnicodeDecodeError:
        return "binary content"
    if before is None:
        return "content not shown: too large, or not text"
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=2)
    return "\n".join(lines)


def _verbs(item: Mapping[str, Any], now: UnitState) -> list[str]:
    """The systemctl verbs that bring a unit from `now` to what `item` asks for."""
    verbs = []
    masked = item.get("masked")
    if masked is not None and masked != now.masked:
        verbs.append("mask" if masked else "unmask")
    enabled = item.get("enabled")
    if enabled is not None and not masked and enabled != now.enabled and (enabled or now.exists):
        verbs.append("enable" if enabled else "disable")
    wanted = item.get("state")
    if wanted == "started" and not now.running:
        verbs.append("start")
    elif wanted == "stopped" and now.running:
        verbs.append("stop")
    return verbs
