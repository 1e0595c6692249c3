"""One controller at a time per machine: a lock that lives and dies with a connection.

The lock is a `flock` on a file in the machine's /run, held by a shell at the other end of an ssh connection. When
the controller ends, is killed or crashes, the connection ends and with it the lock; when the network goes away, the
shell hears no heartbeat for `SILENCE` seconds and ends by itself; after a reboot /run is empty. So nothing can block
for ever, and nothing needs cleaning up by hand. Dry runs share the lock among themselves.

Beside the lock lies a mark from the first change to the end of a run that went through. Who finds it knows that an
earlier run was cut short, and that services may still wait for a restart. This module must not know either engine.
"""

from __future__ import annotations

import time
from pathlib import Path

from readingroom.apply.root_shell import READY, CannotConnect, Conversation, ssh_command
from readingroom.errors import ReadingRoomError

FOLDER = "/run/readingroom-apply"
SILENCE = 90.0
HEARTBEAT = 15.0

_SCRIPT = f"""\
echo {READY}; d=FOLDER; umask 077; mkdir -p $d && exec 9>>$d/lock || {{ echo broken; exit 1; }}
flock -n HOW 9 || {{ echo busy $(cat $d/since 2>/dev/null); exit 1; }}
if [ -e $d/unfinished ]; then echo held-unfinished; else echo held; fi; BEGIN
while said=$(timeout SILENCE sh -c 'IFS= read -r line && echo "$line"'); do
[ "$said" != finished ] || rm -f $d/unfinished; done"""
_BEGIN = "date +%H:%M > $d/since; : > $d/unfinished"


class MachineBusy(ReadingRoomError):
    """Another run is at work on the machine."""


class MachineLock:
    """Holds a machine until `release`. Raises `MachineBusy`, `CannotConnect` or `PasswordNeeded` when it cannot."""

    def __init__(self, argv: list[str], machine: str, password: str | None = None, timeout: float = 30.0) -> None:
        self._talk = Conversation(argv)
        self._talk.become_root(password, timeout)
        answer = self._answer(timeout)
        if not answer.startswith("held"):
            self._talk.close()
            since = answer.removeprefix("busy").strip()
            if answer == "broken":
                raise CannotConnect("cannot write to /run: is the machine healthy?")
            raise MachineBusy(
                f"another run of Reading Room is at work on {machine}{f' since {since}' if since else ''}\n"
                f"  to mend  let it end; if it was killed, its lock goes away by itself within {SILENCE:.0f} seconds"
            )
        self.unfinished = answer == "held-unfinished"
        self._last = time.monotonic()

    @classmethod
    def over_ssh(cls, ssh_config: Path, machine: str, *, shared: bool, password: str | None = None) -> MachineLock:
        """Take the lock of `machine`; `shared` is for runs that only look."""
        return cls(ssh_command(ssh_config, machine, lock_script(shared=shared)), machine, password)

    def _answer(self, timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._talk.stdout:
            try:
                if not self._talk.listen(deadline):
                    break
            except TimeoutError:
                break
        return bytes(self._talk.stdout).partition(b"\n")[0].decode(errors="replace")

    def heartbeat(self) -> None:
        """Tell the machine that we are still here; call often, it speaks only when it is time."""
        if time.monotonic() - self._last > HEARTBEAT:
            self._talk.say(b"here\n")
            self._last = time.monotonic()

    def release(self, *, finished: bool) -> None:
        """Let go; `finished` takes the mark of an unfinished run away."""
        if finished:
            self._talk.say(b"finished\n")
        self._talk.close()


def lock_script(*, shared: bool, folder: str = FOLDER, silence: float = SILENCE) -> str:
    """What runs on the machine while it is held: a constant text, so that the journal tells nothing."""
    script = _SCRIPT.replace("HOW", "-s" if shared else "-x").replace("BEGIN", ":" if shared else _BEGIN)
    return script.replace("FOLDER", folder).replace("SILENCE", f"{silence:.0f}")
