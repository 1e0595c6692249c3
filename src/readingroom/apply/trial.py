"""Commit-confirm for pyinfra: a file of a role's list that could cut the connection is tried before it is kept.

The machine's part is `playbooks/files/trial.py`, the same for both engines: it says what is guaranteed. Here is
the order of things: begin, come in over a new connection, say there that it may stay; and if there is no coming in, have it
taken back. It must not know what is tried.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import host

from readingroom.apply.root_shell import CannotConnect, Finished, PasswordNeeded, RootShell, ShellLost
from readingroom.apply.shared import AGAIN, ROLES, Role

PATIENCE = 6.0  # seconds in which a refusal may still be a daemon that starts anew
GRACE = 30.0  # seconds after the timer in which the machine must answer again


def commit_confirmed(role: Role, *, tell: bool = True) -> bool:
    """Bring the files of the role's list that name a trial to the machine, where they differ or are not at work.

    Returns whether one of them was. What a role tries for the second time is one change: it need not `tell` of it again.
    A trial's `working` says whether the running system follows the file that is there. When the machine could not be reached with
    it, the former settings are back: raises `PyinfraError`, or `ShellLost` where the run's own connection went as well.
    """
    tried = [_commit_confirmed(role, role[one["tried"]], one, tell) for one in role.wanted("files") if "tried" in one]
    return any(tried)


def _commit_confirmed(role: Role, trial: Mapping[str, Any], item: Mapping[str, Any], tell: bool) -> bool:
    pending = role.pending(item)
    if pending is None and trial.get("working", True):
        return False
    if not role.check:
        _try({**trial, "file": item["path"], "mode": item["mode"], "content": role.content(item).decode()})
    if not tell:
        return True
    if pending is None:
        role.script(f"Bring {item['path']} to work", ":")
    else:
        role.script(pending.what, ":", item.get("triggers", ()), pending.detail, act="write", subject=item["path"])
    return True


def commit_confirmed_change(role: Role, name: str, what: str, script: str, steps: Sequence[str]) -> None:
    """Run a script whose change lasts, under the role's trial in the variable `name`, and tell its `steps` when it is kept.

    When nobody gets in after it, or it fails, everything that the trial keeps is given back. Raises as `commit_confirmed` does.
    """
    if not role.check:
        _try(role[name], script)
    role.script(what, ":", steps=steps)


def take_back(role: Role, name: str) -> None:
    """End what an earlier run began to try and did not end."""
    if not role.check and (said := _here(_script("back", role[name]))) is not None:
        raise PyinfraError(said)


def _try(trial: Mapping[str, Any], change: str = ":") -> None:
    said = _here(_script("begin", trial))
    if said is not None:
        raise PyinfraError(said)
    if (said := _here(change)) is not None:
        _here(_script("back", trial))
        raise PyinfraError(said)
    again: Callable[[], RootShell] = host.connector_data[AGAIN]
    try:
        shell = _come_in(again)
    except (CannotConnect, PasswordNeeded):
        _give_up(trial, again)
    try:
        kept = shell.run(_script("keep", trial))
    finally:
        shell.close()
    if kept.status:
        raise PyinfraError(_words(kept))


def _come_in(again: Callable[[], RootShell]) -> RootShell:
    """A connection of its own. A daemon that reads its settings anew refuses for a moment; whoever is shut out is for longer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return again()
        except CannotConnect:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def _give_up(trial: Mapping[str, Any], again: Callable[[], RootShell]) -> NoReturn:
    """No way in: the old connection may still do; if not, the machine comes back by itself."""
    end = time.monotonic() + float(trial["seconds"]) + GRACE
    nobody = "the machine let nobody in with the new settings"
    try:
        said = _here(_script("back", trial))
    except ShellLost:
        came_back = _answers(again, end)
        how = (
            "so the former ones are back"
            if came_back
            else "and does not answer: switched off and on, it has the former ones"
        )
        raise ShellLost(f"{nobody}, {how}") from None
    raise PyinfraError(
        f"{nobody}, so the former ones are back" if said is None else f"{nobody}; to take them back failed: {said}"
    )


def _answers(again: Callable[[], RootShell], end: float) -> bool:
    """Does it let a new connection in before `end`?"""
    while time.monotonic() < end:
        try:
            again().close()
        except (CannotConnect, PasswordNeeded):
            time.sleep(1)  # a refusal comes at once
            continue
        return True
    return False


def _here(script: str) -> str | None:
    """Run a script over the run's own connection; what it says when it fails."""
    worked, output = host.run_shell_command(StringCommand(script))
    return None if worked else output.stderr.strip() or "no reason given"


def _words(finished: Finished) -> str:
    return finished.stderr.strip() or "no reason given"


def _script(verb: str, trial: Mapping[str, Any]) -> str:
    program = (
        Path(host.connector_data[ROLES])
        .with_name("playbooks")
        .joinpath("files", "trial.py")
        .read_text(encoding="utf-8")
    )
    return f"printf %s {shlex.quote(json.dumps(trial))} | /usr/bin/python3 -IBS -c {shlex.quote(program)} {verb}"
