"""Makes this machine's key for a tunnel, unless it has one, and sees to it that it is root's alone: `wireguard_key.py FILE.key`.

The public part is put beside it, into FILE.pub. The key never leaves the machine, and nothing of it is said. The roles of both
ends of a tunnel use it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KEY = Path(sys.argv[1])


def put(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all, and readable to nobody else on the way."""
    fresh = path.with_name(f".{path.name}.readingroom")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(mode)
    fresh.replace(path)


def wg(verb: str, said: str = "") -> str:
    """What `wg` makes of it."""
    return subprocess.run(["wg", verb], input=said, capture_output=True, text=True, check=True).stdout


if not KEY.is_file() or not KEY.read_text().strip():
    put(KEY, wg("genkey"), 0o600)
os.chown(KEY, 0, 0)
KEY.chmod(0o600)
put(KEY.with_suffix(".pub"), wg("pubkey", KEY.read_text()), 0o644)
