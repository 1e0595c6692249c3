"""Does a name that is looked up stay with whom it is meant for? Names are looked up, and the network card is the witness.

Whether a false resolver is believed is tried in a network of its own, with a second copy of the resolver as the machine starts it.
Evidence holds counts, never a name or an address.
"""

from __future__ import annotations

import json
import shlex

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import FRAMES, Place, Wire, off_internet, somewhere

FAMILIES = pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])

# Looks a name up as every program does, while all cards are watched.
_WATCHED = r"""
import json, socket, struct, subprocess, sys, time
name, resolvers, local = json.load(sys.stdin)
card = watching(OUTGOING)
asking = subprocess.Popen(["getent", "ahosts", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
word = name.partition(".")[0].lower().encode()
seen = {"readable": 0, "clear": 0, "encrypted": 0, "elsewhere": 0}
end = None
last = time.monotonic() + 12
while time.monotonic() < (end or last):
    if end is None and asking.poll() is not None:
        end = time.monotonic() + 0.5
    try:
        frame, (device, kind, direction, *_) = card.recvfrom(65535)
    except BlockingIOError:
        time.sleep(0.01)
        continue
    if device == "lo" or direction != 4:
        continue
    seen["readable"] += word in frame.lower()
    if kind == 0x0800:
        begin, number, to = (frame[0] & 15) * 4, frame[9], socket.inet_ntop(socket.AF_INET, frame[16:20])
    elif kind == 0x86DD:
        begin, number, to = 40, frame[6], socket.inet_ntop(socket.AF_INET6, frame[24:40])
    else:
        continue
    if number not in (6, 17):
        continue
    port = struct.unpack("!H", frame[begin + 2:begin + 4])[0]
    seen["clear"] += port == 53 and to not in local
    seen["encrypted"] += port == 853 and number == 6 and to in resolvers
    seen["elsewhere"] += port == 853 and to not in resolvers
asking.kill()
print(json.dumps(seen))
"""

# In a network without a way out: somebody has the resolvers' addresses, and answers over TLS with a certificate of his own making,
# and in the clear. A second copy of the resolver is started as the machine starts it. Who hears of the name, and is believed?
_FALSE = r"""
import json, os, socket, ssl, struct, subprocess, sys, threading, time
resolvers, argv, folder = json.load(sys.stdin)
def run(*words):
    return subprocess.run(words, capture_output=True).returncode == 0
run("ip", "link", "set", "lo", "up")
for one in resolvers:
    if not run("ip", "address", "add", one, "dev", "lo", *(["nodad"] if ":" in one else [])):
        sys.exit(print(json.dumps({"untried": True})))
name = "rrcheck.invalid"
if not run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
           "-keyout", folder + "/key", "-out", folder + "/certificate"):
    sys.exit(print(json.dumps({"untried": True})))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/certificate", folder + "/key")
heard = {"tls": 0, "clear": 0, "knocked": 0}
def reply(query):
    end = query.index(b"\0", 12) + 5
    kind = query[end - 4:end - 2]
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1" if kind == b"\0\1" else b""
    return query[:2] + b"\x81\x80\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0" + query[12:end] + answer
def serve(one):
    heard["knocked"] += 1
    try:
        with context.wrap_socket(one, server_side=True) as way:
            while size := way.recv(2):
                query = way.recv(struct.unpack("!H", size)[0])
                heard["tls"] += 1
                said = reply(query)
                way.sendall(struct.pack("!H", len(said)) + said)
    except (OSError, ValueError):
        pass
def doors(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    door = socket.create_server((address, 853), family=family)
    clear = socket.create_server((address, 53), family=family)
    plain = socket.socket(family, socket.SOCK_DGRAM)
    plain.bind((address, 53))
    def tls():
        while True:
            threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
    def tcp():
        while True:
            clear.accept()
            heard["clear"] += 1
    def udp():
        while True:
            query, who = plain.recvfrom(4096)
            heard["clear"] += 1
            plain.sendto(reply(query), who)
    for one in (tls, tcp, udp):
        threading.Thread(target=one, daemon=True).start()
for one in resolvers:
    doors(one)
copy = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                        env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"})
query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7rrcheck\7example\0\0\1\0\1"
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.5)
said = None
end = time.monotonic() + 8
while said is None and time.monotonic() < end:
    try:
        asker.sendto(query, ("127.0.0.1", 53))
        said = asker.recv(4096)
    except OSError:
        time.sleep(0.1)
copy.terminate()
copy.wait()
print(json.dumps({"believed": bool(said and said[3] & 15 == 0 and said[7]), "answered": said is not None, **heard}))
"""


