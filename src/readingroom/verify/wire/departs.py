"""Tries to send something to each of a list of places and says what really left this machine's network cards.

Runs on the machine, as root. In: {"to": [{"protocol", "address", "port"}, …], "by": card or null, "beside": [cards]}: `by` is the
card to send by, whatever the routes say, and cards that are `beside` the matter are not looked at. Out: [true | false | null,
…], null where the machine has no way to that address. Nobody has to answer: what is looked at is the card, behind every rule.
A question for a neighbour's hardware address counts as well, since it comes after the rules and betrays what follows. Standard
library only.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from typing import Any

from readingroom.verify.wire.frames import IP4, IP6, OUTGOING, watching

PATIENCE = 0.7
ARP = 0x0806
PROTOCOLS = {6: "tcp", 17: "udp"}


def leaving(kind: int, frame: bytes) -> tuple[str, str, int] | None:
    """Protocol, address and port that a frame is for; a question for a neighbour has the port 0 and no protocol."""
    if kind == ARP:
        return "", socket.inet_ntop(socket.AF_INET, frame[24:28]), 0
    if kind == IP4:
        begin, number, address = (frame[0] & 15) * 4, frame[9], socket.inet_ntop(socket.AF_INET, frame[16:20])
    elif kind == IP6:
        begin, number, address = 40, frame[6], socket.inet_ntop(socket.AF_INET6, frame[24:40])
        if number == 58 and frame[40] == 135:  # neighbour solicitation
            return "", socket.inet_ntop(socket.AF_INET6, frame[48:64]), 0
    else:
        return None
    if number not in PROTOCOLS:
        return None
    return PROTOCOLS[number], address, struct.unpack("!H", frame[begin + 2 : begin + 4])[0]


def send(place: dict[str, Any], by: str | None, sockets: list[socket.socket]) -> bool:
    """Try it; False when the machine knows no way there."""
    family = socket.AF_INET6 if ":" in place["address"] else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM if place["protocol"] == "tcp" else socket.SOCK_DGRAM)
    one.setblocking(False)
    sockets.append(one)
    if by:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, by.encode())
    try:
        one.connect((place["address"], place["port"]))
        if place["protocol"] == "udp":
            one.send(b"\0")
    except BlockingIOError:
        return True
    except OSError as error:
        return error.errno != 101  # ENETUNREACH
    return True


def main() -> None:
    """Listen at the cards, try everything, and answer."""
    asked = json.load(sys.stdin)
    to, beside = asked["to"], {"lo", *asked["beside"]}
    card = watching(OUTGOING)
    watch = selectors.DefaultSelector()
    watch.register(card, selectors.EVENT_READ)
    sockets: list[socket.socket] = []
    ways = [send(place, asked["by"], sockets) for place in to]
    seen: set[tuple[str, str, int]] = set()
    end = time.monotonic() + PATIENCE
    while (left := end - time.monotonic()) > 0:
        if not watch.select(left):
            break
        frame, (name, kind, direction, *_) = card.recvfrom(200)
        if direction == OUTGOING and name not in beside and (found := leaving(kind, frame)):
            seen.add(found)
    answer = [
        None if not way else any((protocol, place["address"], port) in seen for protocol, port in _signs(place))
        for place, way in zip(to, ways, strict=True)
    ]
    print(json.dumps(answer))


def _signs(place: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    return (place["protocol"], place["port"]), ("", 0)


if __name__ == "__main__":
    main()
