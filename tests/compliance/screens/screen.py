"""A screen of our own: an X session of a throw-away account, started as the machine starts everybody's, on a display in memory.

What is on it can be seen, and keys can be typed. Must not know any promise.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise
from sessions import desktop
from sessions.session import Session, opened

ON_MACHINE = Path(__file__).with_name("on_machine")
# A picture differs from another when less than so many hundredths of it are the same.
ALIKE = 2
# Shows a white window over the whole screen, and writes down each key that it gets.
CLIENT = "#!/bin/sh\nexec stdbuf -oL xev -geometry 640x480+0+0 >~/keys 2>&1\n"
# Xfce's button; from 4.20 on it asks the manager of the session, which then has nothing else to start here.
PRESS_LOCK = """
command -v xflock4 >/dev/null || exec loginctl lock-session "$XDG_SESSION_ID"
if grep -q org.xfce.SessionManager "$(command -v xflock4)"; then
  xfconf-query -c xfce4-session -np /sessions/Failsafe/Count -t int -s 1
  xfconf-query -c xfce4-session -np /sessions/Failsafe/Client0_Command -a -t string -s sleep -t string -s 600
  setsid xfce4-session >/dev/null 2>&1 &
  for i in $(seq 100); do busctl --user status org.xfce.SessionManager >/dev/null 2>&1 && break; sleep 0.1; done
fi
xflock4 || true
"""
NEEDED = ("Xvfb", "xdotool", "xev", "xprop", "xset", "/etc/X11/Xsession")


@dataclass
class Screen:
    """A session of ours with a display; `display` is the environment of its programs."""

    session: Session
    display: str
    password: str

    def run(self, script: str) -> str:
        """Run a script on the display that has to succeed."""
        return self.session.must(f"export {self.display}\n{script}")

    def has_locker(self) -> bool:
        """Has a program told X that it is the one to start when nobody is there?"""
        return "PIXMAP" in self.run("xprop -root _MIT_SCREEN_SAVER_ID")

    def time(self) -> int:
        """Seconds until X thinks that nobody is there; 0 for never."""
        return int(self.run("xset q | sed -n 's/.*timeout: *\\([0-9]*\\).*/\\1/p'"))

    def remember(self) -> None:
        """Take a picture, to compare later ones with."""
        self.run("cp ~/picture/Xvfb_screen0 ~/before")

    def alike(self) -> int:
        """How many hundredths of the screen are as they were in that picture."""
        return int(self.run("python3 ~/alike.py ~/picture/Xvfb_screen0 ~/before"))

    def is_covered(self) -> bool:
        """Is nothing to be seen of what was there?"""
        return self.alike() < ALIKE

    def is_shown(self) -> bool:
        """Is it to be seen again?"""
        return self.alike() > 100 - ALIKE

    def keys(self) -> int:
        """How many keys the window got so far."""
        return int(self.session.run("grep -c ^KeyPress ~/keys")[1])

    def gets_keys(self) -> bool:
        """Does a key that is typed now reach the window?"""
        before = self.keys()
        self.run("xdotool key x")
        self.run("xset q")  # X has dealt with the key when it answers this; xev has it soon after
        return bool(self.session.run(f"for i in 1 2 3 4 5 6 7 8 9 10; do [ $(grep -c ^KeyPress ~/keys) -gt {before} ] "
                                     "&& exit 0; sleep 0.05; done; exit 1")[0])  # fmt: skip

    def opens_within(self, seconds: float) -> bool:
        """Is it to be seen again before so many seconds are over?"""
        try:
            return probe.wait_until(self.is_shown, "", within=seconds)
        except AssertionError:
            return False

    def open_a_menu(self) -> None:
        """Let a program hold keyboard and mouse, as it does while one of its menus is open."""
        self.run("python3 ~/menu.py >~/menu & echo $! >~/menu.number")
        probe.wait_until(lambda: self.session.run("grep -q open ~/menu")[0], "")

    def close_the_menu(self) -> None:
        """End that program."""
        self.run("kill $(cat ~/menu.number)")

    def press_lock(self) -> None:
        """Press the desktop's own button to lock the screen; where it has none, have the session locked."""
        self.run(PRESS_LOCK)

    def answer(self, word: str) -> None:
        """Type a word where a password is asked for; what was typed there before is wiped, and a sleeping prompt is woken."""
        self.run(f"xdotool key ctrl+u; printf %s {shlex.quote(word)} | xdotool type --file -; xdotool key Return")


@contextmanager
def screen(host: Host, promise: Promise) -> Iterator[Screen]:
    """A screen that is gone when the block ends, with its account."""
    missing = host.run(
        "for one in " + " ".join(NEEDED) + '; do command -v "$one" || [ -e "$one" ] || echo "-$one"; done'
    )
    if lacking := [line[1:] for line in missing.stdout.splitlines() if line.startswith("-")]:
        promise.not_tested(f"no screen can be tried here, since there is no {', '.join(lacking)}")
    password = secrets.token_hex(8)
    with probe.account(host, home=True) as login:
        # past PAM, whose rules for passwords are for people
        probe.run(host, f"printf '%s:%s\\n' {login} {password} | chpasswd --crypt-method SHA512")
        with opened(host, login) as session:
            files = {"client": CLIENT} | {name: (ON_MACHINE / name).read_text() for name in ("alike.py", "menu.py")}
            session.must(
                "\n".join(f"printf %s {shlex.quote(text)} >~/{name}" for name, text in files.items())
                + "\nmkdir ~/picture; : >~/keys; chmod +x ~/client"
            )
            # `-noreset`: an X server whose last program ends forgets what it was told; behind a login screen none does
            options = f"-noreset -fbdir {session.home}/picture"
            with desktop.display(host, promise, session, options) as display:
                here = Screen(session, display, password)
                here.run("setsid sh /etc/X11/Xsession ~/client >/dev/null 2>&1 &")
                probe.wait_until(
                    lambda: session.run("grep -q ^Expose ~/keys")[0], "no session starts on a display", within=15
                )
                here.run("xdotool mousemove 320 240")
                if not here.gets_keys():
                    raise RuntimeError("keys do not reach a window that is not locked, so nothing can be told")
                yield here
