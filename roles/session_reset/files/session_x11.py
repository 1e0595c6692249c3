"""How long nobody has touched an X display, asked in X's own words, so that nothing need be installed for it.

Three requests of the X protocol and its screen saver extension. This module must not know sessions or policies.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

PATIENCE = 3.0
EXTENSION = b"MIT-SCREEN-SAVER"
COOKIE = b"MIT-MAGIC-COOKIE-1"


class NoAnswer(Exception):
    """The display is gone, does not let us in, or cannot tell."""


def idle_seconds(display: str, authority: Path) -> float:
    """Seconds since a key, a button or the mouse last moved on `display` (`:0`); raises `NoAnswer`."""
    number = display.rpartition(":")[2].partition(".")[0]
    if not number.isdigit():
        raise NoAnswer(f"{display} is not a display of this machine")
    try:
        with _connected(number) as link:
            root = _introduce(link, _cookie(authority, number))
            opcode = _extension(link)
            link.sendall(struct.pack("<BBHI", opcode, 1, 2, root))
            return float(struct.unpack_from("<I", _reply(link), 16)[0]) / 1000
    except (OSError, struct.error, IndexError) as error:
        raise NoAnswer(str(error)) from error


def _connected(number: str) -> socket.socket:
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 (where X listens)
    for address in (f"\0{path}", path):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(PATIENCE)
        try:
            link.connect(address)
        except OSError:
            link.close()
        else:
            return link
    raise NoAnswer(f"nothing listens at display {number}")


def _cookie(authority: Path, number: str) -> bytes:
    """The display's cookie in an authority file; empty when there is none, which some displays accept."""
    left = authority.read_bytes() if authority.is_file() else b""
    while left:
        fields, left = [], left[2:]  # the family does not matter: we only ask displays of this machine
        for _ in range(4):
            (size,) = struct.unpack_from(">H", left)
            fields.append(left[2 : 2 + size])
            left = left[2 + size :]
        if fields[1].decode() in (number, "") and fields[2] == COOKIE:
            return fields[3]
    return b""


def _introduce(link: socket.socket, cookie: bytes) -> int:
    """Open the connection; returns the root window."""
    name = COOKIE if cookie else b""
    link.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)) + _padded(name) + _padded(cookie))
    status, _, _, _, words = struct.unpack("<BBHHH", _take(link, 8))
    body = _take(link, words * 4)
    if status != 1:
        raise NoAnswer("the display does not let us in")
    vendor, formats = struct.unpack_from("<H", body, 16)[0], body[21]
    return int(struct.unpack_from("<I", body, 32 + vendor + -vendor % 4 + formats * 8)[0])


def _extension(link: socket.socket) -> int:
    words = 2 + len(_padded(EXTENSION)) // 4
    link.sendall(struct.pack("<BxHHxx", 98, words, len(EXTENSION)) + _padded(EXTENSION))
    answer = _reply(link)
    if not answer[8]:
        raise NoAnswer("the display does not know how long it was left alone")
    return answer[9]


def _reply(link: socket.socket) -> bytes:
    head = _take(link, 32)
    if head[0] != 1:
        raise NoAnswer("the display refused")
    return head + _take(link, struct.unpack_from("<I", head, 4)[0] * 4)


def _take(link: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        part = link.recv(size - len(taken))
        if not part:
            raise NoAnswer("the display hung up")
        taken += part
    return taken


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
