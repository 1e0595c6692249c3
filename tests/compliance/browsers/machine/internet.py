"""A small internet that records: web sites over http and https, a resolver, and what a browser sends anywhere else.

The sites answer any name that the play knows; every question to the resolver, every request and every packet that
would leave the machine is noted with its time. Must not know browsers.
"""

from __future__ import annotations

import base64
import http.server
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ground
import pages

DNS_MESSAGE = "application/dns-message"
# A busy site: Firefox loses patience with an encrypted one after 3 seconds, unless it is told to have more.
SLOW_SECONDS = 5


@dataclass
class Record:
    """Everything that was seen, in order; `wait` sleeps until something is there."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    packets: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, where: list[dict[str, Any]], **what: Any) -> None:
        with self.changed:
            where.append({**what, "at": round(time.monotonic() - self.began, 2)})
            self.changed.notify_all()

    def wait(self, seen: Callable[[], Any], within: float) -> Any:
        """What `seen` gives once it is true, or its last answer when the time is over."""
        with self.changed:
            return self.changed.wait_for(seen, within)

    def asked(self, path: str, **wanted: str) -> list[dict[str, Any]]:
        """The requests for a path."""
        return [
            one
            for one in list(self.requests)
            if one["path"] == path and all(one[key] == value for key, value in wanted.items())
        ]

    def plain(self) -> dict[str, Any]:
        """As data."""
        with self.changed:
            return json.loads(json.dumps({k: getattr(self, k) for k in ("requests", "questions", "packets")}))


class Internet:
    """`secure` names answer over both http and https, `insecure` ones over http alone; other names do not exist."""

    def __init__(self, folder: Path, secure: list[str], insecure: list[str], base: str, doh: str) -> None:
        self.record = Record()
        self.folder = folder
        self.addresses = dict.fromkeys(secure, ground.SITE) | dict.fromkeys(insecure, ground.PLAIN)
        self.base = base
        self.names = pages.names(base)
        self.doh = doh
        self.after: dict[str, str] = {}
        self._certify(secure)

    def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "site.pem", self.folder / "site.key")
        context.set_alpn_protocols(["http/1.1"])
        for address, port, how in (
            (ground.SITE, 80, None), (ground.SITE, 443, context), (ground.PLAIN, 80, None),
        ):  # fmt: skip
            self._serve(address, port, how)
        questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        questions.bind((ground.RESOLVER, 53))
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.bind(("wire0", 0))
        for target, args in ((self._answer, (questions,)), (self._listen, (wire,))):
            threading.Thread(target=target, args=args, daemon=True).start()

    # the certificate --------------------------------------------------------------------------------------------------

    def _certify(self, names: list[str]) -> None:
        """An authority made on the spot, trusted only by the browsers of this play, and a certificate of it."""
        (self.folder / "names").write_text(
            "[v3]\nsubjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\nextendedKeyUsage=serverAuth\n"
        )
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for command in (
            ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Reading Room check",
             "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign"],
            ["req", *key, "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=Reading Room check site"],
            ["x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
             "-extfile", "names", "-extensions", "v3", "-out", "site.pem"],
        ):  # fmt: skip
            subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True)

    def authority(self) -> str:
        """The authority's certificate, base64 of DER."""
        return "".join((self.folder / "ca.pem").read_text().split("\n")[1:-2])

    def key_digest(self) -> str:
        """The SHA-256 of the site's public key, as Chromium takes it."""
        out = subprocess.run(
            ["openssl", "x509", "-in", self.folder / "site.pem", "-pubkey", "-noout"], check=True, capture_output=True
        ).stdout
        der = base64.b64decode("".join(out.decode().split("\n")[1:-2]))
        import hashlib

        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    # the resolver -----------------------------------------------------------------------------------------------------

    def _answer(self, line: socket.socket) -> None:
        while True:
            message, asker = line.recvfrom(4096)
            line.sendto(self.resolve(message, "resolver"), asker)

    def resolve(self, message: bytes, way: str) -> bytes:
        """Answer a DNS message and note the question."""
        labels, place = [], 12
        while size := message[place]:
            labels.append(message[place + 1 : place + 1 + size].decode("ascii", "replace").lower())
            place += size + 1
        name = ".".join(labels)
        (kind,) = struct.unpack(">H", message[place + 1 : place + 3])
        question = message[12 : place + 5]
        self.record.note(self.record.questions, name=name, kind=kind, way=way)
        address = self.addresses.get(name)
        answers = b""
        if address and kind == 1:
            answers = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)
        status = 0 if address else 3
        return message[:2] + struct.pack(">HHHHH", 0x8180 | status, 1, bool(answers), 0, 0) + question + answers

    # what would leave the machine -------------------------------------------------------------------------------------

    def _listen(self, wire: socket.socket) -> None:
        """Note each connection that is begun and each datagram; nobody answers them."""
        while True:
            frame = wire.recv(2048)
            kind, packet = frame[12:14], frame[14:]
            if kind == b"\x08\x00":
                protocol, to, rest = packet[9], socket.inet_ntoa(packet[16:20]), packet[(packet[0] & 15) * 4 :]
            elif kind == b"\x86\xdd":
                protocol, to, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
            else:
                continue
            if protocol == 17 or (protocol == 6 and rest[13] & 0x12 == 2):
                port = struct.unpack(">H", rest[2:4])[0]
                self.record.note(self.record.packets, to=to, port=port, how="udp" if protocol == 17 else "tcp")

    # the sites --------------------------------------------------------------------------------------------------------

    def _serve(self, address: str, port: int, context: ssl.SSLContext | None) -> None:
        server = _Server((address, port), _Handler)
        server.internet = self  # type: ignore[attr-defined]
        server.scheme = "https" if context else "http"  # type: ignore[attr-defined]
        if context:
            # The handshake happens in the thread of the connection, so that no browser waits for another.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(socketserver.ThreadingTCPServer):
    """Without the standard library's look-up of its own name, which would be among the questions."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # a browser that was killed, or that does not trust us

    def do_GET(self) -> None:
        self._reply("")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, server = self.path.split("?")[0], self.server.internet  # type: ignore[attr-defined]
        if path == server.doh and self.headers.get("Content-Type") == DNS_MESSAGE:
            self._send(server.resolve(body, "https"), DNS_MESSAGE)
        else:
            self._reply(body.decode("utf-8", "replace"))

    def _reply(self, body: str) -> None:
        internet: Internet = self.server.internet  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        if path == internet.doh and query.startswith("dns="):
            word = urllib.parse.unquote(query[4:])
            message = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
            self._send(internet.resolve(message, "https"), DNS_MESSAGE)
            return
        host = (self.headers.get("Host") or "").split(":")[0]
        headers = {name: self.headers.get(name) for name in ("Cookie", "Sec-GPC", "Referer", "User-Agent")}
        internet.record.note(
            internet.record.requests, host=host, scheme=self.server.scheme, method=self.command,  # type: ignore[attr-defined]
            path=path, query=query, body=body[:20000], **headers,
        )  # fmt: skip
        if path == "/slow" and self.server.scheme == "https":  # type: ignore[attr-defined]
            internet.record.wait(lambda: internet.record.asked("/slow", scheme="http"), SLOW_SECONDS)
        if path == "/second":
            # A tracker cannot know somebody again before it has seen them once.
            internet.record.wait(lambda: internet.record.asked("/report"), 15)
        page = pages.page(path, internet.base, internet.after.get(host + path, ""))
        self._send(page.body, page.kind, page.headers)

    def _send(self, body: bytes, kind: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(200)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
