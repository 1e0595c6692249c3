"""Somebody in the consortium who is not who he says: a good certificate, of an authority that machines trust, for another name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readingroom.lab import Lab, network
from readingroom.lab.consortium import credentials

_LISTEN = """
import contextlib, socket, ssl, sys
chain, key, address, port, arrived = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)
door = socket.create_server((address, int(port)))
print("ready", flush=True)
while True:
    caller, _ = door.accept()
    with contextlib.suppress(OSError), context.wrap_socket(caller, server_side=True) as secure:
        while got := secure.recv(4096):
            with open(arrived, "ab") as file:
                file.write(got)
"""


@contextmanager
def stranger(lab: Lab, folder: Path, address: str, port: int) -> Iterator[Path]:
    """He listens at this address of the consortium; what arrives there lies in the file that is yielded."""
    chain, key = credentials.write(folder, credentials.STRANGER, credentials.certificate(credentials.STRANGER))
    arrived = folder / "arrived"
    arrived.write_bytes(b"")
    enter = ["nsenter", f"--net={network.NAMESPACES / lab.places.consortium}", sys.executable, "-I", "-c"]
    process = subprocess.Popen(
        [*enter, _LISTEN, str(chain), str(key), address, str(port), str(arrived)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        assert process.stdout.readline()
        yield arrived
    finally:
        process.kill()
        process.wait()
