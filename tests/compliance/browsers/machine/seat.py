"""The place at the machine where one browser is tried: an account, its home, its processes, and a small internet.

Must not know which browser it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import ground
import internet
from sweep import sweep

# An empty folder of every Debian, taken over for the time of the play.
WORK = "/mnt"
SWEPT = ("/tmp", "/var/tmp", "/dev/shm")


class Seat:
    """Made once for each play."""

    def __init__(self, job: dict[str, Any]) -> None:
        """`job` names the account (`login`, `uid`, `gid`), the canary (`base`) and the internet's `secure` and `insecure` hosts."""
        self.login, self.uid, self.gid, self.base = job["login"], job["uid"], job["gid"], job["base"]
        self.home = f"/home/{self.login}"
        ground.prepare(self.home, self.uid, self.gid)
        # What belongs to the play and not to the account: never swept, and gone with the play.
        self.work = WORK
        ground.mount("tmpfs", self.work, "tmpfs", 0, "mode=755")
        self.internet = internet.Internet(
            Path(self.work), job["secure"], job["insecure"], self.base, job.get("doh", "")
        )
        self.internet.start()
        self.record = self.internet.record
        os.chown(self.work, self.uid, self.gid)

    def own(self, path: str) -> None:
        """Give what we made to the account."""
        for folder, folders, files in os.walk(path):
            for name in ("", *folders, *files):
                os.chown(os.path.join(folder, name), self.uid, self.gid, follow_symlinks=False)

    def start(self, command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        """Start a program as the account, without a screen and without a session."""
        environment = {
            "HOME": self.home, "USER": self.login, "LOGNAME": self.login, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin",
            "TMPDIR": "/tmp",
        }  # fmt: skip
        log = open(f"{self.work}/output", "ab")
        return subprocess.Popen(
            command, env=environment, cwd=self.home, user=self.uid, group=self.gid, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, umask=0o077, start_new_session=True, **more,
        )  # fmt: skip

    def output(self) -> str:
        """The last that programs said."""
        log = Path(f"{self.work}/output")
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def kill_all(self) -> None:
        """End every process of the account at once, as a power cut would."""
        while living := self._living():
            for number in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)

    def _living(self) -> list[int]:
        found = []
        for name in os.listdir("/proc"):
            try:
                status = Path(f"/proc/{name}/status").read_text() if name.isdigit() else ""
            except OSError:
                continue
            if f"\nUid:\t{self.uid}\t" in status and "\nState:\tZ" not in status:
                found.append(int(name))
        return found

    def sweep(self) -> dict[str, list[str]]:
        """The kinds of canary that lie where the account can write."""
        return sweep(self.base, [self.home, *SWEPT])
