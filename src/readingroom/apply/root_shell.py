"""One root shell on a machine, kept open over OpenSSH for as long as a run lasts.

Every command goes in over standard input, so that the machine's journal holds one sudo line for the whole run,
always the same text, and never an argument. It also spares a login and a sudo for each command. This module must
not know pyinfra, roles or policies. OpenSSH itself makes the connection, so keys, agents, jump hosts, `Include`
and host key checking are what the person's own `ssh` does.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from readingroom.errors import ReadingRoomError

_PROMPT = "READING-ROOM-PASSWORD:"
READY = "reading-room-ready"
# Reads a length, then that many bytes of script, and runs them in a subshell. `head -c` takes no byte too many.
# Both streams end in a mark that only this connection knows.
_LOOP = (
    "umask 022; LC_ALL=C.UTF-8; export LC_ALL; "
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; cd /; "
    f"echo {READY}; IFS= read -r m; "
    'while IFS= read -r n; do s=$(head -c "$n"; echo x); (eval "${s%x}") </dev/null; r=$?; '
    'printf \'\\n%s %s\\n\' "$m" "$r"; printf \'\\n%s\\n\' "$m" >&2; done'
)


class CannotConnect(ReadingRoomError):
    """The machine cannot be reached, or does not let us in."""


class PasswordNeeded(ReadingRoomError):
    """sudo asks for a password, and none or a wrong one was given."""


class ShellLost(ReadingRoomError):
    """The connection broke while a command was running, or the command took too long."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def as_root(script: str) -> str:
    """The command line for a login shell that runs `script` as root, asking for a password only when it must."""
    quoted = shlex.quote(script)
    outer = (
        f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; '
        f"else exec sudo -H -S -p {shlex.quote(_PROMPT)} -- sh -c {quoted}; fi"
    )
    return f"exec sh -c {shlex.quote(outer)}"


def ssh_command(ssh_config: Path, machine: str, script: str, *, fresh: bool = False) -> list[str]:
    """OpenSSH's argument list for running `script` as root on `machine`; `fresh` shares no connection that is open."""
    alone = ["-o", "ControlMaster=no", "-o", "ControlPath=none"] if fresh else []
    return ["ssh", "-F", str(ssh_config), "-T", "-o", "BatchMode=yes", *alone, "--", machine, as_root(script)]


class Conversation:
    """A process that we talk to: waits for marks on its two output streams, and answers sudo's question."""

    def __init__(self, argv: list[str]) -> None:
        # A session of its own: Ctrl-C reaches us first, and we end the conversation in order.
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout
        assert self.process.stderr
        self.stdout, self.stderr = bytearray(), bytearray()
        self._streams = selectors.DefaultSelector()
        self._streams.register(self.process.stdout, selectors.EVENT_READ, self.stdout)
        self._streams.register(self.process.stderr, selectors.EVENT_READ, self.stderr)

    def say(self, data: bytes) -> None:
        """Send bytes; a closed pipe shows at the next `listen`."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def listen(self, deadline: float) -> bool:
        """Take in what has arrived; False when both streams have ended. `TimeoutError` at the deadline."""
        if not self._streams.get_map():
            return False
        ready = self._streams.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        for key, _ in ready:
            chunk = os.read(key.fd, 65536)
            if chunk:
                key.data.extend(chunk)
            else:
                self._streams.unregister(key.fileobj)
        return bool(self._streams.get_map())

    def become_root(self, password: str | None, timeout: float) -> None:
        """Wait until the script runs as root and says so on its first line of output."""
        deadline, answered = time.monotonic() + timeout, False
        ready = f"{READY}\n".encode()
        while ready not in self.stdout:
            try:
                alive = self.listen(deadline)
            except TimeoutError:
                self.close(patience=0)
                raise CannotConnect(f"no answer within {timeout:.0f} seconds") from None
            if self.stderr.endswith(_PROMPT.encode()):
                del self.stderr[-len(_PROMPT) :]
                if password is None or answered:
                    self.close()
                    raise PasswordNeeded("sudo did not take the password" if answered else "sudo asks for a password")
                self.say(password.encode() + b"\n")
                answered = True
            elif not alive and ready not in self.stdout:
                raise CannotConnect(self._last_words())
        del self.stdout[: self.stdout.index(ready) + len(ready)]
        self.stderr.clear()

    def _last_words(self) -> str:
        self.close()
        lines = [line for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "the connection ended without a word"

    def close(self, patience: float = 3.0) -> None:
        """End the conversation: our end of file ends the other side, and if it does not, a signal ends ours."""
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self._streams.close()


class RootShell:
    """Runs scripts as root, one after the other, over one connection."""

    def __init__(self, argv: list[str], password: str | None = None, connect_timeout: float = 20.0) -> None:
        self._mark = uuid.uuid4().hex
        self._talk = Conversation(argv)
        self._talk.become_root(password, connect_timeout)
        self._talk.say(self._mark.encode() + b"\n")

    @classmethod
    def over_ssh(cls, ssh_config: Path, machine: str, password: str | None = None, *, fresh: bool = False) -> RootShell:
        """A root shell on `machine`, with `fresh` over a new connection. Raises `CannotConnect` or `PasswordNeeded`."""
        return cls(ssh_command(ssh_config, machine, _LOOP, fresh=fresh), password)

    @classmethod
    def here(cls) -> RootShell:
        """The same shell without a connection and without sudo, for tests."""
        return cls(["sh", "-c", _LOOP])

    def run(self, script: str, timeout: float | None = None) -> Finished:
        """Run a POSIX shell script and return how it ended; standard input is empty. Raises `ShellLost`."""
        data = script.encode()
        if b"\0" in data:
            raise ShellLost("a script with a NUL byte cannot be sent")
        self._talk.say(f"{len(data)}\n".encode() + data)
        deadline = time.monotonic() + (timeout or 3600.0)
        out_mark = re.compile(rb"\n%s (\d+)\n" % self._mark.encode())
        err_mark = f"\n{self._mark}\n".encode()
        stdout, stderr = self._talk.stdout, self._talk.stderr
        while not ((ended := out_mark.search(stdout)) and err_mark in stderr):
            try:
                alive = self._talk.listen(deadline)
            except TimeoutError:
                self._talk.close(patience=0)
                raise ShellLost(f"a command took longer than {timeout or 3600:.0f} seconds") from None
            if not alive and not (out_mark.search(stdout) and err_mark in stderr):
                raise ShellLost("the connection broke while a command was running")
        out, err = bytes(stdout[: ended.start()]), bytes(stderr).partition(err_mark)[0]
        status = int(ended[1])
        stdout.clear()
        stderr.clear()
        return Finished(status, out.decode(errors="replace"), err.decode(errors="replace"))

    def close(self) -> None:
        """Let go of the machine."""
        self._talk.close()
