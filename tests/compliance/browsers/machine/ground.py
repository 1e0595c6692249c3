"""The ground that a browser is tried on: a network, a home and folders of its own, seen by nobody else on the machine.

Runs as root inside fresh namespaces (`unshare --net --mount --pid --ipc`), and everything it makes goes with them: the
machine's own files, network and processes are neither touched nor, but for programs and their settings, seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

RESOLVER, SITE, PLAIN = "192.0.2.53", "192.0.2.80", "192.0.2.81"
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); raises `OSError`."""
    done = _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount on {target}: {os.strerror(number)}")


def empty(folder: str, mode: str = "1777") -> None:
    """An empty folder in memory in the place of `folder`; a folder that is not there stays so."""
    if os.path.isdir(folder):
        mount("tmpfs", os.path.realpath(folder), "tmpfs", 0, f"mode={mode}")


def private(folder: str) -> None:
    """Make `folder` one that can be changed without changing the machine's: the same entries in a folder in memory."""
    folder = os.path.realpath(folder)
    below = os.open(folder, os.O_RDONLY)
    was = f"/proc/self/fd/{below}"
    mount("tmpfs", folder, "tmpfs", 0, "mode=755")
    for entry in os.scandir(was):
        with contextlib.suppress(FileNotFoundError):  # a file that somebody else had there for a moment only
            _same(entry, f"{was}/{entry.name}", f"{folder}/{entry.name}")
    os.close(below)


def _same(entry: os.DirEntry[str], source: str, place: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(source), place)
        return
    if entry.is_dir():
        os.mkdir(place)
    elif entry.is_file():
        open(place, "x").close()
    else:
        return
    try:
        mount(source, place, flags=_BIND | _REC)
    except FileNotFoundError:
        os.rmdir(place) if entry.is_dir() else os.unlink(place)
        raise


def replace(path: str, text: str) -> None:
    """Put a file of our own in the place of what `private` took over."""
    _libc.umount2(path.encode(), 2)
    if os.path.lexists(path):
        os.unlink(path)
    Path(path).write_text(text)


def prepare(home: str, uid: int, gid: int) -> None:
    """Folders of our own, a network with one computer in it, and a home for the account."""
    mount("none", "/", flags=_REC | _PRIVATE)
    private("/etc")
    replace("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {os.uname().nodename}\n")
    replace("/etc/resolv.conf", f"nameserver {RESOLVER}\n")
    switch = Path("/etc/nsswitch.conf")
    lines = switch.read_text().splitlines() if switch.exists() else []
    lines = [line for line in lines if not line.startswith("hosts:")]
    replace(str(switch), "\n".join([*lines, "hosts: files dns", ""]))
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        empty(folder)
    # Neither the system's bus nor anybody's session can be reached: a service would act outside of this ground.
    for folder in ("/home", "/run/user", "/run/dbus"):
        empty(folder, "755")
    os.mkdir(home, 0o700)
    os.chown(home, uid, gid)
    _network()


def _network() -> None:
    """As a browser sees it, an ordinary network: an address, a way out, a resolver. What goes out ends on `wire0`."""
    script = [
        "link set lo up",
        *(f"addr add {address}/32 dev lo" for address in (RESOLVER, SITE, PLAIN)),
        "link add eth0 type veth peer name wire0",
        "addr add 203.0.113.10/24 dev eth0",
        "link set eth0 up",
        "link set wire0 up",
        "neigh add 203.0.113.1 lladdr 02:00:00:00:00:01 dev eth0",
        "route add default via 203.0.113.1 dev eth0",
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script), text=True, check=True, capture_output=True)


def forget(path: str) -> None:
    """Take an entry out of a folder that `private` took over."""
    _libc.umount2(path.encode(), 2)
    os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
