"""Ansible callback: one JSON line per event, for `readingroom.apply`. It runs inside ansible-playbook.

It gives task names, loop labels, diffs of files and reasons of failure; never module arguments, never the result of a
task with `no_log`. It imports nothing of Reading Room, because Ansible may run under another Python.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: readingroom_events
    type: stdout
    short_description: One JSON line per event
    description: Writes events to the file descriptor named in READINGROOM_EVENTS_FD.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Speaks the events of `readingroom.apply.model.Event`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "readingroom_events"

    def __init__(self) -> None:
        super().__init__()
        self._out = int(os.environ.get("READINGROOM_EVENTS_FD", "1"))
        self._begun: set[str] = set()

    def _emit(
        self, kind: str, machine: str = "", role: str = "", what: str = "", detail: str = "", **more: str
    ) -> None:
        event = {"kind": kind, "machine": machine, "role": role, "what": what, "detail": detail, **more}
        line = (json.dumps(event) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._out, line) :]
        except BrokenPipeError:
            # Whoever started us is gone, and with it the machines' locks: stop as if by Ctrl-C.
            os.kill(os.getpid(), signal.SIGINT)

    def _of(self, result: Any, label: str = "") -> tuple[str, str, str]:
        """Machine, role and name of the task behind a result."""
        machine = result.host.get_name()
        if machine not in self._begun:
            self._begun.add(machine)
            self._emit("begin", machine)
        role, _, what = str(result.task.get_name()).rpartition(" : ")
        return machine, role, f"{what}: {label}" if label else what

    def _settled(self, result: Any, label: str = "") -> None:
        machine, role, what = self._of(result, label)
        if "managed" in result.result:
            self._managed(result)
        elif result.result.get("changed"):
            self._emit("changed", machine, role, what, _diff(result.result), **_face(result))
        elif result.task.action.rpartition(".")[2] == "debug" and "msg" in result.result:
            self._emit("note", machine, role, "", str(result.result["msg"]))

    def _managed(self, result: Any) -> None:
        """What managed_paths made of a role's list, path by path."""
        act = {"directory": "directory", "absent": "remove"}.get(result.task.args["state"], "write")
        for one in result.result["managed"]:
            path = one["path"]
            self._emit("changed", *self._of(result, path), _diff(one), act=act, subject=path)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        role, _, what = str(task.get_name()).rpartition(" : ")
        self._emit("task", host.get_name(), role, what)

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.task.loop is None and not result.task.loop_with:
            self._settled(result)
        else:
            self._of(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._settled(result, _label(result.result))

    def v2_runner_on_skipped(self, result: Any) -> None:
        # In a dry run Ansible calls a command that it would run "skipped"; a plan must announce it.
        if _would_run(result.result):
            self._emit("changed", *self._of(result), **_face(result))

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if _would_run(result.result):
            self._emit("changed", *self._of(result, _label(result.result)), **_face(result))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if "managed" in result.result:
            self._managed(result)
        if not ignore_errors and "results" not in result.result:
            self._emit("failed", *self._of(result), _reason(result.result))

    def v2_runner_item_on_failed(self, result: Any) -> None:
        if not result.task.ignore_errors:
            self._emit("failed", *self._of(result, _label(result.result)), _reason(result.result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._emit("unreachable", *self._of(result), _reason(result.result))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for machine in sorted(stats.processed):
            counts = stats.summarize(machine)
            if not counts["failures"] and not counts["unreachable"]:
                self._emit("done", machine)


def _hidden(result: dict[str, Any]) -> bool:
    return bool(result.get("_ansible_no_log") or result.get("censored"))


def _would_run(result: dict[str, Any]) -> bool:
    return "results" not in result and str(result.get("msg", "")).startswith("Command would have run")


def _face(result: Any) -> dict[str, str]:
    """What the change does, and to what, in the words of `readingroom.apply.model.Act`."""
    module, found, asked = result.task.action.rpartition(".")[2], result.result, result.task.args
    label = _label(found)
    path = next((str(one) for one in (found.get("dest"), found.get("path"), label) if str(one).startswith("/")), "")
    state = asked.get("state")
    if module == "apt":
        return {"act": "install", "subject": "\n".join(_packages(found, asked))}
    if module in ("systemd_service", "systemd", "service"):
        unit = str(found.get("name") or label or asked.get("name", ""))
        unit = unit if "." in unit else f"{unit}.service"
        return {"act": "restart" if state in ("restarted", "reloaded") else "unit", "subject": unit}
    if module == "file" and path:
        acts = {"directory": "directory", "absent": "remove"}
        return {"act": acts.get(str(state), "write"), "subject": path}
    if path and module in ("template", "copy"):
        return {"act": "write", "subject": path}
    return {"act": "step", "subject": ""}


def _packages(found: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """The packages that apt installs, or says that it would."""
    said = str(found.get("stdout", ""))
    names = re.findall(r"^(?:Inst|Setting up) ([a-z0-9.+-]+)", said, re.MULTILINE)
    wanted = asked.get("name") or []
    return sorted(set(names)) or ([wanted] if isinstance(wanted, str) else [str(one) for one in wanted])


def _label(result: dict[str, Any]) -> str:
    return "" if _hidden(result) else str(result.get("_ansible_item_label", result.get("item", "")))


def _reason(result: dict[str, Any]) -> str:
    if _hidden(result):
        return "the reason is not shown, because this task handles a secret"
    parts = [result.get("msg"), result.get("stderr"), result.get("module_stderr")]
    lines = [line for part in parts if part for line in str(part).splitlines() if line.strip()]
    return "\n".join(dict.fromkeys(lines[:1] + lines[-8:])) or "no reason given"


def _diff(result: dict[str, Any]) -> str:
    diffs = result.get("diff") or []
    if _hidden(result):
        return "content not shown"
    if isinstance(diffs, dict):
        diffs = [diffs]
    # Ansible names its own temporary file in a new file's diff: the task's target is the real name.
    label = _label(result)
    name = str(result.get("dest") or result.get("path") or (label if label.startswith("/") else ""))
    return "\n".join(text for text in (_one_diff(diff, name) for diff in diffs) if text)[:20000]


def _one_diff(diff: dict[str, Any], name: str) -> str:
    if diff.get("prepared"):
        return str(diff["prepared"]).strip("\n")
    if "before" not in diff and "after" not in diff:
        return ""
    before, after = (_text(diff.get(key)) for key in ("before", "after"))
    name = name or str(diff.get("before_header") or diff.get("after_header") or "")
    return "\n".join(difflib.unified_diff(before, after, name, name, lineterm="", n=2))


def _text(value: Any) -> list[str]:
    if isinstance(value, (dict, list)):
        return json.dumps(value, indent=1, sort_keys=True, default=str).splitlines()
    return str(value or "").splitlines()
