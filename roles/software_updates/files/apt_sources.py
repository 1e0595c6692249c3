"""Finds the lines of others that defeat our settings of apt, and switches them off: archives that are taken on trust, and
settings that apt would believe rather than ours.

Run from its text, with JSON on standard input: `sources` (whether archives matter), `settings` (names that are ours to set), and
`switch_off` (a file to change, or nothing). Prints names of files, never a line: an address may hold a password. A file that
cannot be changed without harm is left as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

APT = Path("/etc/apt")
OURS = "zz-readingroom"
MARK = "#readingroom# "
YES = r"(?:yes|true|with|on|enable|1)\b"
TRUST = r"(?:trusted|allow-insecure|allow-weak|allow-downgrade-to-insecure)"
ONE_LINE = re.compile(rf"\s*deb(?:-src)?\s+\[[^\]]*\b{TRUST}={YES}", re.IGNORECASE)
FIELD = re.compile(rf"^{TRUST}:\s*{YES}", re.IGNORECASE | re.MULTILINE)
DISABLED = re.compile(r"^enabled:\s*(?:no|false|without|off|disable|0)\b", re.IGNORECASE | re.MULTILINE)
TOKEN = re.compile(r'"[^"]*"|[{};]|[^\s{};"]+')
CLEAR = re.compile(r"\s*#clear\s+([^\s;]+)")


def trusting(path: Path, lines: list[str]) -> list[int]:
    """The lines of a file of sources by which an archive is taken on trust."""
    if path.suffix != ".sources":
        return [number for number, line in enumerate(lines) if ONE_LINE.match(line)]
    found: list[int] = []
    for stanza in stanzas(lines):
        text = "".join(lines[number] for number in stanza)
        if FIELD.search(text) and not DISABLED.search(text):
            found += stanza
    return found


def stanzas(lines: list[str]) -> Iterator[list[int]]:
    """Numbers of the lines of each stanza, comments left out."""
    stanza: list[int] = []
    for number, line in enumerate([*lines, ""]):
        if not line.strip():
            yield stanza
            stanza = []
        elif not line.startswith("#"):
            stanza.append(number)


def overruling(path: Path, lines: list[str], ours: list[str]) -> list[int]:
    """The lines of a file of settings that overrule ours: later than ours, or meant for one program only."""
    later = path.name == "apt.conf" or path.name > OURS
    found, scope, word, balance = [], list[str](), "", 0
    for number, line in enumerate(lines):
        cleared = CLEAR.match(line)
        hit = bool(cleared and later and matters(cleared[1], ours, above=True))
        code = "" if line.lstrip().startswith("#") else line.split("//")[0] if '"' not in line else line
        weight = 0
        for token in TOKEN.findall("" if code.lstrip().startswith("//") else code):
            hit |= concerns("::".join([*scope, word]), ours, later)
            if token == "{":
                scope.append(word)
                weight += 1
                word = ""
            elif token == "}":
                del scope[-1:]
                weight -= 1
            elif token == ";":
                word = ""
            elif not token.startswith('"'):
                word = token
                hit |= concerns("::".join([*scope, word]), ours, later)
        if hit:
            found.append(number)
            balance += weight
    return [] if balance else found


def concerns(name: str, ours: list[str], later: bool) -> bool:
    """Whether setting `name` overrules one of ours; what is set for one program wins wherever it stands."""
    for_one = re.match(r"binary::[^:]+::(.+)", name, re.IGNORECASE)
    return matters(for_one[1], ours) if for_one else later and matters(name, ours)


def matters(name: str, ours: list[str], above: bool = False) -> bool:
    """Whether `name` is one of ours or inside one; with `above`, also whether one of ours is inside it."""
    name = name.lower().rstrip(":")
    for one in map(str.lower, ours):
        if name == one or name.startswith(f"{one}::") or (above and one.startswith(f"{name}::")):
            return True
    return False


def switch_off(path: Path, lines: list[str], numbers: list[int]) -> None:
    """Put the mark before these lines; the file keeps its rights and its owner."""
    changed = "".join(MARK + line if number in numbers else line for number, line in enumerate(lines))
    fresh = path.with_name(f".{path.name}.readingroom")
    fresh.write_text(changed, encoding="utf-8", errors="surrogateescape")
    shutil.copystat(path, fresh)
    os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
    fresh.replace(path)


def places(sources: bool, settings: list[str]) -> Iterator[tuple[str, Path]]:
    """The files that apt reads, with what they hold; a link is somebody else's arrangement."""
    if sources:
        folder = APT / "sources.list.d"
        for path in [APT / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]:
            yield "sources", path
    if settings:
        for path in [*sorted((APT / "apt.conf.d").glob("*")), APT / "apt.conf"]:
            if path.suffix in ("", ".conf") and not path.name.startswith(OURS):
                yield "settings", path


def main(asked: dict[str, object]) -> None:
    """Print the files that hold such lines; of one file, switch them off."""
    ours = [str(name) for name in asked["settings"]]  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {"sources": [], "settings": []}
    for kind, path in places(bool(asked["sources"]), ours):
        if not path.is_file() or path.is_symlink():
            continue
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
        numbers = trusting(path, lines) if kind == "sources" else overruling(path, lines, ours)
        if numbers:
            found[kind].append(str(path))
        if numbers and str(path) == asked["switch_off"]:
            switch_off(path, lines, numbers)
    print(json.dumps(found))


main(json.load(sys.stdin))
