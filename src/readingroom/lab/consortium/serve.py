"""Everything that answers in the consortium's namespace: resolver, library system, web page, and the end of the tunnel.

Run by the lab, in that namespace and in a mount namespace of its own: `serve.py INSTANCE`. It writes `ready` when all of it
answers, and ends at SIGTERM. Members are let into the tunnel as their machines' public keys appear: in the lab nobody
has to look at them first.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from readingroom.lab import recipe
from readingroom.lab.places import Places
from readingroom.sip2 import Message

from . import (
    GATEWAY,
    GATEWAY6,
    LIBRARY_SYSTEM,
    LIBRARY_SYSTEM6,
    PUBLIC_RESOLVER,
    PUBLIC_RESOLVER6,
    RESOLVER,
    RESOLVER6,
    SIP_MUTUAL_PORT,
    SIP_PORT,
    SIP_TELNET_PORT,
    SIP_TLS_PORT,
    WEB,
    WEB6,
    credentials,
    library_system,
    resolver,
    tunnel,
)

ADMISSION_SECONDS = 1.0
RESOLVERS = (RESOLVER, RESOLVER6, PUBLIC_RESOLVER, PUBLIC_RESOLVER6)
Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One station's connection."""
    session = library_system.Session(dt.datetime.now)
    while line := await reader.readuntil(b"\r"):
        said = session.answer(Message.decode(line))
        if said is None:
            return
        writer.write(said.encode())
        await writer.drain()


async def names(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Queries over TCP or TLS: each comes after its length."""
    while True:
        length = int.from_bytes(await reader.readexactly(2), "big")
        said = resolver.answer(await reader.readexactly(length))
        writer.write(len(said).to_bytes(2, "big") + said)
        await writer.drain()


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A page that tells where one comes from."""
    await reader.readuntil(b"\r\n\r\n")
    body = f"You come from {writer.get_extra_info('peername')[0]}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


class Datagrams(asyncio.DatagramProtocol):
    """Queries over UDP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one query; what is none is left alone."""
        with contextlib.suppress(Exception):
            self._transport.sendto(resolver.answer(data), addr)  # type: ignore[attr-defined]


def until_it_ends(talk: Conversation) -> Conversation:
    """A conversation that may be broken off, or be no conversation at all."""

    async def talked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, ssl.SSLError):
            await talk(reader, writer)
        writer.close()

    return talked


def identity(folder: Path, name: str, addresses: tuple[str, ...], *, asks: bool = False) -> ssl.SSLContext:
    """A server's side of TLS; one that `asks` talks to clients only that show a certificate of the same authority."""
    chain, key = credentials.write(folder, name, credentials.certificate(name, addresses))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=credentials.pem(credentials.authority()))
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context


async def serve(places: Places, folder: Path) -> None:
    """Answer everywhere until told to end."""
    secure_names = identity(folder, credentials.RESOLVER, RESOLVERS)
    secure_sip = identity(folder, credentials.LIBRARY_SYSTEM, (GATEWAY, GATEWAY6))
    mutual_sip = identity(folder, credentials.LIBRARY_SYSTEM, (GATEWAY, GATEWAY6), asks=True)
    for talk, addresses, ports, context in (
        (names, RESOLVERS, (53,), None),
        (names, RESOLVERS, (853,), secure_names),
        (sip, (LIBRARY_SYSTEM, LIBRARY_SYSTEM6), (SIP_PORT, SIP_TELNET_PORT), None),
        (sip, (GATEWAY, GATEWAY6), (SIP_TLS_PORT,), secure_sip),
        (sip, (GATEWAY, GATEWAY6), (SIP_MUTUAL_PORT,), mutual_sip),
        (page, (WEB, WEB6, LIBRARY_SYSTEM, LIBRARY_SYSTEM6), (80,), None),
    ):
        for address in addresses:
            for port in ports:
                await started(until_it_ends(talk), address, port, context)
    loop = asyncio.get_running_loop()
    for address in RESOLVERS:
        with no_such_family(address):
            await loop.create_datagram_endpoint(Datagrams, local_addr=(address, 53))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    machines = tuple(recipe.load().machines.values())
    with tunnel.up(folder):
        print("ready", flush=True)
        while not ended.is_set():
            tunnel.admit(places, machines)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), ADMISSION_SECONDS)


async def started(talk: Conversation, address: str, port: int, context: ssl.SSLContext | None) -> None:
    """Listen at one address."""
    with no_such_family(address):
        await asyncio.start_server(talk, address, port, ssl=context)


@contextlib.contextmanager
def no_such_family(address: str) -> Iterator[None]:
    """A host may be without IPv6; the lab then is, too."""
    try:
        yield
    except OSError:
        if ":" not in address:
            raise


def main() -> None:
    """Read the name of the lab's instance, and serve."""
    # wg and wireguard-go talk over sockets in /run/wireguard, which every instance has for itself
    Path(tunnel.SOCKETS).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "wireguard", tunnel.SOCKETS], check=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(serve(Places(sys.argv[1]), Path(folder)))


if __name__ == "__main__":
    main()