def addresses(promise: Promise) -> list[str]:
    """The policy's resolvers."""
    return [one.partition("#")[0] for one in promise.expects("dns.resolvers")]


def local(promise: Promise) -> list[str]:
    """The resolvers of the library's own domains."""
    return [address for one in promise.expects("dns.local_domains") for address in one["resolvers"]]


def ask(host: Host, program: str, *asked: object) -> dict[str, int]:
    """Run a program on the machine."""
    way = f"printf %s {shlex.quote(json.dumps(asked))} | python3 -IBS -c {shlex.quote(program)}"
    found: dict[str, int] = json.loads(probe.run(host, way))
    return found


@control("dns.transport")
def test_a_name_leaves_the_machine_encrypted_only(host: Host, promise: Promise) -> None:
    if promise.value == "plain":
        promise.observed(NOTHING)
        return
    seen = ask(host, FRAMES + _WATCHED, f"{probe.canary()}.example", addresses(promise), local(promise))
    assert not seen["readable"], (
        f"{seen['readable']} packets held a name that was looked up, readable by everybody on the way"
    )
    assert not seen["clear"], f"{seen['clear']} packets left for the port of lookups in the clear"
    assert not seen["elsewhere"], "names were asked of a resolver that the policy does not name"
    assert seen["encrypted"], "a name was looked up, and the policy's resolvers were not asked over TLS"
    promise.observed("a name was looked up: it went to the policy's resolver over TLS, and no packet held it")


@control("dns.transport")
def test_a_false_resolver_is_not_believed(host: Host, promise: Promise) -> None:
    if promise.value == "plain":
        return
    said = probe.run(host, "systemctl show -p ExecStart --value unbound.service")
    _, _, rest = said.partition("argv[]=")
    assert rest, "no resolver of this machine's own is there to encrypt"
    argv = [one for one in shlex.split(rest.partition(" ;")[0]) if not one.startswith("$")]
    with probe.folder(host) as folder:
        asked = shlex.quote(json.dumps([addresses(promise), argv, folder]))
        way = f"printf %s {asked} | unshare --net --mount python3 -IBS -c {shlex.quote(_FALSE)}"
        found = json.loads(probe.run(host, way))
    if "untried" in found:
        promise.not_tested("a network with a false resolver could not be made")
    assert not found["clear"], "when the resolver cannot be trusted or reached, names are asked in the clear"
    if promise.value == "opportunistic":
        assert found["believed"], "encrypted names are not looked up without a checked certificate"
        promise.observed("tried in a network of its own: names go encrypted to whoever answers, and never in the clear")
        return
    assert not found["tls"] + found["believed"], (
        "a resolver with a certificate of its own making is asked, and believed"
    )
    if not found["knocked"]:
        promise.not_tested("the copy of the resolver did not ask anybody, so nothing is proved")
    promise.observed(
        "tried in a network of its own: a false resolver was turned away, and heard no name over TLS or in the clear"
    )


@control("dns.query-log")
def test_a_name_that_was_looked_up_is_written_nowhere(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    words = [probe.canary() for _ in range(2)]
    for word, end in zip(words, ("example", "invalid"), strict=True):
        host.run(f"timeout 15 getent ahosts {word}.{end}")
    probe.run(host, "journalctl --sync 2>/dev/null || true")
    found = 0
    for word in words:
        found += int(probe.run(host, f"journalctl -q --since -5min -o cat | grep -cF {word} || true"))
        found += probe.files_with(host, word, "/var/log", "/var/lib/unbound", "/var/cache", "/etc/unbound")
    assert found == 0, f"{found} places hold a name that was just looked up"
    promise.observed(
        f"{len(words)} names looked up, one that is there and one that is not: no log and no file holds them"
    )


@FAMILIES
@control("dns.other-resolvers")
def test_no_other_resolver_can_be_asked(promise: Promise, wire: Wire, six: bool) -> None:
    name = "IPv6" if six else "IPv4"
    if promise.value == "reachable":
        promise.observed(NOTHING)
        return
    strangers = [Place(protocol, somewhere(six=six), port) for protocol in ("tcp", "udp") for port in (53, 853)]
    departed = wire.departs([_allowed(promise, six=six), *strangers])
    probe.none_left(promise, departed, "questions to a stranger's resolver, in the clear and over TLS,", name)


def _allowed(promise: Promise, *, six: bool) -> Place:
    """Something that may leave, to see that anything does."""
    own = [one for one in addresses(promise) if (":" in one) == six]
    if promise.expects("dns.transport") != "plain" and own:
        return Place("tcp", own[0], 853)
    return Place("tcp", off_internet(six=six), 443)
