"""X is asked in its own words: against a display that answers as X does, and against ones that do not."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import session_x11 as x11

COOKIE = bytes(range(16))


def authority(folder: Path, number: str = "5") -> Path:
    fields = (b"desk", number.encode(), x11.COOKIE, COOKIE)
    path = folder / "authority"
    path.write_bytes(struct.pack(">H", 256) + b"".join(struct.pack(">H", len(one)) + one for one in fields))
    return path


def display(link: socket.socket, idle: int, *, extension: int = 1, admits: bool = True) -> bytes:
    """Play the display's part; gives the cookie that it was shown."""
    head = link.recv(12)
    name, data = struct.unpack_from("<HH", head, 6)
    shown = link.recv(name + -name % 4 + data)[-data:] if data else b""
    vendor = b"vendor!!"
    screen = struct.pack("<I", 0x2A) + bytes(36)
    body = bytes(16) + struct.pack("<H", len(vendor)) + bytes(3) + b"\x02" + bytes(10) + vendor + bytes(16) + screen
    link.sendall(struct.pack("<BBHHH", int(admits), 0, 11, 0, len(body) // 4) + body)
    if admits:
        link.recv(8 + len(x11.EXTENSION))
        link.sendall(struct.pack("<BxHIBBBB", 1, 1, 0, extension, 140, 0, 0) + bytes(20))
    if admits and extension:
        asked = struct.unpack("<BBHI", link.recv(8))
        assert asked == (140, 1, 2, 0x2A)
        link.sendall(struct.pack("<BBHIIII", 1, 0, 2, 0, 0, 0, idle) + bytes(12))
    return shown


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, play: Callable[[socket.socket], object]) -> float:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(x11, "_connected", lambda number: ours)
    thread = threading.Thread(target=lambda: (play(theirs), theirs.close()))
    thread.start()
    try:
        return x11.idle_seconds(":5", authority(folder))
    finally:
        thread.join()


def test_it_tells_how_long_nobody_touched_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown: list[bytes] = []
    seconds = asked(monkeypatch, tmp_path, lambda link: shown.append(display(link, 61_500)))
    assert seconds == 61.5
    assert shown == [COOKIE]


@pytest.mark.parametrize(
    "play",
    [lambda link: display(link, 0, extension=0), lambda link: display(link, 0, admits=False), lambda link: link.recv(1)],
    ids=["cannot tell", "does not let us in", "hangs up"],
)  # fmt: skip
def test_a_display_that_does_not_answer_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, play: Callable[[socket.socket], object]
) -> None:
    with pytest.raises(x11.NoAnswer):
        asked(monkeypatch, tmp_path, play)


def test_a_display_of_another_machine_or_none_is_not_asked(tmp_path: Path) -> None:
    for name in ("", "elsewhere:", ":98765"):
        with pytest.raises(x11.NoAnswer):
            x11.idle_seconds(name, tmp_path / "none")
