"""A pyinfra connector that speaks through one `RootShell` per machine.

It turns pyinfra's commands and file transfers into scripts for that shell; nothing is staged in the machine's
/tmp and no command is ever an argument of sudo. It must not know roles or policies.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from readingroom.apply.root_shell import Finished, RootShell

SHELL = "readingroom.shell"  # key in host.connector_data: the open RootShell
# pyinfra's arguments that change how a command is started; without any of them the script runs as it is.
_SHAPING = ("_env", "_chdir", "_sudo_user", "_su_user", "_doas_user", "_use_sudo_login", "_use_su_login")


def upload_script(content: bytes, path: str) -> str:
    """A script that puts `content` at `path` in one step, readable by root alone until told otherwise."""
    target = shlex.quote(path)
    encoded = base64.encodebytes(content).decode()
    return (
        f'new=$(dirname {target})/.readingroom-new-$$ && umask 077 && rm -f "$new" && '
        f'base64 -d > "$new" <<\'END-OF-FILE\' && mv -fT "$new" {target}\n{encoded}END-OF-FILE\n'
    )


class RootShellConnector(BaseConnector):
    """The connection of one machine; the shell itself is handed over in `connector_data`."""

    handles_execution = True

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """One target of that name."""
        yield name, {}, []

    def connect(self) -> None:
        """Take the shell that the run has opened."""
        shell = self.host.connector_data.get(SHELL)
        if not isinstance(shell, RootShell):
            raise ConnectError("no connection was opened for this machine")
        self.shell = shell

    def run_shell_command(
        self, command: StringCommand | str, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Run one command of an operation or a fact."""
        timeout = arguments.pop("_timeout", None)
        expected = arguments.pop("_success_exit_codes", None) or [0]
        arguments.pop("_get_pty", None)
        if arguments.pop("_stdin", None):
            raise ConnectError("this connection gives commands no standard input: put it into the script")
        if any(arguments.get(key) for key in _SHAPING):
            arguments["_sudo"] = bool(arguments.get("_sudo_user"))
            shaped = make_unix_command_for_host(self.state, self.host, StringCommand(command), **arguments)
            finished = self.shell.run(shaped.get_raw_value(), timeout)
        else:
            finished = self.shell.run(command if isinstance(command, str) else command.get_raw_value(), timeout)
        return finished.status in expected, _output(finished)

    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        """Write a file on the machine."""
        content = _content(filename_or_io)
        return self.shell.run(upload_script(content, remote_filename)).status == 0

    def get_file(
        self,
        remote_filename: str,
        filename_or_io: Any,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        """Read a file from the machine."""
        finished = self.shell.run(f"base64 < {shlex.quote(remote_filename)}")
        if finished.status:
            return False
        content = base64.b64decode(finished.stdout)
        if isinstance(filename_or_io, str):
            Path(filename_or_io).write_bytes(content)
        else:
            filename_or_io.write(content if isinstance(filename_or_io, BytesIO) else content.decode())
        return True


def _output(finished: Finished) -> CommandOutput:
    streams = (("stdout", finished.stdout), ("stderr", finished.stderr))
    return CommandOutput([OutputLine(name, line) for name, text in streams for line in text.splitlines()])


def _content(source: Any) -> bytes:
    if isinstance(source, (str, Path)):
        return Path(source).read_bytes()
    source.seek(0)
    content: str | bytes = source.read()
    return content.encode() if isinstance(content, str) else content
