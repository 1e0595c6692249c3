"""A testinfra backend that keeps one root shell on the machine for the whole run.

testinfra's own ssh backend starts ssh and sudo anew for every command: slower, and sudo writes each command line into
the machine's journal, where a canary would be found again by the very test that looks for it. Here sudo starts a
plain `/bin/sh` once and the commands travel on its standard input, so they appear in no log and in no process list.

Must not know what is tested, nor what was promised.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

# A command that hangs is ended on the machine too, after the test that waits for it has given up.
LONGEST_COMMAND_SECONDS = 90

_MARK = "reading-room-says"
_GREETING = f"""\
umask 022
export LC_ALL=C.UTF-8 LANG=C.UTF-8 HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
d=$(mktemp -d /run/reading-room-verify.XXXXXX || mktemp -d) && trap 'rm -rf "$d"' EXIT && cd /
echo {_MARK} ready
"""


class Unreachable(Exception):
    """The machine cannot be asked, or not any longer; the text says why, without names or addresses."""


class RootShell(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Runs testinfra's commands one after the other in a single root shell."""

    NAME = "root-shell"

    def __init__(self, name: str, start: Sequence[str]) -> None:
        """`start` is the local command whose standard input is a root shell on the machine called `name`."""
        super().__init__(name)
        self._start = tuple(start)
        self._shell: subprocess.Popen[bytes] | None = None
        self._turn = 0

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a shell command as root; raises `Unreachable` when the connection is lost."""
        text = self.get_command(command, *args)
        shell = self._opened()
        self._turn += 1
        end = f"{_MARK}-{self._turn}"
        # The command is the script of a shell of its own: neither `exit` nor a syntax error ends the connection,
        # and what it leaves running in the background does not hold up the answer.
        self._say(
            shell,
            f'timeout -k 2 {LONGEST_COMMAND_SECONDS} /bin/sh /dev/fd/3 3<<\'{end}\' </dev/null >"$d/o" 2>"$d/e"\n'
            f"{text}\n{end}\n"
            f'r=$?; echo {end} $r $(stat -c %s "$d/o" "$d/e"); cat "$d/o" "$d/e"\n',
        )
        try:
            return self._answer(shell, end, text)
        except BaseException:
            # Interrupted in the middle of an answer: what follows on this line would belong to no question.
            self.close()
            raise

    def close(self) -> None:
        """End the shell; the next command opens a new one."""
        shell, self._shell = self._shell, None
        if shell is not None:
            for pipe in (shell.stdin, shell.stdout, shell.stderr):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()
            shell.terminate()
            shell.wait()

    def encode(self, data: str) -> bytes:
        """Commands are UTF-8: the shell was started in that locale, so there is no need to ask."""
        return data.encode()

    def decode(self, data: bytes) -> str:
        """Whatever a machine prints can be read; bytes that are no text become a replacement sign."""
        return data.decode(errors="replace")

    def _opened(self) -> subprocess.Popen[bytes]:
        if self._shell is None:
            pipe = subprocess.PIPE
            self._shell = subprocess.Popen(self._start, stdin=pipe, stdout=pipe, stderr=pipe)
            self._say(self._shell, _GREETING)
            if self._line(self._shell) != f"{_MARK} ready":
                self._lost(self._shell)
        return self._shell

    def _say(self, shell: subprocess.Popen[bytes], text: str) -> None:
        assert shell.stdin is not None
        try:
            shell.stdin.write(text.encode())
            shell.stdin.flush()
        except OSError:
            self._lost(shell)

    def _line(self, shell: subprocess.Popen[bytes]) -> str:
        assert shell.stdout is not None
        return shell.stdout.readline().decode(errors="replace").strip()

    def _answer(self, shell: subprocess.Popen[bytes], end: str, text: str) -> CommandResult:
        assert shell.stdout is not None
        words = self._line(shell).split()
        if len(words) != 4 or words[0] != end:
            self._lost(shell)
        code, *sizes = map(int, words[1:])
        out, err = (shell.stdout.read(size) for size in sizes)
        if len(err) != sizes[1]:
            self._lost(shell)
        return cast(CommandResult, self.result(code, text.encode(), out, err))

    def _lost(self, shell: subprocess.Popen[bytes]) -> None:
        said = b""
        with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
            said = shell.communicate(timeout=5)[1] or b""
        self.close()
        raise Unreachable(_in_plain_words(said.decode(errors="replace")))


def ssh_root(ssh_config: Path, machine: str) -> tuple[str, ...]:
    """The local command for a root shell on `machine`, over whatever connection the site's ssh configuration shares."""
    return ssh_login(ssh_config, machine, '[ "$(id -u)" = 0 ] && exec /bin/sh; exec sudo -n -H /bin/sh')


def ssh_login(ssh_config: Path, machine: str, script: str) -> tuple[str, ...]:
    """The local command for `script` on `machine`, as whoever the site's ssh configuration logs in as."""
    options = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", "LogLevel=ERROR")
    flags = [flag for option in options for flag in ("-o", option)]
    return ("ssh", "-F", str(ssh_config), *flags, "-T", machine, f"/bin/sh -c {shlex.quote(script)}")


def goes_directly(ssh_config: Path, machine: str) -> bool:
    """Does ssh open its connection from this computer, and not by way of a command or another machine?"""
    asked = ["ssh", "-F", str(ssh_config), "-G", machine]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    ways = [line.split(" ", 1) for line in said.stdout.splitlines() if line.startswith(("proxycommand ", "proxyjump "))]
    return said.returncode == 0 and all(way[1] == "none" for way in ways)


def connect(machine: str, start: Sequence[str]) -> Host:
    """A testinfra host over one root shell; nothing is opened before the first command."""
    shell = RootShell(machine, start)
    host = Host(shell)
    shell.set_host(host)
    return host


_REASONS = (
    ("password is required", "the automation login may not become administrator (sudo) without a password"),
    ("not in the sudoers", "the automation login may not become administrator (sudo)"),
    ("sudo: command not found", "sudo is not installed on the machine"),
    ("host key verification failed", "the machine's host key is unknown or has changed"),
    ("permission denied", "the machine refused our login"),
    ("timed out", "the machine did not answer in time"),
    ("refused", "the machine is up but refuses ssh"),
    ("no route", "there is no way to the machine on the network"),
    ("could not resolve", "the machine's address cannot be looked up"),
    ("no such file", "the ssh configuration of this site is missing; is the lab up?"),
    ("can't open user config", "the ssh configuration of this site is missing; is the lab up?"),
)


def _in_plain_words(said: str) -> str:
    lowered = said.lower()
    return next((words for mark, words in _REASONS if mark in lowered), "the connection to the machine was lost")
