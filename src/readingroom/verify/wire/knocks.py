"""Knocks at the ports of a machine from elsewhere: which TCP ports answer, and how. To UDP ports it sends a word.

Runs as anybody, anywhere. In: {"addresses", "tcp": [ports], "udp": [ports], "word"}. Out: {"answered": {address: [ports]}}; an
answer is a connection as well as a refusal, because both got through. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import time
from typing import Any

PATIENCE = 1.2


def knock(asked: dict[str, Any]) -> dict[str, list[int]]:
    """Try all ports of all addresses at once."""
    watch = selectors.DefaultSelector()
    answered: dict[str, list[int]] = {address: [] for address in asked["addresses"]}
    for address in asked["addresses"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in asked["udp"]:
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
                one.sendto(asked["word"].encode(), (address, port))
        for port in asked["tcp"]:
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setblocking(False)
            code = one.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                watch.register(one, selectors.EVENT_WRITE, (address, port))
            elif code in (0, errno.ECONNREFUSED):
                answered[address].append(port)
    end = time.monotonic() + PATIENCE
    while watch.get_map() and (left := end - time.monotonic()) > 0:
        for key, _ in watch.select(left):
            watch.unregister(key.fileobj)
            assert isinstance(key.fileobj, socket.socket)
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED):
                answered[key.data[0]].append(key.data[1])
            key.fileobj.close()
    return answered


if __name__ == "__main__":
    print(json.dumps({"answered": knock(ASKED)}))  # type: ignore[name-defined]  # noqa: F821 (whoever sends this puts it before)
