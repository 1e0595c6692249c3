"""Offers the machine's apt an unsigned archive, in the private view, and asks apt which of its own sources it takes on trust.

Prints {"busy"}, and where nobody is: what apt did with our archive ("refused", "known"; with its lists forced in "offered",
"given"; declared trusted "works"), and counts of its own ("sources", "looked_at", "on_trust", "unsigned").
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import private

FOLDER, CANARY = Path(sys.argv[1]), sys.argv[2]
LISTS = Path("/var/lib/apt/lists")
TARGETS = ("apt-get", "indextargets", "--format", "$(TRUSTED)\t$(FILENAME)\t$(BASE_URI)")


def own() -> dict[str, int]:
    """How many of the machine's own archives are taken on trust, and how many were read without a signature."""
    # with blank lists and nothing beside them, apt trusts just those that a source says it should
    places = FOLDER / "lists"
    (places / "partial").mkdir(parents=True)
    option = f"Dir::State::lists={places}"
    uris = private.must("apt-get", "--option", option, "--print-uris", "update")
    names = re.findall(r"^'[^']*' (\S+)", uris, re.MULTILINE)
    for name in names:
        if not name.endswith("InRelease"):
            (places / name).touch()
    blank = {tuple(line.split("\t")[::2]) for line in private.must(*TARGETS, "--option", option).splitlines()}
    # what was read has a signature beside it
    signed = [path.name.removesuffix(end) for end in ("_InRelease", "_Release.gpg") for path in LISTS.glob(f"*{end}")]
    read = [line.split("\t")[1:] for line in private.must(*TARGETS).splitlines()]
    bare = {base for path, base in read if not any(Path(path).name.startswith(f"{start}_") for start in signed)}
    return {
        "sources": sum(name.endswith("InRelease") for name in names), "looked_at": len({base for _, base in blank}),
        "on_trust": sum(trusted == "yes" for trusted, _ in blank), "unsigned": len(bare),
    }  # fmt: skip


def main() -> dict[str, object]:
    if private.busy():
        return {"busy": True}
    found: dict[str, object] = {"busy": False, **own()}
    private.archive(FOLDER / "archive", private.deb(FOLDER, CANARY, "1"), private.codename())
    private.only(f"deb file:{FOLDER}/archive ./", FOLDER)
    code, said = private.run("apt-get", "update")
    found["refused"] = bool(code) and "is not signed" in said
    found["known"] = private.candidate(CANARY) == "1"
    # suppose its lists had come in all the same: would it be installed?
    private.run("apt-get", "--option", "Acquire::AllowInsecureRepositories=true", "update")
    found["offered"] = private.candidate(CANARY) == "1"
    found["given"] = private.run("apt-get", "--yes", "--download-only", "install", CANARY)[0] == 0
    # and the view works: said to be trusted, the same archive gives
    Path("/etc/apt/sources.list.d/check.list").write_text(f"deb [trusted=yes] file:{FOLDER}/archive ./\n")
    private.run("apt-get", "update")
    found["works"] = private.run("apt-get", "--yes", "--download-only", "install", CANARY)[0] == 0
    return found


print(json.dumps(main()))
