"""Just enough IPP (RFC 8010, RFC 8011) to list print jobs and to delete them.

Speaks to CUPS over its own socket, where the kernel vouches for who is calling, and to printers over the
network. Must not know why a job is deleted. Standard library only: it runs on machines with nothing else.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CUPS_SOCKET = "/run/cups/cups.sock"

CANCEL_JOB, GET_JOBS, GET_PRINTER_ATTRIBUTES, PURGE_JOBS = 0x0008, 0x000A, 0x000B, 0x0012
CANCEL_JOBS, CANCEL_MY_JOBS, CUPS_GET_PRINTERS = 0x0038, 0x0039, 0x4002

_OPERATION_GROUP, _END = 0x01, 0x03
_INTEGER, _BOOLEAN, _ENUM, _BEGIN_COLLECTION, _END_COLLECTION = 0x21, 0x22, 0x23, 0x34, 0x37
_NAME, _KEYWORD, _URI, _CHARSET, _LANGUAGE = 0x42, 0x44, 0x45, 0x47, 0x48
_TEXTS = range(0x41, 0x50)

Value = int | str | bytes
Group = dict[str, list[Value]]


class NoAnswer(Exception):
    """The print service or printer cannot be asked, or does not speak IPP."""


@dataclass(frozen=True)
class Answer:
    """What came back: the status code and each group of attributes with its tag."""

    status: int
    groups: list[tuple[int, Group]]

    @property
    def ok(self) -> bool:
        """Whether the operation was carried out."""
        return self.status < 0x0100

    def each(self, tag: int) -> Iterator[Group]:
        """The groups of one kind: 2 for jobs, 4 for printers."""
        return (group for found, group in self.groups if found == tag)


def keyword(name: str, *values: str) -> bytes:
    """An attribute of keywords."""
    return _attribute(_KEYWORD, name, [value.encode() for value in values])


def uri(name: str, value: str) -> bytes:
    """An attribute that holds an address."""
    return _attribute(_URI, name, [value.encode()])


def user(name: str) -> bytes:
    """Who asks."""
    return _attribute(_NAME, "requesting-user-name", [name.encode()])


def number(name: str, value: int) -> bytes:
    """An attribute that holds a whole number."""
    return _attribute(_INTEGER, name, [struct.pack(">i", value)])


def yes(name: str) -> bytes:
    """An attribute that is true."""
    return _attribute(_BOOLEAN, name, [b"\x01"])


def encode(operation: int, *attributes: bytes) -> bytes:
    """A whole request.

    >>> encode(GET_JOBS)[:8].hex()
    '0101000a00000001'
    """
    head = struct.pack(">BBHIB", 1, 1, operation, 1, _OPERATION_GROUP)
    charset = _attribute(_CHARSET, "attributes-charset", [b"utf-8"])
    language = _attribute(_LANGUAGE, "attributes-natural-language", [b"en"])
    return b"".join((head, charset, language, *attributes, bytes([_END])))


def decode(message: bytes) -> Answer:
    """Read an answer; what lies inside collections is left out. Raises NoAnswer for anything but IPP."""
    try:
        return _decode(message)
    except (struct.error, IndexError) as error:
        raise NoAnswer("the answer is not IPP") from error


def _attribute(tag: int, name: str, values: Sequence[bytes]) -> bytes:
    parts = []
    for position, value in enumerate(values):
        label = name.encode() if position == 0 else b""
        parts.append(struct.pack(">BH", tag, len(label)) + label + struct.pack(">H", len(value)) + value)
    return b"".join(parts)


def _decode(message: bytes) -> Answer:
    _, _, status, _ = struct.unpack_from(">BBHI", message)
    groups: list[tuple[int, Group]] = []
    values: list[Value] = []
    at, depth = 8, 0
    while message[at] != _END:
        tag = message[at]
        at += 1
        if tag < 0x10:
            groups.append((tag, {}))
            continue
        name, at = _field(message, at)
        raw, at = _field(message, at)
        if name and depth == 0:
            values = groups[-1][1].setdefault(name.decode(), [])
        if tag == _BEGIN_COLLECTION:
            depth += 1
        elif tag == _END_COLLECTION:
            depth -= 1
        elif depth == 0:
            values.append(_value(tag, raw))
    return Answer(status, groups)


def _field(message: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">H", message, at)
    end = at + 2 + length
    if end > len(message):
        raise IndexError(end)
    return message[at + 2 : end], end


def _value(tag: int, raw: bytes) -> Value:
    if tag in (_INTEGER, _ENUM):
        return int(struct.unpack(">i", raw)[0])
    if tag == _BOOLEAN:
        return raw[0]
    return raw.decode(errors="replace") if tag in _TEXTS else raw


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


class Cups:
    """This machine's print service, asked as root."""

    def __init__(self, path: str = CUPS_SOCKET, timeout: float = 20) -> None:
        self._path = path
        self._timeout = timeout

    def ask(self, operation: int, *attributes: bytes, resource: str = "/") -> Answer:
        """One operation. Raises NoAnswer."""
        connection = _SocketConnection(self._path, timeout=self._timeout)
        headers = {"Host": "localhost", "Authorization": "PeerCred root"}
        return _post(connection, resource, headers, encode(operation, *attributes))


class Printer:
    """A printer or copier on the network, by its IPP address."""

    def __init__(self, address: str, timeout: float = 20) -> None:
        self.address = address
        self._timeout = timeout

    def ask(self, operation: int, *attributes: bytes) -> Answer:
        """One operation on this printer. Raises NoAnswer."""
        parts = urllib.parse.urlsplit(self.address)
        host, port = parts.hostname or "", parts.port or 631
        connection: http.client.HTTPConnection
        if parts.scheme in ("ipps", "https"):
            # Copiers sign their own certificates; nothing secret is sent, only "forget your jobs".
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        body = encode(operation, uri("printer-uri", self.address), user("root"), *attributes)
        return _post(connection, parts.path or "/", {}, body)


def _post(connection: http.client.HTTPConnection, resource: str, headers: dict[str, str], body: bytes) -> Answer:
    try:
        connection.request("POST", resource, body, {"Content-Type": "application/ipp", **headers})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise NoAnswer(f"HTTP status {response.status}")
        return decode(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(type(error).__name__) from error
    finally:
        connection.close()
