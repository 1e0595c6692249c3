"""Tell a patron that the session is about to end: a window on a screen, lines on a terminal.

Must not know when a warning is due.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from session_list import Session

NOTICE = Path(__file__).with_name("session_notice.py")


@dataclass(frozen=True)
class Wording:
    """The warning in one language."""

    language: str
    texts: Mapping[str, str]


def clock(seconds: int) -> str:
    """What is left, as every language writes it.

    >>> clock(600), clock(59)
    ('10:00', '0:59')
    """
    return f"{seconds // 60}:{seconds % 60:02}"


def spoken(wording: Sequence[Wording], locale: str) -> Sequence[Wording]:
    """The wordings a patron who works in `locale` should see: their language's, or all when it is not among them."""
    tag = locale.partition(".")[0].partition("@")[0].replace("_", "-").lower()
    for one in wording:
        language = one.language.lower()
        if tag == language or tag.startswith(f"{language}-"):
            return [one]
    return wording


class Warner:
    """Shows warnings and takes them away again."""

    def __init__(self, wording: Sequence[Wording]) -> None:
        self._wording = wording
        self._windows: dict[str, subprocess.Popen[bytes]] = {}

    def warn(self, session: Session, seconds: int) -> None:
        """Say that `session` ends in so many seconds, instead of what was said before."""
        told = session.environment
        locale = told.get("LC_ALL") or told.get("LC_MESSAGES") or told.get("LANG") or ""
        wording = spoken(self._wording, locale)
        self.withdraw(session.id)
        if session.display:
            self._windows[session.id] = _window(session, wording, seconds)
        elif session.terminal:
            _lines(session, wording, seconds)

    def withdraw(self, session_id: str) -> None:
        """Take the window away, if there is one."""
        window = self._windows.pop(session_id, None)
        if window is not None:
            window.terminate()
            window.wait()


def _window(session: Session, wording: Sequence[Wording], seconds: int) -> subprocess.Popen[bytes]:
    """The window runs as the patron, who could be fooled by it no more than by a window of their own."""
    account = session.account
    environment = {
        "DISPLAY": session.display,
        "XAUTHORITY": str(session.authority),
        "HOME": account.pw_dir,
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "GTK_USE_PORTAL": "0",
        "NO_AT_BRIDGE": "1",
    }
    window = subprocess.Popen(
        [NOTICE],
        stdin=subprocess.PIPE,
        env=environment,
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
    )
    assert window.stdin is not None
    texts = [dict(one.texts) for one in wording]
    window.stdin.write(json.dumps({"seconds": seconds, "texts": texts}).encode())
    window.stdin.close()
    return window


def _lines(session: Session, wording: Sequence[Wording], seconds: int) -> None:
    said = "".join(
        f"\r\n*** {one.texts['title']}\r\n*** {one.texts['console']}\r\n"
        f"*** {one.texts['left'].format(time=clock(seconds))}\r\n"
        for one in wording
    )
    try:
        terminal = os.open(f"/dev/{session.terminal}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return  # it was closed meanwhile
    try:
        os.write(terminal, b"\a" + said.encode())
    except OSError:
        pass  # a terminal that nobody reads must not hold us up
    finally:
        os.close(terminal)
