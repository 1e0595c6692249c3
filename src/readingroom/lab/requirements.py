"""Says, in plain words, why the lab cannot run on this host, if it cannot.

Must not know what a caller does about it: tests skip, the command line explains, the Makefile installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .recipe import HERE

# A program of each package of host-packages.txt; the keyring has none.
_PROGRAMS = {
    "dnsmasq-base": "dnsmasq",
    "iproute2": "ip",
    "mmdebstrap": "mmdebstrap",
    "netcat-openbsd": "nc",
    "openssh-client": "ssh-keygen",
    "procps": "ps",
    "systemd-container": "systemd-nspawn",
    "util-linux": "nsenter",
    "wireguard-go": "wireguard-go",
    "wireguard-tools": "wg",
}
_NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "mount", "-t", "tmpfs", "x", "/mnt"]


def host_packages() -> list[str]:
    """The Debian packages a host needs for the lab."""
    return (HERE / "host-packages.txt").read_text().split()


def missing() -> list[str]:
    """Every reason why the lab cannot run here; empty when it can."""
    if os.uname().sysname != "Linux":
        return ["the lab needs Linux"]
    if os.geteuid() != 0:
        return ["the lab needs root (it mounts file systems and makes network namespaces): use sudo"]
    lacking = [package for package, program in _PROGRAMS.items() if shutil.which(program) is None]
    reasons = []
    if lacking:
        reasons.append(f"these Debian packages are missing: apt-get install {' '.join(lacking)}")
    if shutil.which("unshare"):
        run = subprocess.run(_NAMESPACES, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            reasons.append(
                "this host does not let us make namespaces and mounts in them "
                f"({run.stderr.strip() or 'not permitted'}); an unprivileged container is not enough"
            )
    if "overlay" not in Path("/proc/filesystems").read_text() and not _loads("overlay"):
        reasons.append("this kernel has no overlay file system (module overlay)")
    return reasons


def _loads(module: str) -> bool:
    if shutil.which("modprobe") is None:
        return False
    return subprocess.run(["modprobe", module], capture_output=True, check=False).returncode == 0
