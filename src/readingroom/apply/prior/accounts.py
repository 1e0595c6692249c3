"""Takes back, last one first, what a role's own program noted in `changes.jsonl` before it did it.

Each line is one act on logins, groups, keys or a file that belongs to others. Every way back may be gone twice. A login
that people have begun to use stays; nobody who administers the machine is taken away as the last one; and the login this
run came in with keeps all it has.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import guard, paths
from .store import State
from .tools import run

Facts = Mapping[str, Any]
Kept = Callable[[str], bytes]
NO_SHELL = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false")


def acts(path: Path) -> list[dict[str, Any]]:
    """The acts of a record, in the order they were done; a last line that was cut short was never acted on."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def say(act: Facts) -> str:
    """What taking this act back means, in words; empty when it is nothing to speak of."""
    login, group = act.get("login"), act.get("group")
    return {
        "locked": f"Open the login {login} again as it was",
        "removed": f"Bring the login {login} back, without its password",
        "created": f"Remove the login {login}, unless it has been used",
        "keys": f"Take the keys that we gave to {login} away again" if act.get("given") else "",
        "joined": f"Take {login} out of the group {group}",
        "left": f"Put {login} into the group {group} again",
        "primary": f"Give {login} the group {group} as its own again",
        "file": f"Give {act.get('path')} back as it was",
        "link": f"Give the link {act.get('path')} back",
    }[act["act"]]


def take_back(act: Facts, kept: Kept) -> str | None:
    """Take one act back; a word for the person where it is not, or not all of it."""
    return _WAYS_BACK[act["act"]](act, kept)


def exists(login: str) -> bool:
    """Is there an account of that name in this machine's own files?"""
    return any(line.startswith(f"{login}:") for line in Path("/etc/passwd").read_text().splitlines())


def _secret(login: str) -> str:
    lines = (line.split(":") for line in Path("/etc/shadow").read_text().splitlines())
    return next((fields[1] for fields in lines if fields[0] == login), "*")


def _locked(act: Facts, kept: Kept) -> str | None:
    login = act["login"]
    if not exists(login):
        return f"the login {login} is gone by now: it is not opened again"
    secret = _secret(login)
    run("usermod", "--shell", act["shell"], "--expiredate", act["expires"], login)
    if act["locked"] or not secret.startswith("!"):
        return None if act["locked"] or secret.strip("!*") else f"give {login} a password: sudo passwd {login}"
    if len(secret.lstrip("!")) == 0:
        run("passwd", "--quiet", "--delete", login)
    else:
        run("usermod", "--unlock", login)
    return None


def _removed(act: Facts, kept: Kept) -> str | None:
    login, number = act["login"], act["number"]
    if not exists(login):
        if any(entry.pw_uid == number for entry in pwd.getpwall()):
            return f"{login} cannot come back: its number belongs to somebody else by now"
        if not any(entry.gr_gid == act["group"] for entry in grp.getgrall()):
            run("groupadd", "--gid", str(act["group"]), act["group_name"])
        run("useradd", "--no-create-home", "--no-user-group", "--uid", str(number), "--gid", str(act["group"]),
            "--home-dir", act["home"], "--shell", act["shell"], "--comment", act["comment"], "--password", "!*", login)  # fmt: skip
    for group in act["groups"]:
        if any(entry.gr_name == group for entry in grp.getgrall()):
            run("gpasswd", "--add", login, group)
    for path, rights in act["files"].items():
        if os.path.lexists(path) and not Path(path).is_symlink():
            os.chown(path, rights["uid"], rights["gid"])
            Path(path).chmod(rights["mode"])
    return None


def _created(act: Facts, kept: Kept) -> str | None:
    login = act["login"]
    if not exists(login):
        return None
    if login == guard.came_in():
        return f"the login {login} stays: this run came in with it"
    if not _secret(login).startswith(("!", "*")) or not _untouched(pwd.getpwnam(login)):
        return f"the login {login} stays: it has been used; remove it with 'sudo deluser {login}' if nobody needs it"
    run("userdel", "--remove", login, may_fail=True)
    return None


def _untouched(entry: pwd.struct_passwd) -> bool:
    """Is there nothing in the home but what every new home has, and keys that we put there?"""
    home, skeleton = Path(entry.pw_dir), Path("/etc/skel")
    for path in home.rglob("*") if home.is_dir() else ():
        inside = path.relative_to(home)
        model = skeleton / inside
        same = path.is_file() and model.is_file() and path.read_bytes() == model.read_bytes()
        if not same and not (path.is_dir() and not path.is_symlink()) and str(inside) != ".ssh/authorized_keys":
            return False
    return str(entry.pw_uid) not in run("ps", "-eo", "uid=", may_fail=True).split()


