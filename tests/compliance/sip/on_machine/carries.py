"""Speaks to a port of this machine as a station does, and looks at the network cards meanwhile: could anybody read it?

In: {"port", "lines": [text], "words": [text], "server": port}. Out, over all of the machine's addresses for itself: at so many
there is "nobody", so many were "silent", so many frames that hold one of the words are "readable", so many to or from the server's
port that begin as TLS does are "secured". Standard library only.
"""

import json
import selectors
import socket
import struct
import sys
import time

PATIENCE = 4.0
IP4, IP6 = 0x0800, 0x86DD
RECORDS = (b"\x16\x03", b"\x17\x03")  # a TLS handshake, and data


def payload(kind: int, frame: bytes) -> tuple[tuple[int, int], bytes]:
    """The ports and what a TCP segment carries."""
    if kind == IP4 and frame[9] == 6:
        begin = (frame[0] & 15) * 4
    elif kind == IP6 and frame[6] == 6:
        begin = 40
    else:
        return (0, 0), b""
    return struct.unpack("!HH", frame[begin : begin + 4]), frame[begin + (frame[begin + 12] >> 4) * 4 :]


def homes() -> list[str]:
    """This machine's addresses for itself."""
    try:
        with open("/proc/net/if_inet6") as cards:
            return ["127.0.0.1", *(["::1"] if "0" * 31 + "1 " in cards.read() else [])]
    except OSError:
        return ["127.0.0.1"]


def speak(home: str, asked: dict, said: dict) -> bool:
    """Say all lines there; False when nobody is there."""
    words = [word.encode() for word in asked["words"]]
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as card,
        selectors.DefaultSelector() as watch,
    ):
        watch.register(card, selectors.EVENT_READ)
        try:
            station = socket.create_connection((home, asked["port"]), 2)
        except OSError:
            return False
        watch.register(station, selectors.EVENT_READ)
        lines, open_, answered = [line.encode() for line in asked["lines"]], True, 0
        end, sent = time.monotonic() + PATIENCE, 0.0
        while (left := end - time.monotonic()) > 0:
            # the next line when the last one was answered, or nobody answers it
            if open_ and lines and (not sent or answered or time.monotonic() - sent > 1):
                station.sendall(lines.pop(0))
                sent = time.monotonic()
                end = sent + (PATIENCE if lines else 1.0)
            for key, _ in watch.select(min(left, 0.1)):
                if key.fileobj is card:
                    frame, (name, kind, *_) = card.recvfrom(65535)
                    if name == "lo":
                        continue
                    ports, carried = payload(kind, frame)
                    said["readable"] += any(word in frame for word in words)
                    said["secured"] += asked["server"] in ports and carried[:2] in RECORDS
                else:
                    try:
                        got = station.recv(4096)
                    except OSError:
                        got = b""
                    answered += len(got)
                    if not got:
                        watch.unregister(station)
                        open_ = False
        station.close()
    said["silent"] += not answered
    return True


def main() -> None:
    asked = json.load(sys.stdin)
    said = {"silent": 0, "readable": 0, "secured": 0, "nobody": 0}
    for home in homes():
        said["nobody"] += not speak(home, asked, said)
    print(json.dumps(said))


main()
