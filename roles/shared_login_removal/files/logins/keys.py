"""SSH keys: reading the lines of an authorized_keys file. It must not know whose they are."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from pathlib import Path

_KEY = re.compile(
    r"(?:^|\s)(?P<kind>(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w@.-]+)\s+(?P<blob>AAAA[A-Za-z0-9+/]+=*)(?:\s+(?P<comment>.*))?$"
)


def blob(line: str) -> str | None:
    """The key itself without options and comment, or None when the line holds none.

    >>> blob("# old") is None
    True
    """
    match = None if line.lstrip().startswith("#") else _KEY.search(line.strip())
    if match is None:
        return None
    try:
        base64.b64decode(match["blob"], validate=True)
    except (binascii.Error, ValueError):
        return None
    return match["blob"]


def read(path: str | Path) -> str:
    """The text of a key file, empty when there is none; a pipe put in its place does not make us wait."""
    try:
        return Path(path).read_text(errors="replace") if Path(path).is_file() else ""
    except OSError:
        return ""


def blobs(text: str) -> set[str]:
    """Every key in a file."""
    return {found for line in text.splitlines() if (found := blob(line))}


def missing(text: str, wanted: Sequence[str]) -> list[str]:
    """Wanted keys that a file does not hold, whatever their comment."""
    have = blobs(text)
    return [line.strip() for line in wanted if blob(line) and blob(line) not in have]


def owners(text: str) -> set[str]:
    """Who the keys' comments say they belong to; one person may have keys on several machines.

    >>> key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== "
    >>> sorted(owners(f"{key}ann@desk\\n{key}ann@home\\n{key}bea@desk"))
    ['ann', 'bea']
    """
    found = set()
    for line in text.splitlines():
        match = _KEY.search(line.strip()) if blob(line) else None
        if match and match["comment"]:
            found.add(match["comment"].strip().partition("@")[0].lower())
    return found
