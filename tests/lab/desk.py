"""One staff machine with Debian 13, and the checkout of the library it belongs to; the rest of the suite has it with Debian 12."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from readingroom import toolkit
from readingroom.lab import Lab

INSTANCE, MACHINE = "desk", "staff-2"


@dataclass(frozen=True)
class Desk:
    """A staff machine, and its library's checkout."""

    lab: Lab
    home: Path

    @classmethod
    def fresh(cls, home: Path) -> Desk:
        """Boot the machine as found, and write its library's policy: the lab's, with the machine's own addresses."""
        lab = Lab(INSTANCE)
        lab.destroy()
        lab.up([MACHINE])
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
        return cls(lab, home)

    def readingroom(self, *words: str, status: int = 0) -> str:
        """What a command says; it has to end with this status."""
        environment = {**os.environ, "HOME": str(self.home), "READINGROOM_HOME": str(self.home), "COLUMNS": "160"}
        program = Path(sys.executable).with_name("readingroom")
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False, env=environment,
                              cwd=self.home, stdin=subprocess.DEVNULL)  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def harden(self, engine: str, *roles: str, status: int = 0) -> str:
        """Bring these roles to the machine."""
        chosen = [word for role in roles for word in ("--role", role)]
        return self.readingroom("harden", "elm", "--engine", engine, *chosen, status=status)

    def run(self, script: str, check: bool = True) -> str:
        """What a script on the machine says."""
        return self.lab.exec(MACHINE, ["bash", "-c", script], check=check, timeout=60).stdout.strip()

    def policy(self, old: str, new: str) -> None:
        """Change the library's policy."""
        file = self.home / "policies" / "elm.yml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def reachable(self) -> bool:
        """Does a new connection get in?"""
        way = ["ssh", "-F", str(self.lab.ssh_config), "-o", "ControlPath=none", "-l", "operator", MACHINE]
        return subprocess.run([*way, "sudo -n true"], capture_output=True, check=False, timeout=30).returncode == 0


def eventually(look: Callable[[], object], otherwise: str, within: float = 20.0) -> None:
    """Wait for it."""
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end, otherwise
        time.sleep(0.2)


def barcode() -> str:
    """A card's number that nobody has; its last six digits are the PIN."""
    return f"rrcheck{secrets.randbelow(10**10):010}"
