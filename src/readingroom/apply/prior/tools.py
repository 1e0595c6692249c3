"""The one way to run the machine's own tools, and what a person can mend."""

from __future__ import annotations

import os
import subprocess


class Problem(Exception):
    """Something that stops us and that a person can mend; the text says what and how."""


def run(*argv: str, may_fail: bool = False) -> str:
    """Run a tool and return what it printed. Raises `Problem` when it fails, unless it may (then: what it printed)."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        if may_fail:
            return ""
        raise Problem(f"this machine has no {argv[0]}") from None
    if done.returncode and not may_fail:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Problem(f"{argv[0]} failed: {' '.join(lines[-3:])}")
    return done.stdout
