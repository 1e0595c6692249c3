"""Has the kernel hand a program only those frames that it is about.

On a busy machine, whose programs talk among themselves, all the others would fill the socket's room in no time, and the one
frame that counts would be dropped. It runs on the machine, before the program that needs it. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Collection

ARRIVING, OUTGOING = 0, 4  # PACKET_HOST, PACKET_OUTGOING
IP4, IP6 = 0x0800, 0x86DD
_ATTACH_FILTER, _ALL = 26, 3  # SO_ATTACH_FILTER, ETH_P_ALL
_BESIDE = 0xFFFFF000  # where the kernel keeps what is not in the frame


def only(kind: int, ports: Collection[int] = ()) -> bytes:
    """A filter (classic BPF) for what goes this way by a card, to one of the ports if any are named; not by the loopback."""
    loop = socket.if_nametoindex("lo")
    accept = 12 + len(ports) if ports else 5
    drop = accept - 1
    # each step: what it does, how many to leave out when that is so, or is not so, and a value
    steps = [
        (0x20, 0, 0, _BESIDE + 8), (0x15, drop - 2, 0, loop),  # the card
        (0x20, 0, 0, _BESIDE + 4), (0x15, 0 if ports else accept - 4, drop - 4, kind),  # the way
    ]  # fmt: skip
    if ports:
        steps += [
            (0x20, 0, 0, _BESIDE), (0x15, 3, 0, IP4), (0x15, 0, drop - 7, IP6),
            (0x28, 0, 0, 42), (0x05, 0, 0, 2),  # the port in an IPv6 packet
            (0xB1, 0, 0, 0), (0x48, 0, 0, 2),  # the port in an IPv4 packet, whose head is as long as it says
            *((0x15, accept - 12 - place, 0, port) for place, port in enumerate(sorted(ports))),
        ]  # fmt: skip
    steps += [(0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def watching(kind: int, ports: Collection[int] = ()) -> socket.socket:
    """A socket that hears all cards for what goes this way, to one of the ports if any are named; raises `OSError`."""
    program = only(kind, ports)
    held = ctypes.create_string_buffer(program, len(program))
    card = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    card.setblocking(False)
    card.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(held)))
    with contextlib.suppress(BlockingIOError):
        while True:  # what came in before the filter was there
            card.recv(1)
    return card
