"""A role's look at the machine: what it must know before it can say what it manages.

    __session_reset_look:
      program: session_look.py
      shared: [network.py]
      asked: {login: "{{ session_reset_patron_login }}"}

The program lies in the role's `files/`, needs Python's standard library and the modules it says it has `shared` with others
(`playbooks/files/`), reads `asked` as JSON from standard input,
changes nothing, and prints one JSON object. The role's other variables know that as `__<role>_found`. Ansible runs it in
`playbooks/tasks/ask.yml`; pyinfra and the record of what was there before run it from here. This module must not know
how a machine is reached.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from readingroom import toolkit
from readingroom.apply.rendering import defined, read_role_variables, resolve
from readingroom.errors import ReadingRoomError

Ask = Callable[[str], str]
"""Runs a script as root on the machine and returns what it printed."""


def values_on(role: Path, given: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """The variables of the role in the folder `role` on one machine: `given`, its own, and what its look finds there.

    Raises `ReadingRoomError` when the look has no answer.
    """
    raw = {**given, **read_role_variables(role)}
    values = resolve(raw)
    if f"__{role.name}_look" not in values:
        return values
    return resolve({**raw, f"__{role.name}_found": found(role, values, ask)})


def found(role: Path, values: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """What the role's look finds now."""
    look = defined(values[f"__{role.name}_look"])
    program = (role / "files" / look["program"]).read_text(encoding="utf-8")
    shared = toolkit.root() / "playbooks" / "files"
    words = [(shared / "look.py").read_text(encoding="utf-8"), program]
    for name in look.get("shared", ()):
        words += [name.removesuffix(".py"), (shared / name).read_text(encoding="utf-8")]
    said = ask(f"printf %s {shlex.quote(json.dumps(look['asked']))} | /usr/bin/python3 -IBS -c {shlex.join(words)}")
    try:
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise ReadingRoomError(f"the role {role.name} asked the machine how it is, and got no answer") from None
    return answer
