#!/usr/bin/python3 -IB
"""Locks the display at hand with xsecurelock, and comes back only when its user has opened it again.

Started by `xss-lock`, as the user. Where another program holds the keyboard, as an open menu does for as long as it is open,
xsecurelock gives up; then it is told to take the keyboard away, and tried until it can. Should it crash, the screen is
locked again at once. Asked twice, the second one leaves the work to the first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from types import FrameType

AGAIN = 0.5  # seconds until the next try
# Nothing of whose screen it is, and no picture of a user's own.
SETTINGS = {
    "XSECURELOCK_SHOW_USERNAME": "0",
    "XSECURELOCK_SHOW_HOSTNAME": "0",
    "XSECURELOCK_SHOW_DATETIME": "0",
    "XSECURELOCK_PASSWORD_PROMPT": "cursor",  # tells that a key was pressed, and not how many
    "XSECURELOCK_SAVER": "saver_blank",
    "XSECURELOCK_PAM_SERVICE": "common-auth",
}
# Windows of others are hidden for a moment, which makes them let go; window managers may shuffle them, so not at first.
BY_FORCE = {"XSECURELOCK_FORCE_GRAB": "1"}


def main() -> None:
    """Lock, and wait."""
    mark = os.open(
        f"{os.environ['XDG_RUNTIME_DIR']}/readingroom-screen-lock{os.environ['DISPLAY']}", os.O_CREAT | os.O_RDWR, 0o600
    )
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    environment = os.environ | SETTINGS
    kept_awake = [int(number) for number in [os.environ.get("XSS_SLEEP_LOCK_FD")] if number]
    while True:
        # The locker holds the mark too: should we be killed, nobody starts a second one beside it.
        locker = subprocess.Popen(["/usr/bin/xsecurelock"], env=environment, pass_fds=[mark, *kept_awake])
        for number in kept_awake:
            os.close(number)  # from now on the locker alone says when the machine may sleep
        end_with(locker)
        if locker.wait() == 0:
            return
        kept_awake = []
        environment = {**environment, **BY_FORCE}
        environment.pop("XSS_SLEEP_LOCK_FD", None)
        time.sleep(AGAIN)


def end_with(locker: subprocess.Popen[bytes]) -> None:
    """Let `loginctl unlock-session`, which ends us, end the locker too."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        locker.terminate()
        sys.exit()

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    main()
