"""Sends the package `prior` to a machine and asks one thing of it: record, settle, undo.

Everything goes in over the standard input of a root shell, so that neither the process list nor the journal tells
anything, and nothing is installed. This module must not know what the answers mean.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from readingroom.apply.root_shell import RootShell
from readingroom.errors import ReadingRoomError

Verb = Literal["facts", "record", "settle", "undo", "sweep"]
# In the order they need one another.
_MODULES = ("tools", "store", "paths", "units", "packages", "queues", "kernel", "pam", "lines",
            "recording", "guard", "accounts", "main")  # fmt: skip
_BOOT = """
import json, sys, types
bundle = json.load(sys.stdin)
package = types.ModuleType("prior")
package.__path__ = []
sys.modules["prior"] = package
for name, source in bundle["modules"].items():
    module = types.ModuleType("prior." + name)
    module.__package__ = "prior"
    sys.modules[module.__name__] = module
    setattr(package, name, module)
    exec(compile(source, "prior/" + name + ".py", "exec"), module.__dict__)
print(json.dumps(sys.modules["prior.main"].main(sys.argv[1], bundle["request"])))
"""


class RecordProblem(ReadingRoomError):
    """The machine could not record, or not give back; the text is the machine's."""


@dataclass(frozen=True)
class Answer:
    """What the machine said: what it did or would do, and what a person should know."""

    facts: Mapping[str, str]
    roles: tuple[str, ...]
    changes: tuple[str, ...]
    notes: tuple[str, ...]
    problem: str | None


def ask(shell: RootShell, verb: Verb, **request: Any) -> Answer:
    """Run one verb on the machine; raises `RecordProblem` when its Python did not even answer."""
    folder = Path(__file__).with_name("prior")
    modules = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}
    bundle = json.dumps({"modules": modules, "request": request})
    script = f"/usr/bin/python3 -IB -c {shlex.quote(_BOOT)} {verb} <<'END-OF-REQUEST'\n{bundle}\nEND-OF-REQUEST\n"
    done = shell.run(script)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        lines = done.stderr.strip().splitlines()[-3:]
        raise RecordProblem(
            "the machine cannot record what is there before it is changed: " + (" ".join(lines) or "no answer")
        ) from None
    return Answer(
        said["facts"], tuple(said["roles"]), tuple(said["changes"]), tuple(said["notes"]), said["problem"]
    )  # fmt: skip
