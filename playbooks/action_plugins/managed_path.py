"""Ansible action: bring one file or folder to what a role's list says, in one round trip and without Python over there.

`ansible.builtin.copy` and `file` take some five round trips and start Python twice for each file; a role has up to fifty.
What is there now is known already (`seen`, from look.yml): call it only for what differs. The script travels over
standard input, so that sudo's own journal line names no file. It imports nothing of Reading Room, because Ansible may
run under another Python.
"""

from __future__ import annotations

import base64
import posixpath
import shlex
from typing import Any

from ansible.plugins.action import ActionBase

LONGEST_SHOWN = 100_000  # bytes of a file as it was, for the diff


class ActionModule(ActionBase):  # type: ignore[misc]
    """`state` is file (with `content`, `validate`), directory or absent."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset(("path", "state", "content", "owner", "group", "mode", "validate", "seen"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change it, or in check mode say what would change."""
        super().run(tmp, task_vars)
        asked = self._task.args
        path, state = asked["path"], asked["state"]
        before = _seen(f"{path}/." if state == "directory" else path, asked["seen"])
        script = "" if self._task.check_mode else _SCRIPTS[state](asked)
        show = self._task.diff and state == "file" and before[:1] == ["f"]
        if show:
            script = f"head -c {LONGEST_SHOWN} -- {shlex.quote(path)}\n{script}"
        done = (
            self._low_level_execute_command("/bin/sh", in_data=script.encode()) if script else {"rc": 0, "stdout": ""}
        )
        if done["rc"]:
            return {"failed": True, "path": path, "msg": f"{path}: {done.get('stderr') or done.get('stdout')}"}
        diff = _diff(asked, before, done["stdout"] if show else "") if self._task.diff else {}
        return {"changed": True, "path": path, "diff": diff}


def _diff(asked: dict[str, Any], before: list[str], text: str) -> dict[str, str]:
    """What differs: the content, or in words what it is and whose."""
    kind = {"file": "f", "directory": "d"}.get(asked["state"])
    if not kind:
        return {}
    if kind == "f" and not (before and text == asked["content"]):
        return {"before": text, "after": asked["content"]}
    rights = [kind, asked["mode"].lstrip("0"), asked["owner"], asked["group"]]
    words = zip(("kind", "mode", "owner", "group"), before, rights, strict=False)
    return {
        "prepared": "\n".join(f"{word} {now} → {then}" for word, now, then in words if now != then) or "not there yet"
    }


def _seen(path: str, lines: list[str]) -> list[str]:
    """Kind, mode, owner and group of what is at `path`; empty when nothing is."""
    found = [line[: -len(path) - 1].split(" ") for line in lines if line.endswith(f" {path}")]
    return next((words for words in found if len(words) == 4), [])


def _file(asked: dict[str, Any]) -> str:
    """Write beside the target, give it its rights, let the validator look, and only then put it in place."""
    path = asked["path"]
    new = shlex.quote(posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.readingroom"))
    steps = [_rights(asked, new)]
    if asked.get("validate"):
        steps.append(asked["validate"].replace("%s", new))
    steps.append(f"mv -fT {new} {shlex.quote(path)}")
    content = base64.encodebytes(asked["content"].encode()).decode()
    put = f"umask 077; rm -f {new}; base64 -d >{new} <<'END' || exit 1\n{content}END\n"
    return f"{put}{{ {' && '.join(steps)}; }} >&2 || {{ s=$?; rm -f {new}; exit $s; }}\n"


def _directory(asked: dict[str, Any]) -> str:
    path = shlex.quote(asked["path"])
    return f"mkdir -p {path} && {_rights(asked, path)}\n"


def _absent(asked: dict[str, Any]) -> str:
    return f"rm -rf -- {shlex.quote(asked['path'])}\n"


def _rights(asked: dict[str, Any], path: str) -> str:
    return f"chown {shlex.quote(asked['owner'] + ':' + asked['group'])} {path} && chmod {asked['mode']} {path}"


_SCRIPTS = {"file": _file, "directory": _directory, "absent": _absent}
