"""Waits at this machine's doors and cards for what others send: says what arrived at a card, and what a program got to hear.

Runs on the machine, as root. In: {"word", "seconds"}. First it writes one line with the canary ports it listens on, TCP and
UDP, both families. Then, each time it is asked (SIGHUP): {"arrived": {own address: [who knocked there at a canary port, as seen
at the card]}, "heard": [canary ports that heard the word]}. It ends at SIGTERM, or after so many seconds.
Only canary ports count, since at others somebody else may be at work: our own connection is one to ssh's. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import signal
import socket
import struct
import sys
import time

from readingroom.verify.wire.frames import ARRIVING, IP4, IP6, watching


def knocking(kind: int, frame: bytes, ports: frozenset[int]) -> tuple[str, str] | None:
    """Whom this frame is for and who sent it, if it is for one of the ports."""
    if kind == IP4:
        begin, number, pair = (frame[0] & 15) * 4, frame[9], (frame[16:20], frame[12:16])
    elif kind == IP6:
        begin, number, pair = 40, frame[6], (frame[24:40], frame[8:24])
    else:
        return None
    if number not in (6, 17) or struct.unpack("!H", frame[begin + 2 : begin + 4])[0] not in ports:
        return None
    own, source = (socket.inet_ntop(socket.AF_INET if kind == IP4 else socket.AF_INET6, one) for one in pair)
    return own, source


def doors() -> dict[str, socket.socket]:
    """Sockets on free ports, by protocol and family."""
    found: dict[str, socket.socket] = {}
    for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
        for family, number in ((socket.AF_INET, "4"), (socket.AF_INET6, "6")):
            try:
                one = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind(("", 0))
            except OSError:
                continue  # a machine without IPv6
            if kind == socket.SOCK_STREAM:
                one.listen()
            one.setblocking(False)
            found[name + number] = one
    return found


class Listener:
    """What came so far."""

    def __init__(self, word: bytes) -> None:
        self.word = word
        self.doors = doors()
        self.ports = {name: int(one.getsockname()[1]) for name, one in self.doors.items()}
        self.watched = frozenset(self.ports.values())
        self.card = watching(ARRIVING, self.watched)
        self.arrived: dict[str, list[str]] = {}
        self.heard: set[str] = set()

    def take(self) -> None:
        """Take in all that is waiting."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (card, kind, direction, *_) = self.card.recvfrom(200)
                if direction == 0 and card != "lo" and (found := knocking(kind, frame, self.watched)):
                    self._arrived(*found)
        for name, door in self.doors.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    if door.type == socket.SOCK_STREAM:
                        door.accept()[0].close()
                        self.heard.add(name)
                    elif door.recv(2000) == self.word:
                        self.heard.add(name)

    def _arrived(self, own: str, source: str) -> None:
        sources = self.arrived.setdefault(own, [])
        if source not in sources:
            sources.append(source)

    def tell(self) -> None:
        """Write down what came so far."""
        self.take()
        print(json.dumps({"arrived": self.arrived, "heard": sorted(self.heard)}), flush=True)


def main() -> None:
    """Listen until told to stop."""
    asked = json.loads(sys.argv[1])
    listener = Listener(asked["word"].encode())
    asleep, awake = socket.socketpair()
    awake.setblocking(False)
    signal.signal(signal.SIGTERM, lambda *_: awake.send(b"."))
    signal.signal(signal.SIGHUP, lambda *_: awake.send(b"?"))
    watch = selectors.DefaultSelector()
    for waiting in (asleep, listener.card, *listener.doors.values()):
        watch.register(waiting, selectors.EVENT_READ)
    print(json.dumps(listener.ports), flush=True)
    end, told = time.monotonic() + asked["seconds"], b""
    while (left := end - time.monotonic()) > 0 and b"." not in told:
        ready = [key.fileobj for key, _ in watch.select(left)]
        listener.take()
        if asleep in ready:
            told = asleep.recv(100)
            listener.tell()


if __name__ == "__main__":
    main()
