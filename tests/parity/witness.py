"""A lab machine as it is, seen from outside: its overlay's upper layer, dpkg and systemd themselves, and its print queues.

No engine and no role has a say in it. The upper layer holds every path that was ever written, so nothing that changed can
hide. Must not know what was announced, or what may change.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from readingroom.lab import Lab

ABSENT = "absent"
# Services whose being at work is part of how a machine is; the others come and go.
LASTING = ("rsyslog", "cups", "cron", "ssh.", "atd", "wtmpdb", "systemd-journald", "lightdm", "acct")
# Logins of the system's that Debian leaves when their package goes, so that no number is ever given twice.
LEFT_BEHIND = ("stunnel4", "unbound")
_LOGINS = {"passwd", "shadow", "group", "gshadow"}
# What CUPS writes into a queue's settings by itself.
_CUPS_OWN = ("StateTime", "ConfigTime", "AuthInfoRequired", "#")


@dataclass(frozen=True)
class Snapshot:
    """The state of a machine: `upper` by path, packages with their versions, units' states, accounts, queues.

    `shipped` are the files of packages that came since the image was built.
    """

    lower: Path
    upper: dict[str, str]
    packages: dict[str, str]
    enabled: dict[str, str]
    running: frozenset[str]
    accounts: frozenset[str]
    queues: tuple[str, ...]
    shipped: frozenset[str]

    def state(self, path: str) -> str:
        """What is at `path`: as written by the machine, or as the image has it."""
        if path in self.upper:
            return self.upper[path]
        above = path
        while (above := os.path.dirname(above)) != "/":  # noqa: PTH120 (paths of the machine, not of this computer)
            if self.upper.get(above) == ABSENT:
                return ABSENT
        return _state(self.lower / path.lstrip("/"))


def look(lab: Lab, name: str) -> Snapshot:
    """Take a snapshot of a running machine."""
    lower, upper = lab.layers(name)

    def said(*command: str) -> list[str]:
        return lab.exec(name, command).stdout.splitlines()

    packages = said("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\\n")
    units = said("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain")
    active = said("systemctl", "list-units", "--state=active", "--no-legend", "--no-pager", "--plain")
    return Snapshot(
        lower=lower,
        upper={f"/{path.relative_to(upper)}": _state(path) for path in _walk(upper)},
        packages=dict(line.split()[:2] for line in packages if line.endswith(" installed")),
        enabled={line.split()[0]: line.split()[1] for line in units if "transient" not in line},
        running=frozenset(line.split()[0] for line in active if line.startswith(LASTING)),
        accounts=frozenset(line for line in said("getent", "passwd") if line.split(":")[0] not in LEFT_BEHIND),
        queues=tuple(line for line in said("cat", "/etc/cups/printers.conf") if not line.startswith(_CUPS_OWN)),
        shipped=frozenset(
            _merged(line)
            for listed in (upper / "var/lib/dpkg/info").glob("*.list")
            if _state(listed) != ABSENT
            for line in listed.read_text().splitlines()
        ),
    )


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def _state(path: Path) -> str:
    """Kind, rights, extended attributes and content in one line."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return ABSENT  # an overlay's way to say that a file of the image was removed
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.")]
    more = [f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in sorted(names)]
    head = " ".join([f"{stat.filemode(found.st_mode)} {found.st_uid} {found.st_gid}", *more])
    if stat.S_ISLNK(found.st_mode):
        return f"{head} → {path.readlink()}"
    if stat.S_ISREG(found.st_mode) and path.name in _LOGINS and path.parent.name == "etc":
        lines = path.read_bytes().splitlines(keepends=True)
        kept = b"".join(line for line in lines if line.split(b":")[0].decode() not in LEFT_BEHIND)
        return f"{head} {hashlib.sha256(kept).hexdigest()}"
    if stat.S_ISREG(found.st_mode):
        with path.open("rb") as file:
            return f"{head} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return head


def changed_paths(before: Snapshot, after: Snapshot) -> list[str]:
    """Every path that is not as it was."""
    paths = sorted({*before.upper, *after.upper})
    return [path for path in paths if before.state(path) != after.state(path)]


def _merged(path: str) -> str:
    """dpkg still lists what lies below /usr under its old name."""
    top = path.split("/")[1] if path.startswith("/") else ""
    return f"/usr{path}" if top in ("lib", "bin", "sbin", "lib64") else path
