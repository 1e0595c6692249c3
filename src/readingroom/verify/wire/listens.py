"""Waits at this machine's doors and cards for what others send: says what arrived at a card, and what a program got to hear.

Runs on the machine, as root. In: {"word", "scanned": [ports], "seconds"}. First it writes one line with the canary ports it
listens on, TCP and UDP, both families. It ends when asked to (SIGTERM) or after so many seconds, and then writes
{"arrived": [addresses that knocked, as seen at the card], "heard": [families in which a canary port heard the word]}.
Standard library only.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import struct
import sys
import time

IP4, IP6 = 0x0800, 0x86DD


def knocking(kind: int, frame: bytes, ports: frozenset[int]) -> str | None:
    """Who sent this frame, if it is for one of the ports."""
    if kind == IP4:
        begin, number, source = (frame[0] & 15) * 4, frame[9], socket.inet_ntop(socket.AF_INET, frame[12:16])
    elif kind == IP6:
        begin, number, source = 40, frame[6], socket.inet_ntop(socket.AF_INET6, frame[8:24])
    else:
        return None
    if number not in (6, 17) or struct.unpack("!H", frame[begin + 2 : begin + 4])[0] not in ports:
        return None
    return source


def doors() -> tuple[dict[int, socket.socket], dict[str, int]]:
    """Sockets on free ports by file descriptor, and the ports by protocol and family."""
    found: dict[int, socket.socket] = {}
    ports: dict[str, int] = {}
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
            found[one.fileno()], ports[name + number] = one, one.getsockname()[1]
    return found, ports


def main() -> None:
    """Listen until told to stop."""
    asked = json.loads(sys.argv[1])
    word = asked["word"].encode()
    sockets, ports = doors()
    card = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    card.setblocking(False)
    asleep, awake = socket.socketpair()
    asleep.setblocking(False)
    awake.setblocking(False)
    signal.signal(signal.SIGTERM, lambda *_: awake.send(b"."))
    watch = selectors.DefaultSelector()
    for waiting in (card, asleep, *sockets.values()):
        watch.register(waiting, selectors.EVENT_READ)
    print(json.dumps(ports), flush=True)
    scanned = frozenset(asked["scanned"]) | frozenset(ports.values())
    arrived: set[str] = set()
    heard: set[str] = set()
    names = {one.fileno(): name for one, name in zip(sockets.values(), ports, strict=True)}
    end = time.monotonic() + asked["seconds"]
    while (left := end - time.monotonic()) > 0:
        ready = [key.fileobj for key, _ in watch.select(left)]
        if asleep in ready:
            break
        for one in ready:
            assert isinstance(one, socket.socket)
            if one is card:
                frame, (card_name, kind, direction, *_) = card.recvfrom(200)
                if direction == 0 and card_name != "lo" and (source := knocking(kind, frame, scanned)):
                    arrived.add(source)
            elif one.type == socket.SOCK_STREAM:
                one.accept()[0].close()
                heard.add(names[one.fileno()])
            elif one.recv(2000) == word:
                heard.add(names[one.fileno()])
    print(json.dumps({"arrived": sorted(arrived), "heard": sorted(heard)}), flush=True)


if __name__ == "__main__":
    main()
