"""What the kernel says of jobs on their way: real processes, which look as CUPS's backends do, and real connections."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from print_backends import unreached

# Connects to where it is told, if anywhere, says so, and waits to be ended.
PROGRAM = """
import socket, sys
port = int(sys.argv[1])
link = socket.create_connection(("127.0.0.1", port)) if port else None
print("there", flush=True)
sys.stdin.read()
"""


@contextmanager
def backend(folder: Path, address: str, job: int, port: int = 0) -> Iterator[None]:
    """A process with the name and the words that CUPS gives a backend."""
    (folder / str(job)).write_text(PROGRAM)
    with subprocess.Popen(
        [address, str(job), str(port), "somebody", "a title"], executable=sys.executable, cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"there\n"
        yield
        assert process.stdin
        process.stdin.close()


def test_a_job_without_a_connection_has_not_reached_its_printer(tmp_path: Path) -> None:
    with backend(tmp_path, "ipp://192.0.2.9/ipp/print", 990001):
        assert 990001 in unreached()


def test_a_job_with_one_has(tmp_path: Path) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    with door, backend(tmp_path, "socket://192.0.2.9", 990002, door.getsockname()[1]):
        assert 990002 not in unreached()
        # the printer hangs up, and the job has yet to notice
        door.accept()[0].close()
        assert 990002 not in unreached()


def test_any_connection_of_a_job_counts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with backend(tmp_path, "ipps://192.0.2.9", 990003), backend(tmp_path, "ipps://192.0.2.9", 990003, port):
            assert 990003 not in unreached()


def test_a_job_whose_connection_nobody_answers_has_not_reached_its_printer(tmp_path: Path) -> None:
    place = tmp_path / "77"
    (place / "fd").mkdir(parents=True)
    (place / "net").mkdir()
    (place / "cmdline").write_bytes(b"lpd://192.0.2.9/queue\0" + b"12\0owner\0title\0")
    (place / "fd" / "4").symlink_to("socket:[5150]")
    row = "   0: 0B004D0A:A1B2 090200C0:0203 {} 00000001:00000000 01:00000064 00000000     7        0 5150 2\n"
    for state, expected in (("02", {12}), ("01", set()), ("05", set())):
        (place / "net" / "tcp").write_text(f"  sl  local_address ...\n{row.format(state)}")
        assert unreached(tmp_path) == expected


def test_printers_at_the_machine_itself_and_other_programs_are_no_matter(tmp_path: Path) -> None:
    with backend(tmp_path, "usb://Maker/Model", 990004), backend(tmp_path, "office", 990005):
        assert not {990004, 990005} & unreached()
