"""Sends packets as a member would, through this machine's own rules, in a network of its own.

Runs on the machine, in a fresh network namespace (`unshare --net`), so that nobody's packets are touched. There are cards of the
same names, and the same rules; but what goes in and comes out of them is in our hands (`/dev/net/tun`).

In: {"rules": what nft lists, "cards": names, "uplink": the one that leads out, "own": the gateway's addresses in the tunnel,
"forward": whether the machine forwards now, by family, "from": a member's address, by family, "to": {what: [addresses]}}.
Out: {what: [[where a packet turned up: "out", "member", "gateway" or nothing, whether an answer came back]]}. Standard
library only.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CARD, PORT, SECONDS = "wg-members", 40003, 0.6


def run(*argv, said=None):
    subprocess.run(argv, input=said, capture_output=True, text=True, check=True)


def card(name):
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    run("ip", "link", "set", name, "up")
    return handle


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def packet(source, target, source_port, target_port, word):
    """A datagram from one address to another."""
    one, other = (socket.inet_pton(family(source), text) for text in (source, target))
    length = 8 + len(word)
    head = struct.pack("!HHH", source_port, target_port, length)
    if ":" in source:
        pseudo = one + other + struct.pack("!IHBB", length, 0, 0, 17)
        datagram = head + struct.pack("!H", checksum(pseudo + head + b"\0\0" + word)) + word
        return struct.pack("!IHBB", 6 << 28, length, 17, 64) + one + other + datagram
    pseudo = one + other + struct.pack("!BBH", 0, 17, length)
    datagram = head + struct.pack("!H", checksum(pseudo + head + b"\0\0" + word)) + word
    first = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0) + one + other
    return first[:10] + struct.pack("!H", checksum(first)) + first[12:] + datagram


def family(text):
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def who(data):
    """Source, its port, target and its port of a datagram."""
    six = data[0] >> 4 == 6
    size, begin, end = (16, 8, 40) if six else (4, 12, 20)
    of = socket.AF_INET6 if six else socket.AF_INET
    ports = struct.unpack("!HH", data[end : end + 4])
    return (socket.inet_ntop(of, data[begin : begin + size]), ports[0],
            socket.inet_ntop(of, data[begin + size : begin + 2 * size]), ports[1])  # fmt: skip


def arrived(places, word):
    """Where the word turns up, and with which packet; the first place that it does."""
    end = time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        for handle in select.select(list(places), [], [], left)[0]:
            with contextlib.suppress(BlockingIOError):
                data = os.read(handle, 65536)
                if word in data:
                    return places[handle], data
    return "", b""


def main():
    asked = json.load(sys.stdin)
    run("ip", "link", "set", "lo", "up")
    cards = {name: card(name) for name in {CARD, asked["uplink"], *asked["cards"]} - {"lo"}}
    for one in asked["own"]:
        run("ip", "address", "add", one, "dev", CARD, *(["nodad"] if ":" in one else []))
    outer = {False: "198.18.0.1", True: "fd00:5252::1"}
    for six, address in outer.items():
        with contextlib.suppress(subprocess.CalledProcessError):
            run(
                "ip",
                "address",
                "add",
                f"{address}/{64 if six else 24}",
                "dev",
                asked["uplink"],
                *(["nodad"] if six else []),
            )
            run("ip", "-6" if six else "-4", "route", "add", "default", "dev", asked["uplink"])
    settings = {"ipv4/ip_forward": asked["forward"]["4"], "ipv6/conf/all/forwarding": asked["forward"]["6"]}
    for name in ("all", "default", CARD, asked["uplink"]):
        settings[f"ipv4/conf/{name}/rp_filter"] = "0"
    for name, value in settings.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/net/{name}", "w") as file:
            file.write(value)
    run("nft", "-f", "-", said=asked["rules"])
    time.sleep(0.3)
    doors = [socket.socket(of, socket.SOCK_DGRAM) for of in (socket.AF_INET, socket.AF_INET6)]
    doors[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for door, address in zip(doors, ("0.0.0.0", "::"), strict=True):
        door.setblocking(False)
        door.bind((address, PORT))
    places = {cards[asked["uplink"]]: "out", cards[CARD]: "member", **{door.fileno(): "gateway" for door in doors}}
    places |= {handle: "out" for name, handle in cards.items() if name not in (CARD, asked["uplink"])}
    found = {}
    targets = {
        **asked["to"],
        "gateway": [str(ipaddress.ip_interface(one).ip) for one in asked["own"]] + list(outer.values()),
    }
    for what, addresses in targets.items():
        found[what] = []
        for number, target in enumerate(addresses):
            source = asked["from"].get("6" if ":" in target else "4")
            if source is None:
                continue
            word = f"rrcheck-{what}-{number}-".encode() + os.urandom(6).hex().encode()
            os.write(cards[CARD], packet(source, target, 40001, PORT, word))
            where, seen = arrived(places, word)
            back = False
            if where == "out":
                sender, sender_port, _, _ = who(seen)
                answer = b"answer-" + word
                os.write(cards[asked["uplink"]], packet(target, sender, PORT, sender_port, answer))
                back = arrived({cards[CARD]: "member"}, answer)[0] == "member"
            found[what].append([where, back])
    print(json.dumps(found))


main()
