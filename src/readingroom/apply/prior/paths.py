"""Files, folders and links: how one is, whether it still is as it was, and how to make it so again.

A state is plain data: {"kind": "absent"} or kind, mode, uid, gid, xattrs (access lists among them), and for a file its
content's digest and age, for a link its target, for a folder that a role removes whole its children. Under the PRIVATE
places live people's data: of a file there only its rights are recorded, or the record would keep what was promised to go.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from .store import State
from .tools import Problem, run

PRIVATE = (
    "/home/", "/root/", "/var/log/", "/var/spool/", "/var/mail/", "/var/cache/", "/var/lib/lastlog/", "/var/lib/wtmpdb/",
    "/var/lib/lightdm/", "/var/lib/plocate/", "/run/", "/tmp/", "/var/tmp/",  # noqa: S108  (named, never written)
)  # fmt: skip
# Names that only we use: before us nothing was there. (A login or a sudo rule may well be called readingroom, too.)
OURS = re.compile(
    r"/(etc|usr/local/lib|var/lib|run)/readingroom(/.*)?|/etc/systemd/system/(.*/)?(zz-)?readingroom[^/]*"
    r"|/etc/(?!sudoers).*/(\d\d|zz)-readingroom[^/]*\.conf"
)
SKELETON = Path("/etc/readingroom/skeleton")  # what lies in it is the library's own
ABSENT: State = {"kind": "absent"}
Keep = Callable[[bytes], str]
Kept = Callable[[str], bytes]


def before(path: str, keep: Keep, *, whole: bool = False) -> State:
    """The state to record: as `look`, and where only we use the name, nothing."""
    return dict(ABSENT) if OURS.fullmatch(path) else look(path, keep, whole=whole)


def look(path: str, keep: Keep, *, whole: bool = False) -> State:
    """How `path` is now; content goes to `keep`. `whole`: of a folder also everything in it."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _with_diversion(path, dict(ABSENT))
    state = _rights(path, status)
    if stat.S_ISLNK(status.st_mode):
        state |= {"kind": "link", "target": str(Path(path).readlink())}
    elif stat.S_ISDIR(status.st_mode):
        state |= {"kind": "folder"}
        if whole:
            children = sorted(os.listdir(path))  # noqa: PTH208
            state["children"] = {name: look(f"{path}/{name}", keep, whole=True) for name in children}
    elif stat.S_ISREG(status.st_mode):
        content = None if path.startswith(PRIVATE) else keep(Path(path).read_bytes())
        state |= {"kind": "file", "content": content, "changed_ns": status.st_mtime_ns}
    else:
        state |= {"kind": "other"}
    return _with_diversion(path, state)


def _rights(path: str, status: os.stat_result) -> State:
    names = os.listxattr(path, follow_symlinks=False)
    xattrs = {name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in sorted(names)}
    return {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid, "xattrs": xattrs}


def _with_diversion(path: str, state: State) -> State:
    if path.startswith(("/usr/", "/bin/", "/sbin/", "/lib")) and not path.startswith("/usr/local/"):
        state["packaged_at"] = packaged_at(path)
    return state


def contents(state: State) -> list[str]:
    """The content that a state names, also below a folder."""
    below = [found for child in state.get("children", {}).values() for found in contents(child)]
    return below + ([state["content"]] if state.get("content") else [])


def packaged_at(path: str) -> str:
    """Where a package's file of that name goes: elsewhere when it is diverted."""
    return run("dpkg-divert", "--truename", path, may_fail=True).strip() or path


def missing_folders(path: str) -> list[str]:
    """The folders above `path` that are not there, outermost first: whoever writes it will make them."""
    above = [str(folder) for folder in Path(path).parents if not os.path.lexists(folder)]
    return above[::-1]


def same(path: str, state: State) -> bool:
    """Is `path` as it was? A folder's content is nobody's business, unless it was recorded; age does not count."""
    return _comparable(look(path, digest, whole="children" in state)) == _comparable(state)


def digest(content: bytes) -> str:
    """The name under which content is kept."""
    return hashlib.sha256(content).hexdigest()


def _comparable(state: State) -> State:
    plain = {key: value for key, value in state.items() if key != "changed_ns"}
    if "children" in plain:
        plain["children"] = {name: _comparable(child) for name, child in plain["children"].items()}
    return plain


def give_back(path: str, state: State, kept: Kept) -> str | None:
    """Make `path` as it was; a word for the person where that cannot be."""
    if "packaged_at" in state and packaged_at(path) != state["packaged_at"]:
        Path(path).unlink(missing_ok=True)
        run("dpkg-divert", "--quiet", "--local", "--rename", "--remove", path)
    if same(path, state):
        return None
    kind, now = state["kind"], _kind(path)
    if kind == "absent":
        return _remove(path)
    if now == "folder" and kind != "folder":
        return f"{path} was a {kind} and is a folder now: it stays, with what is in it"
    if kind == "other":
        return f"{path} was neither file nor folder: it stays as it is"
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    {"file": _file, "link": _link, "folder": _folder}[kind](path, state, kept)
    return None


def _kind(path: str) -> str:
    if not os.path.lexists(path):
        return "absent"
    return "link" if Path(path).is_symlink() else "folder" if Path(path).is_dir() else "file"


def _remove(path: str) -> str | None:
    if _kind(path) != "folder":
        Path(path).unlink()
    elif OURS.fullmatch(path) and not _holds_what_is_the_librarys(Path(path)):
        shutil.rmtree(path)
    else:
        try:
            Path(path).rmdir()
        except OSError:
            return f"the folder {path} stays: something else lies in it by now"
    return None


def _holds_what_is_the_librarys(folder: Path) -> bool:
    return folder in (SKELETON, *SKELETON.parents) and SKELETON.is_dir() and any(SKELETON.iterdir())


def _file(path: str, state: State, kept: Kept) -> None:
    if state["content"] is None and _kind(path) == "file":
        _give_rights(path, state)
        return
    content = b"" if state["content"] is None else kept(state["content"])
    fresh = _fresh_name(path)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _give_rights(fresh, state)
    if state["content"] is not None:
        os.utime(fresh, ns=(state["changed_ns"], state["changed_ns"]))
    Path(fresh).replace(path)


def _link(path: str, state: State, kept: Kept) -> None:
    fresh = _fresh_name(path)
    Path(fresh).symlink_to(state["target"])
    os.chown(fresh, state["uid"], state["gid"], follow_symlinks=False)
    Path(fresh).replace(path)


def _folder(path: str, state: State, kept: Kept) -> None:
    if _kind(path) != "folder":
        Path(path).unlink(missing_ok=True)
        Path(path).mkdir(0o700)
    for name, child in state.get("children", {}).items():
        if problem := give_back(f"{path}/{name}", child, kept):
            raise Problem(problem)
    _give_rights(path, state)


def _give_rights(path: str, state: State) -> None:
    os.chown(path, state["uid"], state["gid"])
    Path(path).chmod(state["mode"])
    for name in set(os.listxattr(path)) - set(state["xattrs"]):
        os.removexattr(path, name)
    for name, value in state["xattrs"].items():
        os.setxattr(path, name, base64.b64decode(value))


def _fresh_name(path: str) -> str:
    folder, _, name = path.rpartition("/")
    fresh = f"{folder}/.{name}.readingroom-back"
    Path(fresh).unlink(missing_ok=True)
    return fresh
