#!/usr/bin/python3 -B
"""Sees to it that every X display on which somebody works locks when nobody has touched it for the policy's time.

usage: screen_lock.py watch | release

`watch` is readingroom-screen-lock.service. It reads /etc/readingroom/screen-lock.json and nothing else about the policy.
On every display it keeps two things: the X server's own screen saver comes after that time or sooner, and `xss-lock` waits
for it, for sleep and for `loginctl lock-session`, to start the locker. Whatever sets another time (a desktop's power
manager, `xset s off`) or ends what waits is made good within seconds. `release` lets go of the displays, for undo.
Says how many displays it could not keep, never whose they are.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/readingroom/screen-lock.json")
LOCKER = "/usr/local/lib/readingroom/screen_locker.py"
ROUND = 5.0  # seconds between two looks
PATIENCE = 5.0  # … in which a display has to answer
FIELDS = ("Id", "User", "Type", "Class", "State", "Remote", "Display", "Scope")


@dataclass(frozen=True)
class Screen:
    """A local X display and the session that works on it."""

    session: str
    account: pwd.struct_passwd
    display: str
    authority: str

    @property
    def unit(self) -> str:
        """The unit of what waits to lock it."""
        return f"readingroom-screen-locker-{self.session}-{self.display[1:]}.service"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to be let in."""
        runtime = f"/run/user/{self.account.pw_uid}"
        return {"DISPLAY": self.display, "XAUTHORITY": self.authority, "XDG_RUNTIME_DIR": runtime}

    def timeout(self) -> int | None:
        """Seconds until X thinks that nobody is there, 0 for never; None when it does not answer."""
        found = re.search(r"timeout:\s+(\d+)", self._xset("q"))
        return int(found[1]) if found else None

    def lock_after(self, seconds: int) -> None:
        """Set that time."""
        self._xset("s", str(seconds))

    def forget(self) -> None:
        """Give X its own time back."""
        self._xset("s", "default")

    def waits(self) -> bool:
        """Does something wait to lock it?"""
        return run("systemctl", "is-active", "--quiet", self.unit).returncode == 0

    def start(self) -> bool:
        """Start what waits to lock it. It outlives us: a locked screen must not open because this program ends."""
        # What a locker that was killed left behind would keep the unit from starting.
        run("systemctl", "kill", "--signal=KILL", self.unit)
        run("systemctl", "reset-failed", self.unit)
        settings = [f"--setenv={name}={value}" for name, value in self.environment.items()]
        return (
            run(
                "systemd-run", "--quiet", "--collect", f"--unit={self.unit}", f"--uid={self.account.pw_uid}",
                "--description=Lock a screen that nobody touches", "--property=KillMode=process",
                "--property=OOMScoreAdjust=-900", "--property=StandardOutput=null", "--property=StandardError=null", *settings,
                "/usr/bin/xss-lock", "--quiet", "--transfer-sleep-lock", f"--session={self.session}", "--", LOCKER,
            ).returncode == 0
        )  # fmt: skip

    def is_locked(self) -> bool:
        """Is the locker on the screen, or about to be? It may be alone there, should what waits have been killed."""
        names = {text(process / "comm").strip() for process in processes(self.unit)}
        return not names.isdisjoint({"xsecurelock", Path(LOCKER).name[:15]})  # the kernel keeps 15 letters of a name

    def _xset(self, *arguments: str) -> str:
        # as the user, for it is the user's files that say where the display is and what opens it
        try:
            return subprocess.run(
                ["/usr/bin/xset", *arguments], env=self.environment, capture_output=True, text=True, check=False,
                timeout=PATIENCE, user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[],
            ).stdout  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""


def screens() -> Iterator[Screen]:
    """The X displays of the sessions that people sit in front of. Wayland has its own lockers, and is left alone."""
    for session in sessions():
        if (
            session["Class"] == "user"
            and session["Type"] != "wayland"
            and session["Remote"] == "no"
            and session["Scope"]
        ):
            yield from displays(session)


def sessions() -> Iterator[dict[str, str]]:
    """The sessions that have not ended, as logind knows them."""
    ids = [line.split()[0] for line in run("loginctl", "list-sessions", "--no-legend").stdout.splitlines()]
    told = run("loginctl", "show-session", *(f"-p{name}" for name in FIELDS), "--", *ids).stdout if ids else ""
    for block in told.split("\n\n"):
        session = dict.fromkeys(FIELDS, "") | dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if session["Id"] and session["State"] != "closing":
            yield session


def displays(session: dict[str, str]) -> Iterator[Screen]:
    """The displays of a session: logind's, or with `startx`, which tells it nothing, those that its programs use."""
    account = pwd.getpwuid(int(session["User"]))
    seen = set()
    for process in processes(session["Scope"]):
        variables = environment(process, account.pw_uid)
        display = re.fullmatch(r"(:\d+)(\.\d+)?", variables.get("DISPLAY", ""))
        if display and display[1] == (session["Display"].partition(".")[0] or display[1]) and display[1] not in seen:
            seen.add(display[1])
            yield Screen(
                session["Id"], account, display[1], variables.get("XAUTHORITY", f"{account.pw_dir}/.Xauthority")
            )


def processes(unit: str) -> Iterator[Path]:
    """The processes of a unit, whichever layout the machine's control groups have."""
    for process in Path("/proc").glob("[0-9]*"):
        if re.search(rf"/{re.escape(unit)}(/|$)", text(process / "cgroup"), re.MULTILINE):
            yield process


def environment(process: Path, uid: int) -> dict[str, str]:
    """What a process of an account was told when it started; nothing for the processes of others."""
    try:
        words = (process / "environ").read_bytes().decode(errors="replace") if process.stat().st_uid == uid else ""
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words.split("\0") if "=" in word)


def keep(screen: Screen, seconds: int) -> bool:
    """Keep the promise on one display; says whether it is kept. A shorter time of the user's own stays."""
    now = screen.timeout()
    if now is None:
        return True  # it is just coming or going: the next look will tell
    if not 0 < now <= seconds:
        screen.lock_after(seconds)
    return screen.waits() or screen.is_locked() or screen.start()


def watch() -> None:
    """Keep it on all displays, for ever."""
    seconds = int(json.loads(SETTINGS.read_text(encoding="utf-8"))["after_seconds"])
    before = 0
    while True:
        failed = sum(not keep(screen, seconds) for screen in screens())
        if failed != before:
            print(f"displays that cannot be locked: {failed}", flush=True)
            before = failed
        time.sleep(ROUND)


def release() -> None:
    """Let go of all displays; refuse where one is locked, for without the locker's programs nobody could open it."""
    waiting = [screen for screen in screens() if screen.waits()]
    if any(screen.is_locked() for screen in waiting):
        sys.exit("A screen is locked just now. Let whoever works there open it, or end that session, and then undo.")
    for screen in waiting:
        run("systemctl", "stop", screen.unit)
        screen.forget()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program; what it says goes to nobody's log."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})


def text(path: Path) -> str:
    """A file's text; empty when it is not there any more."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


if __name__ == "__main__":
    {"watch": watch, "release": release}[sys.argv[1]]()
