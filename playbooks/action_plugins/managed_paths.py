"""Ansible action: bring the files or folders of a role's list to what it says, all in one round trip.

`ansible.builtin.template` and `file` take some five round trips and start Python twice for each path, and a role has up
to fifty. What is there now is known already (`seen`, from look.yml), so nothing is sent for what is as it should be, and
only the handlers of what was not are asked for. The script travels over standard input: sudo's own journal line names no
file. It imports nothing of Reading Room, because Ansible may run under another Python.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

LONGEST_SHOWN = 100_000  # bytes of a file as it was, for the diff
KINDS = {"file": "f", "directory": "d"}  # as find tells them


@dataclass(frozen=True)
class Wanted:
    """One entry of the list: what it asks for, and what was seen of it; `content` is None for what is no file."""

    entry: dict[str, Any]
    state: str
    content: str | None
    before: list[str]
    same: bool

    @property
    def path(self) -> str:
        """Where it is."""
        return str(self.entry["path"])

    @property
    def rights(self) -> list[str]:
        """Kind, mode, owner and group as find tells them."""
        return [KINDS[self.state], self.entry["mode"].lstrip("0"), self.entry["owner"], self.entry["group"]]

    @property
    def differs(self) -> bool:
        """Is there anything to do?"""
        return bool(self.before) if self.state == "absent" else not self.same or self.before != self.rights


class ActionModule(ActionBase):  # type: ignore[misc]
    """`entries` of the list, brought to `state`: file, directory or absent."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset(("state", "entries", "seen"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change what differs, or in check mode say what would change; `managed` of the result tells path by path."""
        super().run(tmp, task_vars)
        asked = self._task.args
        wanted = [
            self._wanted(dict(entry), asked["state"], asked["seen"], task_vars or {}) for entry in asked["entries"]
        ]
        differing = [one for one in wanted if one.differs]
        texts = self._texts(differing) if self._task.diff else {}
        made, complaint = (differing, "") if self._task.check_mode else self._carry_out(differing)
        # The task names the handlers of all entries; those of what was as it should be have nothing to do.
        self._task.notify = list(dict.fromkeys(name for one in made for name in one.entry.get("triggers") or ()))
        told = [
            {"path": one.path, "diff": _diff(one, texts.get(one.path, "")) if self._task.diff else {}} for one in made
        ]
        result = {"changed": bool(made), "managed": told}
        return {**result, "failed": True, "msg": complaint} if complaint else result

    def _wanted(self, entry: dict[str, Any], state: str, seen: list[str], variables: dict[str, Any]) -> Wanted:
        content = self._content(entry, variables) if state == "file" else None
        # a folder is looked at by way of `/.`, so that a link to a folder counts as one
        path = f"{entry['path']}/." if state == "directory" else entry["path"]
        told = [line[: -len(path) - 1].split(" ") for line in seen if line.endswith(f" {path}")]
        digest = hashlib.sha256((content or "").encode()).hexdigest()
        same = content is None or f"{digest}  {path}" in seen
        return Wanted(entry, state, content, next((words for words in told if len(words) == 4), []), same)

    def _content(self, entry: dict[str, Any], variables: dict[str, Any]) -> str:
        if "source" in entry:
            return str(self._loader.get_text_file_contents(self._find_needle("files", entry["source"])))
        path = self._find_needle("templates", entry["template"])
        text = trust_as_template(self._loader.get_text_file_contents(path))
        templar = self._templar.copy_with_new_env(
            searchpath=[str(Path(path).parent)], available_variables={**variables, "item": entry}
        )
        return str(templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True}))

    def _texts(self, differing: list[Wanted]) -> dict[str, str]:
        """The files as they are, by path."""
        files = [one.path for one in differing if one.state == "file" and one.before[:1] == ["f"]]
        script = "".join(f"head -c {LONGEST_SHOWN} -- {shlex.quote(path)} | base64 -w 0; echo\n" for path in files)
        lines = self._shell(script)["stdout"].splitlines() if files else []
        return {path: base64.b64decode(line).decode(errors="replace") for path, line in zip(files, lines, strict=False)}

    def _carry_out(self, differing: list[Wanted]) -> tuple[list[Wanted], str]:
        """What was done, and why the rest was not."""
        script = "".join(f"{{ {_SCRIPTS[one.state](one)}}} >&2 || exit 1\necho done\n" for one in differing)
        done = self._shell(script) if differing else {"rc": 0, "stdout": "", "stderr": ""}
        if not done["rc"]:
            return differing, ""
        made = done["stdout"].split().count("done")
        return differing[:made], f"{differing[made].path}: {done['stderr'].strip() or 'could not be changed'}"

    def _shell(self, script: str) -> dict[str, Any]:
        said: dict[str, Any] = self._low_level_execute_command("/bin/sh", in_data=script.encode())
        return said


def _diff(one: Wanted, text: str) -> dict[str, str]:
    """What differs: the content, or in words what it is and whose."""
    if one.state == "absent":
        return {}
    if not one.same:
        return {"before": text, "after": one.content or ""}
    words = zip(("kind", "mode", "owner", "group"), one.before, one.rights, strict=False)
    return {"prepared": "\n".join(f"{word} {now} → {then}" for word, now, then in words if now != then)
            or "not there yet"}  # fmt: skip


def _file(one: Wanted) -> str:
    """Write beside the target, give it its rights, let the validator look, and only then put it in place."""
    target = shlex.quote(one.path)
    if one.same:
        return f"{_rights(one, target)}\n"
    new = shlex.quote(posixpath.join(posixpath.dirname(one.path), f".{posixpath.basename(one.path)}.readingroom"))
    steps = [_rights(one, new)]
    if "validate" in one.entry:
        steps.append(one.entry["validate"].replace("%s", new))
    steps.append(f"mv -fT {new} {target}")
    content = base64.encodebytes((one.content or "").encode()).decode()
    put = f"umask 077; rm -f {new}; base64 -d >{new} <<'END' || exit 1\n{content}END\n"
    return f"{put}{{ {' && '.join(steps)}; }} || {{ rm -f {new}; false; }}\n"


def _directory(one: Wanted) -> str:
    path = shlex.quote(one.path)
    return f"mkdir -p {path} && {_rights(one, path)}\n"


def _absent(one: Wanted) -> str:
    return f"rm -rf -- {shlex.quote(one.path)}\n"


def _rights(one: Wanted, path: str) -> str:
    owner = shlex.quote(f"{one.entry['owner']}:{one.entry['group']}")
    return f"chown {owner} {path} && chmod {one.entry['mode']} {path}"


_SCRIPTS = {"file": _file, "directory": _directory, "absent": _absent}
