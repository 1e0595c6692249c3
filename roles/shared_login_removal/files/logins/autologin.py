"""Takes a login out of what starts its session or runs its programs without asking who is there.

Text in, text out; it must not know files beyond where such settings live.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_GREETERS = (
    "etc/lightdm/lightdm.conf", "etc/lightdm/lightdm.conf.d/*.conf", "usr/share/lightdm/lightdm.conf.d/*.conf",
    "etc/gdm3/daemon.conf", "etc/gdm3/custom.conf", "etc/sddm.conf", "etc/sddm.conf.d/*.conf",
    "etc/greetd/config.toml", "etc/default/nodm",
)  # fmt: skip
_CONSOLES = (
    "etc/systemd/system/*getty*",
    "etc/systemd/system/*getty*.d/*.conf",
    "usr/local/lib/systemd/system/*getty*.d/*.conf",
)
_CRON = ("etc/crontab", "etc/cron.d/*")


def without_greeter(text: str, login: str) -> str:
    """A display manager's settings without an automatic session of this login.

    >>> without_greeter("[Seat:*]\\nautologin-user=desk\\n", "desk")
    '[Seat:*]\\n#autologin-user=desk\\n'
    """
    setting = r"[ \t]*(?:autologin-user|AutomaticLogin|TimedLogin|User|user|NODM_USER)[ \t]*=[ \t]*"
    return re.sub(rf"^(?={setting}[\"']?{re.escape(login)}[\"']?[ \t]*$)", "#", text, flags=re.MULTILINE)


def without_console(text: str, login: str) -> str:
    """A console's unit that asks who is there.

    >>> without_console("ExecStart=-/sbin/agetty --autologin desk --noclear %I", "desk")
    'ExecStart=-/sbin/agetty --noclear %I'
    """
    return re.sub(
        rf"^(Exec\w+=.*?)\s+(?:--autologin[ =]|-a\s*){re.escape(login)}(?=\s|$)", r"\1", text, flags=re.MULTILINE
    )


def without_jobs(text: str, login: str) -> str:
    """The system's timetable without this login's lines.

    >>> without_jobs("5 4 * * * desk /bin/true\\n5 4 * * * root /bin/true\\n", "desk")
    '#5 4 * * * desk /bin/true\\n5 4 * * * root /bin/true\\n'
    """
    return re.sub(
        rf"^(?=[ \t]*(?:@\w+|[^\s#]\S*(?:[ \t]+\S+){{4}})[ \t]+{re.escape(login)}[ \t])", "#", text, flags=re.MULTILINE
    )


def changes(login: str, root: Path = Path("/")) -> Iterator[tuple[Path, str, str]]:
    """Files that say something about this login: the path, what it is in plain words, and the text without it."""
    kinds: tuple[tuple[tuple[str, ...], str, Callable[[str, str], str]], ...] = (
        (_CONSOLES, "its automatic session at a console", without_console),
        (_GREETERS, "its automatic session at the screen", without_greeter),
        (_CRON, "its jobs in the system's timetable", without_jobs),
    )
    for patterns, what, without in kinds:
        for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
            if path.is_file() and not path.is_symlink():
                before = path.read_text(errors="surrogateescape")
                if (after := without(before, login)) != before:
                    yield path, what, after
