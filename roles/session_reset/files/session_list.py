"""The open sessions of an account, how long each has been left alone, and how one is ended: logind's view.

Must not know why a session ends, nor what a warning looks like.
"""

from __future__ import annotations

import pwd
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import session_x11 as x11

FIELDS = ("Id", "Type", "Class", "State", "TTY", "Display", "IdleHint", "IdleSinceHintMonotonic")


@dataclass(frozen=True)
class Session:
    """A session as logind knows it; `display` and `terminal` are empty where it has none."""

    id: str
    kind: str
    terminal: str
    display: str
    hinted_since: float | None
    account: pwd.struct_passwd

    def idle_seconds(self) -> float | None:
        """Seconds since somebody touched it; None when it has neither screen nor terminal, or cannot be asked."""
        if self.display:
            try:
                return x11.idle_seconds(self.display, self.authority)
            except x11.NoAnswer:
                pass  # such as a display that is just going
        elif self.terminal:
            try:
                return max(0.0, time.time() - Path("/dev", self.terminal).stat().st_atime)
            except OSError:
                return None
        # what the desktop itself tells logind: all there is to know of Wayland
        return None if self.hinted_since is None else time.monotonic() - self.hinted_since

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """What the session's programs were told about their display and their language; empty if none is there."""
        for variables in _environments(self.account.pw_uid):
            if variables.get("DISPLAY", "").partition(".")[0] == self.display or not self.display:
                return variables
        return {}

    @property
    def authority(self) -> Path:
        """The file that opens the display."""
        return Path(self.environment.get("XAUTHORITY", f"{self.account.pw_dir}/.Xauthority"))


def open_sessions(login: str) -> Iterator[Session]:
    """The sessions of `login` that people sit in front of, and that have not ended."""
    try:
        account = pwd.getpwnam(login)
    except KeyError:
        return
    listed = _loginctl("list-sessions", "--no-legend").splitlines()
    ids = [words[0] for words in map(str.split, listed) if len(words) > 2 and words[1] == str(account.pw_uid)]
    for block in _loginctl("show-session", *(f"-p{name}" for name in FIELDS), "--", *ids).split("\n\n") if ids else ():
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if told.get("Class") == "user" and told.get("State") != "closing":
            since = int(told["IdleSinceHintMonotonic"]) / 1e6 if told.get("IdleHint") == "yes" else None
            yield Session(told["Id"], told["Type"], told["TTY"], told["Display"], since, account)


def end(session: Session) -> None:
    """End a session with all its programs."""
    _loginctl("terminate-session", session.id)


def _loginctl(*arguments: str) -> str:
    # what it says of sessions that ended meanwhile would stand in the journal
    return subprocess.run(["loginctl", *arguments], capture_output=True, text=True, check=False).stdout


def _environments(uid: int) -> Iterator[dict[str, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == uid:
                words = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                yield dict(word.split("=", 1) for word in words if "=" in word)
        except OSError:
            continue  # it ended while we looked
