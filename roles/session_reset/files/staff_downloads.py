#!/usr/bin/python3 -B
"""Delete what lies untouched in the download folders of people who work here, once it is older than the policy allows.

Started by readingroom-staff-downloads.timer. Reads /etc/readingroom/staff-downloads.json and nothing else about the
policy. Works in each folder with its owner's rights, so nobody can lead it into somebody else's. Says how many files
went, never whose or what they were.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
import sys
import time
from pathlib import Path

SETTINGS = Path("/etc/readingroom/staff-downloads.json")
PEOPLE = range(1000, 60000)  # Debian's user ids for people


def main() -> int:
    """Delete in every person's folder; 1 when some could not be looked at."""
    age = int(json.loads(SETTINGS.read_text(encoding="utf-8"))["age_seconds"])
    before = time.time() - age
    deleted, failed = 0, 0
    for account in pwd.getpwall():
        if account.pw_uid in PEOPLE and Path(account.pw_dir).is_dir():
            count = _with_rights_of(account, before)
            deleted, failed = (deleted, failed + 1) if count is None else (deleted + count, failed)
    if deleted:
        print(f"deleted {deleted} files that were downloaded and left", flush=True)
    if failed:
        print(f"{failed} folders could not be looked at", file=sys.stderr)
    return 1 if failed else 0


def _with_rights_of(account: pwd.struct_passwd, before: float) -> int | None:
    """Delete in one person's folder; how many files went, or None when it could not be done."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            old = [path for folder in downloads(Path(account.pw_dir)) for path in old_files(folder, before)]
            os.write(write, str(sum(map(_delete, old))).encode())
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    _, code = os.waitpid(child, 0)
    return int(said) if code == 0 and said else None


def downloads(home: Path) -> set[Path]:
    """A person's download folders: the one that browsers know, and the one with a name in the person's language."""
    try:
        names = (home / ".config" / "user-dirs.dirs").read_text(encoding="utf-8", errors="replace")
    except OSError:
        names = ""
    named = re.search(r'^XDG_DOWNLOAD_DIR="\$HOME/([^"]*[^"/])/*"', names, re.MULTILINE)
    return {home / "Downloads", *([home / named[1]] if named else [])}


def old_files(folder: Path, before: float) -> list[Path]:
    """Files neither changed nor opened since `before`, then folders as old, inner ones first; links count as files."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, topdown=False):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        states = ((Path(place) / name, (Path(place) / name).lstat()) for name in files + links)
        found += [path for path, state in states if max(state.st_mtime, state.st_atime) < before]
        if Path(place) != folder and Path(place).stat().st_mtime < before:
            found.append(Path(place))
    return found


def _delete(path: Path) -> int:
    """Delete a file, or a folder if it is empty; how many files that were."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            path.rmdir()
            return 0
        path.unlink()
    except OSError:
        return 0  # a folder that is not empty, a file that its owner may not delete
    return 1


if __name__ == "__main__":
    sys.exit(main())
