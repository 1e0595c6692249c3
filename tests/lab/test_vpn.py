"""The tunnel on a live machine with Debian 13: what the wire shows with it, without it, and when it goes down in the middle.

The rest of the suite has it on Debian 12. Somebody listens at the library's router. Everything that is read there is invented.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from readingroom import toolkit
from readingroom.lab import Lab, consortium
from readingroom.sip2 import Message
from wiretap import wiretap

pytestmark = pytest.mark.lab
INSTANCE, MACHINE = "tunnel", "staff-2"
SYSTEM = consortium.LIBRARY_SYSTEM
ADDRESSES = [socket.inet_aton(SYSTEM), socket.inet_pton(socket.AF_INET6, consortium.LIBRARY_SYSTEM6)]
KEY = "/etc/wireguard/readingroom.key"


@dataclass(frozen=True)
class Desk:
    """A staff machine, and the checkout of the library it belongs to."""

    lab: Lab
    home: Path

    def readingroom(self, *words: str) -> str:
        """What a command says; it has to succeed."""
        environment = {**os.environ, "HOME": str(self.home), "READINGROOM_HOME": str(self.home), "COLUMNS": "160"}
        program = Path(sys.executable).with_name("readingroom")
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False, env=environment,
                              cwd=self.home, stdin=subprocess.DEVNULL)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def harden(self, engine: str) -> str:
        """Bring tunnel and firewall to the machine."""
        return self.readingroom("harden", "elm", "--engine", engine, "--role", "vpn", "--role", "firewall")

    def run(self, script: str, check: bool = True) -> str:
        """What a script on the machine says."""
        return self.lab.exec(MACHINE, ["bash", "-c", script], check=check, timeout=60).stdout.strip()

    def asks_for(self, barcode: str, address: str = SYSTEM) -> str:
        """Ask the library system for a patron, as a station does; what it answers, or nothing."""
        login = Message("93", "00", {"CN": "selfcheck-1", "CO": "long-enough-secret"}, 0).encode()
        ask = Message("63", "001" + " " * 28, {"AO": "LAB", "AA": barcode, "AD": barcode[-6:]}, 1).encode()
        lines = "; ".join(
            f"printf '{one.decode().rstrip()}\\r' >&3; IFS= read -r -d $'\\r' -t 3 said <&3" for one in (login, ask)
        )
        return self.run(f"timeout 8 bash -c \"exec 3<>/dev/tcp/{address}/{consortium.SIP_PORT} && {{ {lines}; echo \\$said; }}\""
                        .replace("$'\\r'", "\\$'\\r'"), check=False)  # fmt: skip

    def is_answered(self) -> bool:
        """Has the gateway answered since the tunnel came up?"""
        return self.run("wg show wg-library latest-handshakes | grep -v '\\b0$' | wc -l", check=False) == "1"

    def reachable(self) -> bool:
        """Does a new connection get in?"""
        argv = [
            "ssh",
            "-F",
            str(self.lab.ssh_config),
            "-o",
            "ControlPath=none",
            "-l",
            "operator",
            MACHINE,
            "sudo -n true",
        ]
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    lab = Lab(INSTANCE)
    lab.destroy()
    lab.up([MACHINE])
    home = tmp_path_factory.mktemp("library")
    for name in ("roles", "playbooks", "tests", "ansible.cfg"):
        (home / name).symlink_to(toolkit.root() / name)
    shutil.copytree(toolkit.root() / "policies", home / "policies")
    policy = (home / "policies" / "lab.yml").read_text()
    own = policy.replace('[10.89.0.12/32, "fd89::12/128"]', '[10.89.0.14/32, "fd89::14/128"]')
    assert own != policy
    (home / "policies" / "elm.yml").write_text(own)
    (home / "inventories" / "elm").mkdir(parents=True)
    (home / "inventories" / "elm" / "hosts.yml").write_text(f"staff:\n  hosts:\n    {MACHINE}: {{}}\n")
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "config").symlink_to(lab.ssh_config)
    yield Desk(lab, home)
    lab.destroy()


def eventually(look, otherwise: str, within: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end, otherwise
        time.sleep(0.2)


def barcode() -> str:
    return f"rrcheck{secrets.randbelow(10**10):010}"


def test_before_it_everybody_on_the_way_can_read_card_numbers_and_pins(desk: Desk) -> None:
    card = barcode()
    with wiretap(desk.lab) as heard:
        assert "|BLY|CQY|" in desk.asks_for(card)
    assert heard.holding(card) >= 2, "the wiretap hears nothing, so nothing could be proved with it"


def test_one_run_has_it_up_and_kept(desk: Desk) -> None:
    said = desk.harden("pyinfra")
    for promise in ("vpn.tunnel", "vpn.kill-switch", "vpn.keys", "vpn.visit-log"):
        line = next(line for line in said.splitlines() if promise in line)
        assert "→ kept" in line, said
    assert "wireguard-go" in said or "the work of the kernel" in said


def test_after_it_nobody_can(desk: Desk) -> None:
    eventually(desk.is_answered, "the gateway does not answer")
    card = barcode()
    with wiretap(desk.lab) as heard:
        assert "|BLY|CQY|" in desk.asks_for(card)
        assert "|BLY|CQY|" in desk.asks_for(card, consortium.LIBRARY_SYSTEM6)
    assert heard.holding(card) == 0
    assert heard.holding(*ADDRESSES) == 0, "a packet for the library's systems went past the tunnel"
    assert heard.frames, "nothing was heard at all"


def test_a_second_run_by_the_other_engine_finds_nothing_to_change(desk: Desk) -> None:
    assert "Nothing to change" in desk.harden("ansible")


def test_the_key_is_nowhere_but_on_the_machine(desk: Desk) -> None:
    key = desk.run(f"cat {KEY}")
    assert len(key) == 44
    for path in (desk.home / "build").rglob("*"):
        assert not path.is_file() or key not in path.read_text(errors="replace"), path.name
    assert key not in json.dumps(desk.readingroom("plan", "elm", "--role", "vpn"))


def test_a_connection_that_began_in_the_tunnel_ends_with_it(desk: Desk) -> None:
    word = barcode()
    talk = (
        f"exec 3<>/dev/tcp/{SYSTEM}/{consortium.SIP_PORT}; printf '9900302.00AY1AZFCA5\\r' >&3; read -r -d $'\\r' -t 3 said <&3;"
        f" systemctl stop readingroom-vpn.service; printf '{word}\\r' >&3; sleep 2.5"
    )
    with wiretap(desk.lab) as heard:
        desk.run(talk, check=False)
        assert "|BLY" not in desk.asks_for(barcode())
        assert "|BLY" not in desk.asks_for(barcode(), consortium.LIBRARY_SYSTEM6)
    assert heard.holding(word) == 0
    assert heard.holding(*ADDRESSES) == 0, "with the tunnel down, a packet left for the library's systems"
    assert desk.reachable()


def test_the_next_run_has_it_up_again(desk: Desk) -> None:
    assert "BROKEN → kept" in desk.harden("pyinfra")


def test_a_gateway_that_is_gone_locks_nobody_out(desk: Desk) -> None:
    """Neither while the machine starts, nor in a run, nor after it; and it comes back with the gateway."""
    cable = ["ip", "-n", desk.lab.places.consortium, "link", "set", "eth0"]
    subprocess.run([*cable, "down"], check=True)
    try:
        desk.lab.hard_kill(MACHINE)
        desk.lab.up([MACHINE])
        assert desk.reachable()
        assert desk.run("systemctl is-active readingroom-vpn.service", check=False) == "active"
        desk.run("sed -i s/25/26/ /etc/wireguard/wg-library.conf")
        said = subprocess.run(
            [Path(sys.executable).with_name("readingroom"), "harden", "elm", "--engine", "pyinfra", "--role", "vpn"],
            capture_output=True, text=True, check=False, cwd=desk.home, stdin=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(desk.home), "READINGROOM_HOME": str(desk.home), "COLUMNS": "160"},
        )  # fmt: skip
        assert said.returncode == 1, said.stdout
        assert "the gateway does not answer" in said.stdout
        assert desk.reachable()
    finally:
        subprocess.run([*cable, "up"], check=True)
        for route in (["default", "via", "10.66.0.254"], ["default", "via", "fd66::254"]):
            subprocess.run(["ip", "-n", desk.lab.places.consortium, "route", "replace", *route], check=False)
    eventually(desk.is_answered, "the gateway is back, and nobody noticed", within=40)
    assert "Nothing to change" in desk.harden("pyinfra")