def _keys(act: Facts, kept: Kept) -> str | None:
    login, given = act["login"], set(act["given"])
    if not given or not exists(login):
        return None
    if login == guard.came_in():
        return f"the keys of {login} stay: this run came in with it"
    entry = pwd.getpwnam(login)
    # by a child with this person's rights: their home may hold links to anywhere
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            _drop_keys(Path(entry.pw_dir, ".ssh", "authorized_keys"), given, act)
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        return f"the keys that we gave to {login} could not be taken away: look at .ssh in that home"
    return None


def _drop_keys(path: Path, given: set[str], act: Facts) -> None:
    if not path.exists():
        return
    left = [line for line in path.read_text(errors="surrogateescape").splitlines(keepends=True)
            if not given & set(re.findall(r"AAAA[A-Za-z0-9+/]+=*", line))]  # fmt: skip
    if left or act["file_there"]:
        fresh = path.with_name(".authorized_keys.readingroom")
        fresh.write_text("".join(left), errors="surrogateescape")
        fresh.chmod(path.stat().st_mode & 0o7777)
        fresh.replace(path)
    else:
        path.unlink()
    if not act["folder_there"] and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _joined(act: Facts, kept: Kept) -> str | None:
    login, group = act["login"], act["group"]
    members = _members(group)
    if members is None or login not in members:
        return None
    if login == guard.came_in() or not any(_can_administer(other) for other in members if other != login):
        return f"{login} stays in the group {group}: nobody else could administer this machine"
    run("gpasswd", "--delete", login, group)
    return None


def _can_administer(login: str) -> bool:
    """Has this login a shell, a password to show to sudo, and no end?"""
    if not exists(login):
        return False
    lines = (line.split(":") for line in Path("/etc/shadow").read_text().splitlines())
    fields = next((fields for fields in lines if fields[0] == login), None)
    open_ = fields is not None and fields[1] != "" and not fields[1].startswith(("!", "*")) and not fields[7].isdigit()
    return open_ and pwd.getpwnam(login).pw_shell not in NO_SHELL


def _members(group: str) -> list[str] | None:
    return next((list(entry.gr_mem) for entry in grp.getgrall() if entry.gr_name == group), None)


def _left(act: Facts, kept: Kept) -> str | None:
    login, now = act["login"], _members(act["group"])
    if now is None or not exists(login):
        return f"{login} cannot be put into {act['group']} again: one of the two is gone"
    wanted = {*now, login}
    before = [one for one in act["members"] if one in wanted]
    run("gpasswd", "--members", ",".join([*before, *(one for one in now if one not in before)]), act["group"])
    return None


def _primary(act: Facts, kept: Kept) -> str | None:
    if exists(act["login"]) and _members(act["group"]) is not None:
        run("usermod", "--gid", act["group"], act["login"])
    return None


def _file(act: Facts, kept: Kept) -> str | None:
    path, before = act["path"], act["before"]
    if problem := _led_astray(act):
        return problem
    now = paths.look(path, paths.digest)
    changed = now["kind"] == "file" and now["content"] not in (act.get("after"), before["content"])
    if act.get("after") and changed:
        return f"{path} has been changed by somebody since, and stays as it is"
    return restore(path, before, kept)


def restore(path: str, before: State, kept: Kept) -> str | None:
    """Give a path back; never so that the login we came in with would be shut out."""
    if not guard.is_way_in(path):
        return paths.give_back(path, before, kept)
    contents: dict[str, bytes] = {}

    def keep(content: bytes) -> str:
        contents[paths.digest(content)] = content
        return paths.digest(content)

    now = paths.look(path, keep)
    said: list[str | None] = []

    def do() -> None:
        said.append(paths.give_back(path, before, kept))

    def back() -> None:
        paths.give_back(path, now, contents.__getitem__)

    return guard.keep_way_in(path, do, back) or said[0]


def _led_astray(act: Facts) -> str | None:
    """Below a folder that belongs to a person no link is followed."""
    base = act.get("base")
    if base is None:
        return None
    if not Path(base).is_dir():
        return f"{act['path']} cannot come back: {base} is gone"
    folder = Path(act["path"]).parent
    if folder.resolve() != Path(base).resolve() / folder.relative_to(base):
        return f"{act['path']} cannot come back: a link leads elsewhere by now"
    return None


def _link(act: Facts, kept: Kept) -> str | None:
    if problem := _led_astray(act):
        return problem
    if not os.path.lexists(act["path"]):
        Path(act["path"]).symlink_to(act["target"])
        os.chown(act["path"], act["uid"], act["gid"], follow_symlinks=False)
    return None


_WAYS_BACK: dict[str, Callable[[Facts, Kept], str | None]] = {
    "locked": _locked, "removed": _removed, "created": _created, "keys": _keys, "joined": _joined,
    "left": _left, "primary": _primary, "file": _file, "link": _link,
}  # fmt: skip
