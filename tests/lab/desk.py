"""One staff machine with Debian 13, and its library's checkout; the rest of the suite has such a machine with Debian 12."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from checkout import Checkout
from readingroom.lab import Lab

INSTANCE, MACHINE = "desk", "staff-2"


@dataclass
class Desk(Checkout):
    """A staff machine, and its library's checkout."""

    @classmethod
    def fresh(cls, home: Path) -> Desk:
        """Boot the machine as found, and give it addresses of its own in the tunnel."""
        lab = Lab(INSTANCE)
        lab.destroy()
        lab.up([MACHINE])
        desk = cls(lab, home)
        desk.furnish({MACHINE: "staff"})
        desk.policy('[10.89.0.12/32, "fd89::12/128"]', '[10.89.0.14/32, "fd89::14/128"]')
        return desk

    def harden(self, engine: str, *roles: str, status: int = 0) -> str:
        """Bring these roles to the machine."""
        chosen = [word for role in roles for word in ("--role", role)]
        return self.readingroom("harden", "elm", "--engine", engine, *chosen, status=status)

    def says(self, script: str, check: bool = True) -> str:
        """What a script on the machine says."""
        return self.run(MACHINE, script, check)

    def policy(self, old: str, new: str) -> None:
        """Change the library's policy."""
        assert old in self.policy_file.read_text()
        self.policy_file.write_text(self.policy_file.read_text().replace(old, new))

    def reachable(self) -> bool:
        """Does a new connection get in?"""
        way = ["ssh", "-F", str(self.lab.ssh_config), "-o", "ControlPath=none", "-l", "operator", MACHINE]
        return subprocess.run([*way, "sudo -n true"], capture_output=True, check=False, timeout=30).returncode == 0


def barcode() -> str:
    """A card's number that nobody has; its last six digits are the PIN."""
    return f"rrcheck{secrets.randbelow(10**10):010}"
