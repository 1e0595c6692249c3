"""One machine of a library, as found, and the library's checkout: a staff machine with Debian 13, unless a test wants another."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from checkout import Checkout, fresh_lab
from readingroom.lab import recipe
from readingroom.lab.consortium.tunnel import member_addresses
from readingroom.lab.recipe import Machine

MACHINE = "staff-2"


@dataclass
class Desk(Checkout):
    """A machine, and its library's checkout."""

    machine: str = MACHINE

    @classmethod
    @contextmanager
    def fresh(cls, home: Path, machine: str = MACHINE) -> Iterator[Desk]:
        """The machine as found, with addresses of its own in the tunnel."""
        with fresh_lab("desk", [machine]) as lab:
            desk = cls(lab, home, machine)
            known = recipe.load().machines
            desk.furnish({machine: known[machine].machine_class})
            for other in known.values():
                desk.policy_file.write_text(
                    desk.policy_file.read_text().replace(_in_tunnel(other), _in_tunnel(known[machine]))
                )
            yield desk

    def harden(self, engine: str, *roles: str, status: int = 0) -> str:
        """Bring these roles to the machine."""
        chosen = [word for role in roles for word in ("--role", role)]
        return self.readingroom("harden", "elm", "--engine", engine, *chosen, status=status)

    def says(self, script: str, check: bool = True) -> str:
        """What a script on the machine says."""
        return self.run(self.machine, script, check)

    def policy(self, old: str, new: str) -> None:
        """Change the library's policy."""
        assert old in self.policy_file.read_text()
        self.policy_file.write_text(self.policy_file.read_text().replace(old, new))

    def reachable(self) -> bool:
        """Does a new connection get in?"""
        way = ["ssh", "-F", str(self.lab.ssh_config), "-o", "ControlPath=none", "-l", "operator", self.machine]
        return subprocess.run([*way, "sudo -n true"], capture_output=True, check=False, timeout=30).returncode == 0


def _in_tunnel(machine: Machine) -> str:
    return '[{}, "{}"]'.format(*member_addresses(machine))


def barcode() -> str:
    """A card's number that nobody has; its last six digits are the PIN."""
    return f"rrcheck{secrets.randbelow(10**10):010}"
