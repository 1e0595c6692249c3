"""Tries new settings of the network on this machine, and takes them back by itself unless they are confirmed in time.

`begin` stages the new file beside its place, lets the role's `check` look at it, has `save` keep how things are now, arms a
timer, and only then lets `load` bring the new settings to the running system. `keep`, which must come over a new connection,
puts the file in its place. When nobody says `keep`, the timer says `back`, and so does whoever begins anew. A power cut is a
way back too: until `keep`, nothing that outlives a restart has changed. After it, everything has: the file's place is taken by
one rename.

What can only be tried by changing it for good names no `file`: it is `lasting`. What was kept of it lies on the disk then, and
the next start gives it back before anybody is let in. The role changes it between `begin` and `keep`.

Which of `keep` and the timer comes first is decided by who renames the mark `armed`; there is no moment between.

A request on standard input: the role's trial, and the `file`, its `mode` and its `content` unless it is `lasting`. Exit code
0, or 1 with plain words on standard error. The steps `check`, `save`, `load` and `restore` are shell lines of the role's own,
with $FILE (what was staged) and $FOLDER (a place in memory, or on the disk); `release` comes before the file takes its place,
where `load` stands in the way, and `settle` after it. Standard library only; it knows no role.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

TRIALS, LASTING = Path("/run/readingroom-trial"), Path("/var/lib/readingroom/trial")
UNITS = Path("/etc/systemd/system")
AT_START = """[Unit]
Description=Take back what nobody confirmed
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target ssh.service systemd-user-sessions.service
ConditionPathExists={folder}

[Service]
Type=oneshot
ExecStart=/bin/sh {folder}/restore
"""


class Failed(Exception):
    """A step did not work; in words."""


class Trial:
    """One role's trial, by name."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.lasting = bool(asked.get("lasting"))
        self.folder = (LASTING if self.lasting else TRIALS) / asked["name"]
        self.file = self.folder / "nothing" if self.lasting else Path(asked["file"])
        self.staged = self.file.with_name(f".{self.file.name}.trial")
        self.unit = f"readingroom-trial-{asked['name']}"
        self.at_start = UNITS / f"{self.unit}-start.service"
        self.wanted = UNITS / "sysinit.target.wants" / self.at_start.name

    def begin(self) -> None:
        """Have the new settings at work, for as long as the timer runs."""
        self.back()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.lasting:
            self._stage(self.asked["content"].encode(), int(self.asked["mode"], 8))
        try:
            self._step("check")
            self._step("save")
            self._arm()
        except (Failed, OSError):
            self._clear()
            raise
        try:
            self._step("load")
        except Failed as failed:
            try:
                self.back()
            except Failed as worse:  # what went wrong first is what has to be mended
                raise Failed(f"{failed}; and {worse}") from None
            raise

    def keep(self) -> None:
        """Let the new settings stay, unless the timer was first."""
        if not self._claim("kept"):
            raise Failed("nobody confirmed the new settings in time, so the machine has taken them back")
        self._disarm()
        try:
            self._step("release")
            if not self.lasting:
                self.staged.replace(self.file)
                _sync(self.file.parent)
        except (Failed, OSError):
            self._restore()
            raise
        with contextlib.suppress(Failed):  # the file is kept, and the role looks whether it is at work
            self._step("settle")
        self._clear()

    def back(self) -> None:
        """Take back what is being tried, if anything is."""
        if self._claim("back") or (self.lasting and (self.folder / "back").exists()):
            self._disarm()
            self._restore()
        elif self.lasting:
            self._clear()

    def _restore(self) -> None:
        try:
            self._step("restore")
        finally:
            self._clear()

    def _clear(self) -> None:
        """Leave nothing of the trial, the unit that the next start would run first."""
        if self.lasting:
            self.wanted.unlink(missing_ok=True)
            self.at_start.unlink(missing_ok=True)
        self.staged.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stage(self, content: bytes, mode: int) -> None:
        """Write the new file where a rename will do later: a full disk shows now, before anything has changed."""
        try:
            with self.staged.open("wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.staged.unlink(missing_ok=True)
            raise Failed(f"{self.file.name} could not be written: {error.strerror}") from None

    def _arm(self) -> None:
        script = self.folder / "restore"
        # a restart may have cut the way back short: what lasts is given back once more
        again = ' || test -e "$FOLDER/back"' if self.lasting else ""
        script.write_text(
            f'{self._setting}mv "$FOLDER/armed" "$FOLDER/back" 2>/dev/null{again} || exit 0\n'
            f'{self.asked["restore"]}\ns=$?\nrm -rf "$FILE" "$FOLDER" {self._units}\nexit $s\n'
        )
        self._forget()
        if self.lasting:
            self.at_start.write_text(AT_START.format(folder=self.folder))
            self.wanted.parent.mkdir(exist_ok=True)
            self.wanted.unlink(missing_ok=True)
            self.wanted.symlink_to(self.at_start)
        # the mark first: a timer that finds none has nothing to take back
        (self.folder / "armed").touch()
        if self.lasting:
            os.sync()
        done = _run(
            "systemd-run", "--quiet", "--collect", f"--unit={self.unit}", f"--on-active={self.asked['seconds']}",
            "--timer-property=AccuracySec=100ms", "--description=Take back what nobody confirmed",
            "--property=DefaultDependencies=no", "/bin/sh", str(script),
        )  # fmt: skip
        if done.returncode:
            (self.folder / "armed").unlink()
            raise Failed(f"no timer could be set, so nothing was tried: {_last_words(done)}")

    @property
    def _setting(self) -> str:
        return f"FILE={shlex.quote(str(self.staged))} FOLDER={shlex.quote(str(self.folder))}\n"

    @property
    def _units(self) -> str:
        return f"{self.wanted} {self.at_start}" if self.lasting else ""

    def _claim(self, mark: str) -> bool:
        """Be the one who ends the trial; only one can."""
        try:
            (self.folder / "armed").rename(self.folder / mark)
        except OSError:
            return False
        return True

    def _disarm(self) -> None:
        _run("systemctl", "stop", f"{self.unit}.timer")

    def _forget(self) -> None:
        for kind in ("timer", "service"):
            _run("systemctl", "stop", f"{self.unit}.{kind}")
            _run("systemctl", "reset-failed", f"{self.unit}.{kind}")

    def _step(self, name: str) -> None:
        done = _run("/bin/sh", "-c", self._setting + self.asked.get(name, ":"))
        if done.returncode:
            raise Failed(f"the step “{name}” failed: {_last_words(done)}")


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[0] if lines else f"exit code {done.returncode}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def main() -> int:
    """Do what is asked; 1 and the reason when it did not work."""
    trial = Trial(json.load(sys.stdin))
    try:
        {"begin": trial.begin, "keep": trial.keep, "back": trial.back}[sys.argv[1]]()
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
