"""Do cards and PINs cross the network readable, does the right library system alone get them, is the old port closed?

A station's words are spoken with canaries in place of a card, a PIN and a login, and the machine's own cards are looked at. A real
library system is asked for nobody: it gets a login that it does not know. Wrong library systems exist only in a network of
the check's own, where a second copy of the tunnel meets them.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from readingroom.sip2 import Message
from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from readingroom.verify.wire import Place, Wire, off_internet, somewhere

UNIT = "readingroom-sip.service"
ON_MACHINE = Path(__file__).parent / "on_machine"


def on_machine(host: Host, program: str, asked: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Run one of the programs for machines and read its answer."""
    text = (ON_MACHINE / f"{program}.py").read_text(encoding="utf-8")
    argv = f"{before} python3 -IBS -c {shlex.quote(text)}"
    found: dict[str, Any] = json.loads(probe.run(host, f"printf %s {shlex.quote(json.dumps(asked))} | {argv}"))
    return found


@pytest.fixture
def server(promise: Promise) -> tuple[str, int]:
    """Host and port of the library system; without one the test ends here."""
    said: str = promise.expects("sip.server")
    if said == "none":
        promise.not_applicable("the policy names no library system that this machine speaks SIP2 with")
    host_name, _, port = said.rpartition(":")
    return host_name.strip("[]"), int(port)


def local_port(promise: Promise) -> int:
    """Where stations speak to this machine."""
    return int(promise.expects("sip.local_port").partition("/")[2])


@control("sip.transport")
def test_cards_and_pins_cross_the_network_encrypted(host: Host, promise: Promise, server: tuple[str, int]) -> None:
    if promise.value == "plain":
        promise.observed(NOTHING)
        return
    card, pin, login = (probe.canary() for _ in range(3))
    lines = [
        Message("93", "00", {"CN": login, "CO": login}, 0),
        Message("63", "001" + " " * 28, {"AO": "", "AA": card, "AD": pin}, 1),
    ]
    asked = {
        "port": local_port(promise), "lines": [one.encode().decode() for one in lines], "words": [card, pin, login],
        "server": server[1],
    }  # fmt: skip
    seen = on_machine(host, "carries", asked)
    assert seen["readable"] == 0, (
        f"{seen['readable']} packets that left the machine held a card, a PIN or a login in clear"
    )
    assert host.run(f"systemctl is-enabled {UNIT}").stdout.strip() == "enabled", (
        "the tunnel does not come up with the machine"
    )
    assert not seen["nobody"], "no tunnel is there for stations to speak to"
    if seen["silent"]:
        promise.not_tested(
            "the library system does not answer through the tunnel, so it cannot be seen how a station's words travel"
        )
    assert seen["secured"], "a station was answered, and nothing went to the library system encrypted"
    promise.observed(
        f"a login, a card and a PIN of ours went to the library system in {seen['secured']} encrypted pieces, none of them "
        "readable, and it answered"
    )


WRONG = {
    "stranger": "somebody with a certificate that he signed himself",
    "other-name": "somebody with a good certificate for another name",
    "other-key": "somebody with another good certificate for the same name",
}


@control("sip.trust")
def test_nobody_but_the_library_system_gets_a_byte(host: Host, promise: Promise, server: tuple[str, int]) -> None:
    if promise.value == "any" or promise.expects("sip.transport") == "plain":
        promise.observed(NOTHING)
        return
    start = probe.run(host, f"systemctl show -p ExecStart --value {UNIT}").strip()
    assert start, "there is no tunnel that could ask for a certificate"
    asked = {
        "start": start, "host": server[0], "port": server[1], "local": local_port(promise), "trust": promise.value,
        "word": probe.canary(), "client": promise.expects("sip.client_certificate"),
    }  # fmt: skip
    seen = on_machine(host, "trusts", asked, "unshare --net --mount --propagation private")
    assert "problem" not in seen, seen["problem"]
    for who, words in WRONG.items():
        assert not seen.get(who), f"{words} got {seen[who]} bytes of a station's words"
    asks = "" if asked["client"] == "none" else ", which asks for this machine's own certificate"
    assert seen["right"], f"not even the right library system{asks} gets a station's words"
    promise.observed(
        f"{len(seen) - 1} wrong library systems got not one byte of a station's words; the right one got them"
    )


def library_system(host: Host, promise: Promise, *, six: bool) -> list[str]:
    """The library system's own addresses of one family, where the policy names it: the likeliest exception."""
    name = promise.expects("sip.server").rpartition(":")[0].strip("[]")
    said = host.run(f"getent ahosts {shlex.quote(name)}").stdout if name else ""
    return sorted({line.split()[0] for line in said.splitlines() if (":" in line.split()[0]) == six})


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
@control("sip.plain")
def test_sip_in_clear_does_not_leave(host: Host, promise: Promise, wire: Wire, six: bool) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    ports = [int(one.partition("/")[2]) for one in promise.expects("sip.plain_ports") if one.startswith("tcp/")]
    if not ports:
        promise.not_applicable("the policy names no port of SIP2 in clear")
    family = "IPv6" if six else "IPv4"
    to = [somewhere(six=six), *library_system(host, promise, six=six)]
    places = [Place("tcp", address, port) for address in to for port in ports]
    departed = wire.departs([Place("tcp", off_internet(six=six), 443), *places])
    probe.none_left(promise, departed, "connections to ports of SIP2 in clear", family)
