"""Looks for canaries in everything that a browser could have written to, compressed session files included.

Must not know browsers; it says which kinds of canary lie in how many files, and for our own log in which.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from pathlib import Path

from pages import KINDS


def sweep(base: str, places: list[str]) -> dict[str, list[str]]:
    """The kinds of canary found, with the files that hold them, or are named so."""
    found: dict[str, set[str]] = {}
    plain, wide = (_any_kind(base, code) for code in ("utf-8", "utf-16-le"))
    for path in _files(places):
        for kind in plain.findall(path.encode()):
            found.setdefault(kind.decode() or "other", set()).add(path)
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue
        if data.startswith(b"mozLz40\0"):
            with contextlib.suppress(IndexError):  # half a file, of a browser that was killed
                data = _unpacked(data)
        for kind in plain.findall(data):
            found.setdefault(kind.decode() or "other", set()).add(path)
        for kind in wide.findall(data):
            found.setdefault(kind.decode("utf-16-le") or "other", set()).add(path)
    return {kind: sorted(paths) for kind, paths in sorted(found.items())}


def _any_kind(base: str, code: str) -> re.Pattern[bytes]:
    # A word that is none of ours, or cut off, is found all the same.
    kinds = b"|".join(re.escape(kind.encode(code)) for kind in KINDS)
    return re.compile(re.escape(base.encode(code)) + b"(" + kinds + b"|)")


def _files(places: list[str]) -> list[str]:
    """Folders too, for their names; sockets and pipes hold nothing."""
    every = []
    for place in places:
        for folder, folders, files in os.walk(place):
            every += [f"{folder}/{name}" for name in folders]
            every += [f"{folder}/{name}" for name in files if os.path.isfile(f"{folder}/{name}")]
    return every


def _unpacked(data: bytes) -> bytes:
    """Mozilla's session files: a magic word, the size, and one LZ4 block."""
    (size,) = struct.unpack("<I", data[8:12])
    out = bytearray()
    at = 12

    def length(short: int) -> int:
        nonlocal at
        total = more = short
        while more == 255 or total == 15:
            more = data[at]
            at += 1
            total += more
            if more != 255:
                break
        return total

    while at < len(data) and len(out) < size:
        token = data[at]
        at += 1
        count = length(token >> 4)
        out += data[at : at + count]
        at += count
        if at >= len(data):
            break
        back = data[at] | data[at + 1] << 8
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-back])
    return bytes(out)
