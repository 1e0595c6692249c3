"""Finds the lines of others that defeat our settings of apt, and switches them off: archives that are taken on trust, and
settings that apt would believe rather than ours.

Run from its text, with JSON on standard input: `sources` (whether archives matter), `settings` (names that are ours to set),
`lists` (to which others may add, and that nobody may clear), and `switch_off` (a file to change, or nothing). Prints names of
files, never a line: an address may hold a password. A file that cannot be changed without harm is left as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

APT = Path("/etc/apt")
OURS = "zz-readingroom"
MARK = "#readingroom# "
YES = r"(?:yes|true|with|on|enable|1)\b"
TRUST = r"(?:trusted|allow-insecure|allow-weak|allow-downgrade-to-insecure)"
ONE_LINE = re.compile(rf"\s*deb(?:-src)?\s+\[(?:[^\]]*\s)?{TRUST}\s*=\s*{YES}", re.IGNORECASE)
FIELD = re.compile(rf"^{TRUST}\s*:\s*{YES}", re.IGNORECASE | re.MULTILINE)
DISABLED = re.compile(r"^enabled\s*:\s*(?:no|false|without|off|disable|0)\b", re.IGNORECASE | re.MULTILINE)
TOKEN = re.compile(r'//.*|"[^"]*"|[{};]|[^\s{};"]+')
CLEAR = re.compile(r"\s*#clear\s+([^\s;]+)")
FOR_ONE_PROGRAM = re.compile(r"binary::[^:]+::", re.IGNORECASE)


def trusting(name: str, lines: Sequence[str]) -> list[int]:
    """The lines by which a file of sources has an archive taken on trust.

    >>> trusting("a.list", ["deb http://one ./", "deb [arch=amd64 trusted=yes] http://two ./", "# deb [trusted=yes] no"])
    [1]
    """
    if not name.endswith(".sources"):
        return [number for number, line in enumerate(lines) if ONE_LINE.match(line)]
    found: list[int] = []
    for stanza in _stanzas(lines):
        text = "\n".join(lines[number] for number in stanza)
        if FIELD.search(text) and not DISABLED.search(text):
            found += stanza
    return found


def _stanzas(lines: Sequence[str]) -> Iterator[list[int]]:
    """Numbers of the lines of each stanza, comments left out."""
    stanza: list[int] = []
    for number, line in enumerate([*lines, ""]):
        if not line.strip():
            yield stanza
            stanza = []
        elif not line.startswith("#"):
            stanza.append(number)


def overruling(name: str, lines: Sequence[str], ours: Sequence[str], shared: Sequence[str] = ()) -> list[int]:
    """The lines by which a file of settings overrules ours: one that is read later, or a setting for one program only.

    Nothing when switching just them off would leave half a block behind.

    >>> overruling("zzz", ["APT {", " Periodic { ", '  Enable "0";', " };", "};"], ["APT::Periodic::Enable"])
    [2]
    """
    later = name == "apt.conf" or name > OURS
    found = set[int]()
    cleared = ((number, match[1]) for number, line in enumerate(lines) if (match := CLEAR.match(line)))
    found |= {number for number, setting in cleared if _clears(setting, [*ours, *shared], later)}
    found |= {number for number, setting, _ in _settings(lines) if _overrules(setting, ours, later)}
    balance = sum(step for number, _, step in _settings(lines) if number in found)
    return [] if balance else sorted(found)


def _settings(lines: Sequence[str]) -> Iterator[tuple[int, str, int]]:
    """The line, the full name, and the step into a block or out of it, of everything that a file of settings says."""
    scope, word = list[str](), ""
    for number, line in enumerate(lines):
        for piece in TOKEN.findall("" if line.lstrip().startswith("#") else line):
            step = {"{": 1, "}": -1}.get(piece, 0)
            if piece.startswith("//"):
                break
            if not step and piece != ";" and not piece.startswith('"'):
                word = piece
            if step > 0:
                scope.append(word)
                word = ""
            yield number, "::".join(filter(None, [*scope, word])), step
            if step < 0:
                del scope[-1:]
            if piece == ";":
                word = ""


def _overrules(setting: str, ours: Sequence[str], later: bool) -> bool:
    """Does `setting` win over one of ours? What is set for one program does, wherever it stands."""
    plain = FOR_ONE_PROGRAM.sub("", setting, count=1)
    return (later or plain != setting) and any(_inside(plain, one) for one in ours)


def _clears(setting: str, ours: Sequence[str], later: bool) -> bool:
    """Does clearing `setting` take one of ours away?"""
    return later and any(_inside(setting, one) or _inside(one, setting) for one in ours)


def _inside(setting: str, other: str) -> bool:
    """Is `setting` the same as `other`, or a part of it?"""
    setting, other = setting.lower().rstrip(":"), other.lower().rstrip(":")
    return setting == other or setting.startswith(f"{other}::")


def switch_off(path: Path, lines: Sequence[str], numbers: Sequence[int]) -> None:
    """Put the mark before these lines; the file keeps its rights and its owner."""
    fresh = path.with_name(f".{path.name}.readingroom")
    fresh.touch(mode=0o600)
    changed = [MARK + line if number in numbers else line for number, line in enumerate(lines)]
    fresh.write_text("\n".join(changed), encoding="utf-8", errors="surrogateescape")
    shutil.copystat(path, fresh)
    os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
    fresh.replace(path)


def _places(asked: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """The files that apt reads, and what they hold. A link is somebody else's arrangement and stays."""
    if asked["sources"]:
        folder = APT / "sources.list.d"
        for path in (APT / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))):
            yield "sources", path
    if asked["settings"]:
        for path in (*sorted((APT / "apt.conf.d").glob("*")), APT / "apt.conf"):
            if path.suffix in ("", ".conf") and not path.name.startswith(OURS):
                yield "settings", path


def main(asked: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files that hold such lines; in one of them, they are switched off."""
    found: dict[str, list[str]] = {"sources": [], "settings": []}
    for kind, path in _places(asked):
        if not path.is_file() or path.is_symlink():
            continue
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        numbers = (
            trusting(path.name, lines)
            if kind == "sources"
            else overruling(path.name, lines, asked["settings"], asked["lists"])
        )
        if numbers:
            found[kind].append(str(path))
        if numbers and str(path) == asked["switch_off"]:
            switch_off(path, lines, numbers)
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
