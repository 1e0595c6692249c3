"""Runs a program on the machine in a private view: mounts and a network of its own, gone when it ends, however it ends.

systemd keeps the view, not our connection: if that breaks, the program still ends within its time and the canary package is
taken away. Must not know any promise.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from testinfra.host import Host

from readingroom.verify import probe

ON_MACHINE = Path(__file__).with_name("on_machine")
SECONDS = 90
BUSY = "another program is installing packages, or was cut short while it did; verify again when it is through"


def asked_in_view(host: Host, program: str, *arguments: str) -> dict[str, Any]:
    """What `program` (a file in on_machine/) says there, as JSON; its first two arguments are a folder and a canary's name.

    Raises `RuntimeError` when it gives no answer.
    """
    canary = probe.canary()
    with probe.folder(host) as folder:
        sources = {
            name: (ON_MACHINE / name).read_text(encoding="utf-8") for name in (program, "private.py", "after.sh")
        }
        write = "\n".join(f"printf %s {shlex.quote(text)} >{folder}/{name}" for name, text in sources.items())
        run = [
            *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={canary}"),
            "--description=Reading Room looks whether updates work",
            *("-p", "PrivateMounts=yes", "-p", "PrivateNetwork=yes", "-p", f"RuntimeMaxSec={SECONDS}"),
            *("-p", f"ExecStopPost=/bin/sh {folder}/after.sh {canary}"),
            *("/usr/bin/python3", "-B", f"{folder}/{program}", folder, canary, *arguments),
        ]
        try:
            # the archive has to be open to apt's own unprivileged account
            done = host.run(f"set -e\nchmod 0755 {folder}\n{write}\n{shlex.join(run)} </dev/null")
        finally:
            # Ctrl-C: what tidies up lies in the folder, and has to have run before that goes
            host.run(f"systemctl stop {canary}.service 2>/dev/null || true")
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise RuntimeError(f"{program} gave no answer: {done.stderr}") from None
    return answer
