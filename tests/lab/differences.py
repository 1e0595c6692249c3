"""What a machine has written: its files as they are now beside how they were, from the layers of its file system.

The upper layer holds every path that was ever written, so nothing that changed can hide. Compared are kind, rights, owner,
content, target and extended attributes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from readingroom.lab import Lab

State = tuple[object, ...] | None


@dataclass(frozen=True)
class Snapshot:
    """The paths that a machine had written at one moment."""

    image: Path
    upper: Path
    paths: dict[str, State]

    @classmethod
    def of(cls, lab: Lab, name: str) -> Snapshot:
        """A machine as it is now; what it has not yet written to its disk is written first."""
        lab.exec(name, ["sync"])
        image, upper = lab.layers(name)
        return cls(image, upper, {path: _state(upper, path) for path in _below(upper)})

    def state(self, path: str) -> State:
        """How a path was at that moment."""
        return self.paths[path] if path in self.paths else _state(self.image, path)

    def changed(self, later: Snapshot) -> dict[str, tuple[State, State]]:
        """The paths that are not as they were, with how they were and how they are."""
        found = {}
        for path in sorted({*self.paths, *later.paths}):
            before, after = self.state(path), later.state(path)
            if before != after:
                found[path] = (before, after)
        return found


def _below(upper: Path) -> list[str]:
    return [
        f"/{Path(folder, name).relative_to(upper)}"
        for folder, dirs, files in os.walk(upper)
        for name in [*dirs, *files]
    ]


def _state(root: Path, path: str) -> State:
    real = root / path.lstrip("/")
    try:
        status = real.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return None  # how an overlay says that it is gone
    names = [name for name in os.listxattr(real, follow_symlinks=False) if not name.startswith("trusted.")]
    xattrs = tuple((name, os.getxattr(real, name, follow_symlinks=False)) for name in sorted(names))
    rights = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, xattrs)
    if stat.S_ISLNK(status.st_mode):
        return (*rights, str(real.readlink()))
    if stat.S_ISREG(status.st_mode):
        return (*rights, hashlib.sha256(real.read_bytes()).hexdigest())
    return rights
