"""Listens in a network namespace, as somebody between the library and its consortium would, and says what could be read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from readingroom.lab import Lab, network

# Prints `ready`, and at SIGTERM the frames that were seen, as hexadecimal text.
_LISTEN = """
import json, signal, socket
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
card.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
ended = []
signal.signal(signal.SIGTERM, lambda *_: (ended.append(1), card.settimeout(0.2)))
print("ready", flush=True)
frames = []
card.settimeout(0.2)
while True:
    try:
        frames.append(card.recv(65535).hex())
    except TimeoutError:
        if ended:
            break
print(json.dumps(frames))
"""


@dataclass
class Heard:
    """What crossed the wire while somebody listened."""

    frames: list[bytes] = field(default_factory=list)

    def holding(self, *words: str | bytes) -> int:
        """How many frames hold one of these words."""
        wanted = [word.encode() if isinstance(word, str) else word for word in words]
        return sum(any(word in frame for word in wanted) for frame in self.frames)


@contextmanager
def wiretap(lab: Lab) -> Iterator[Heard]:
    """Listen at the library's router, on both of its sides; what was heard is there when the block is over."""
    enter = ["nsenter", f"--net={network.NAMESPACES / lab.places.switch}"]
    process = subprocess.Popen([*enter, sys.executable, "-I", "-c", _LISTEN], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    heard = Heard()
    try:
        assert process.stdout.readline().strip() == "ready"
        yield heard
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
        heard.frames += map(bytes.fromhex, json.loads(said))
