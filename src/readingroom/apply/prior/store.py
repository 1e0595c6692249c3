"""The record itself: for each role, the things it manages and how each was before.

`state.json` is replaced whole, and a file's content lies in `kept/` before it is named there, so a run that is killed at
any moment leaves a record that can be read and that names nothing it does not have. A thing is written down once: what
another role has recorded already is taken over from there, since by now the machine shows our own work.
It must not know what kinds of things there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = Path("/var/lib/readingroom/prior")
State = dict[str, Any]


class Store:
    """All roles' records on this machine."""

    def __init__(self, place: Path = PLACE) -> None:
        self.place = place

    def roles(self) -> list[str]:
        """The roles that have a record here."""
        return sorted(path.name for path in self.place.glob("*") if path.is_dir())

    def role(self, name: str) -> Record:
        """The record of one role, empty when there is none yet."""
        return Record(self.place / name)

    def known(self, thing: str) -> State | None:
        """How `thing` was before us, if any role has recorded it."""
        return next((found for name in self.roles() if (found := self.role(name).things.get(thing)) is not None), None)

    def kept(self, digest: str) -> bytes:
        """Content that some role's record keeps."""
        return next(path for path in self.place.glob(f"*/kept/{digest}")).read_bytes()

    def others(self, role: str) -> Iterator[Record]:
        """Every other role's record."""
        return (self.role(name) for name in self.roles() if name != role)


class Record:
    """One role's record."""

    def __init__(self, place: Path) -> None:
        self.place = place
        path = place / "state.json"
        written: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.things: dict[str, State] = written.get("things", {})
        self.tell: list[str] = written.get("tell", [])

    @property
    def changes(self) -> Path:
        """Where a role's own program notes, line by line, what it is about to change."""
        return self.place / "changes.jsonl"

    def keep(self, content: bytes) -> str:
        """Keep content; its digest, under which it is found again."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.place / "kept" / digest
        if not path.exists():
            self._make_place()
            write(path, content)
        return digest

    def save(self) -> None:
        """Write the record, whole or not at all."""
        self._make_place()
        text = json.dumps({"things": self.things, "tell": self.tell}, indent=1)
        write(self.place / "state.json", text.encode())

    def forget(self) -> None:
        """Remove this role's record; with the last one goes the place of all."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _make_place(self) -> None:
        for folder in (self.place.parent.parent, self.place.parent, self.place, self.place / "kept"):
            # the outermost is shared with our programs' own state, and each of those looks after its own
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write(path: Path, content: bytes) -> None:
    """Put a file of the record in its place in one step, and wait until it is on the disk."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
