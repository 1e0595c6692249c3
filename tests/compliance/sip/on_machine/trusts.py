"""Tries this machine's own settings for SIP2 on library systems that are not the right one, in a network of its own.

Runs on the machine, in fresh network and mount namespaces (`unshare --net --mount`), so nobody else's connection is touched.
There a second copy of the machine's own tunnel meets a server at the library system's address. Whom the settings trust is one
file; a certificate of ours is put over it, so that the right one can be shown as well as wrong ones.

In: {"start": what systemd says of the unit's ExecStart, "host", "port", "local", "trust", "word", "client": the file with the
certificate that the machine shows, or none}. Out: {"right", "stranger", "other-name" or "other-key": bytes that arrived there}, or
{"problem": text}. Standard library only.
"""

import contextlib
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SECONDS = 3.0


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


class Certificates:
    """An authority of ours, and what it signed."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self._request("authority", "an authority", [])
        names = f"IP:{host}" if numeric(host) else f"DNS:{host}"
        self.signed("right", host, names)
        self.signed("other-key", host, names)
        self.signed("other-name", "elsewhere.invalid", "DNS:elsewhere.invalid")
        self._request("stranger", host, [names])

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def _request(self, name: str, subject: str, names: list[str]) -> None:
        more = [word for one in names for word in ("-addext", f"subjectAltName={one}")]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={subject}", "-keyout", self.path(name) + ".key", "-out", self.path(name), *more)  # fmt: skip

    def signed(self, name: str, subject: str, names: str) -> None:
        request, extension = self.path(name) + ".csr", self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={names}\nbasicConstraints=CA:false\n")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            f"/CN={subject}", "-keyout", self.path(name) + ".key", "-out", request)  # fmt: skip
        run("openssl", "x509", "-req", "-in", request, "-CA", self.path("authority"), "-CAkey", self.path("authority") + ".key",
            "-CAcreateserial", "-days", "2", "-extfile", str(extension), "-out", self.path(name))  # fmt: skip


def numeric(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def homes() -> list[str]:
    """This machine's addresses for itself."""
    six = Path("/proc/net/if_inet6")
    return ["127.0.0.1", *(["::1"] if six.is_file() and "0" * 31 + "1 " in six.read_text() else [])]


def serve(address: str, port: int, certificate: str, arrived: list[bytes], client: str) -> socket.socket:
    """A library system with this certificate, that keeps what it is sent; it talks to nobody who does not show `client`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate + ".key")
    if client != "none":
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(client)
    door = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

    def answer(caller: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(caller, server_side=True) as secure:
            secure.settimeout(SECONDS)
            while got := secure.recv(4096):
                arrived.append(got)

    def loop() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = door.accept()
                threading.Thread(target=answer, args=(caller,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return door


def sent(home: str, local: int, word: str, arrived: list[bytes]) -> int:
    """Speak to the tunnel once; how much of it arrived at the other end."""
    arrived.clear()
    line = f"9300CN{word}|CO{word}|\r".encode()
    end = time.monotonic() + SECONDS
    while True:
        try:
            station = socket.create_connection((home, local), 1)
            break
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(
                    print(json.dumps({"problem": "the tunnel does not start from its settings"}))
                ) from None
            time.sleep(0.05)
    with station:
        station.settimeout(1.5)
        with contextlib.suppress(OSError):
            station.sendall(line)
            end = time.monotonic() + 1.5
            while not arrived and time.monotonic() < end:
                station.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if not station.recv(1):
                        break
    return sum(map(len, arrived))


def main() -> None:
    asked = json.load(sys.stdin)
    start = re.search(r"argv\[\]=([^;]*) ;", asked["start"])
    settings = Path(start[1].split()[-1]) if start else Path("/nonexistent")
    if not start or not settings.is_file():
        print(json.dumps({"problem": "nothing would start the tunnel"}))
        return
    trusted = re.search(r"^CAfile *= *(\S+)", settings.read_text(), re.MULTILINE)
    host, port = asked["host"], asked["port"]
    address = host if numeric(host) else "198.18.0.1"
    with tempfile.TemporaryDirectory(dir="/run", prefix="rrcheck.") as name:
        folder = Path(name)
        certificates = Certificates(folder, host)
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo")
        if not numeric(host):
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {host}\n")
            run("mount", "--bind", str(folder / "hosts"), "/etc/hosts")
        if trusted:
            ours = "right" if asked["trust"] == "pinned" else "authority"
            run("mount", "--bind", certificates.path(ours), str(Path(trusted[1]).resolve()))
        said = {}
        for shown in ("right", "stranger", "other-key" if asked["trust"] == "pinned" else "other-name"):
            arrived: list[bytes] = []
            door = serve(address, port, certificates.path(shown), arrived, asked["client"])
            tunnel = subprocess.Popen(start[1].split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                # the settings say for each loopback address whom to trust
                told = [sent(home, asked["local"], asked["word"], arrived) for home in homes()]
                said[shown] = min(told) if shown == "right" else max(told)
            finally:
                tunnel.kill()
                tunnel.wait()
                with contextlib.suppress(OSError):
                    door.shutdown(socket.SHUT_RDWR)
                door.close()
        print(json.dumps(said))


main()
