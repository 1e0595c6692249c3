"""Stop using swap, if what lies there fits into memory; otherwise it ends with the next restart.

A machine without a kernel of its own sees its host's swap, which is not ours to touch.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def main() -> None:
    """Switch swap off."""
    if subprocess.run(["systemd-detect-virt", "--quiet", "--container"], check=False).returncode == 0:
        return
    said = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    kilobytes = {name: int(value.split()[0]) for name, value in said.items()}
    used = kilobytes["SwapTotal"] - kilobytes["SwapFree"]
    if used < kilobytes["MemAvailable"] * 0.9:
        subprocess.run(["swapoff", "--all"], check=True)


main()
