"""Where the lab keeps things and what it calls them on the host.

State that must survive a restart of the host lives under STATE; what a restart wipes anyway lives under RUN.
Must not know what is done with any of these places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

STATE = Path("/var/lib/readingroom-lab")
RUN = Path("/run/readingroom-lab")
IMAGES = STATE / "images"
DEBS = STATE / "debs"
# Where machines keep what they write when the file system of STATE cannot carry an overlay.
MEMORY = Path("/dev/shm/readingroom-lab")  # noqa: S108 (nothing in it is trusted by name: root owns it)

_INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,15}")


@dataclass(frozen=True)
class Places:
    """Everything one lab instance owns, by place and by name."""

    instance: str

    def __post_init__(self) -> None:
        if not _INSTANCE.fullmatch(self.instance):
            raise LabError(
                f"'{self.instance}' cannot be the name of a lab",
                "set READINGROOM_LAB to 1 to 16 small letters, digits and dashes, beginning with a letter",
            )

    @property
    def state(self) -> Path:
        return STATE / "instances" / self.instance

    @property
    def run(self) -> Path:
        return RUN / self.instance

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def ssh_config(self) -> Path:
        return self.run / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.run / "known_hosts"

    @property
    def control(self) -> Path:
        """Directory of ssh's control sockets; short, since a socket's path may have 107 bytes at most."""
        return self.run / "c"

    @property
    def lock(self) -> Path:
        return RUN / f"{self.instance}.lock"

    @property
    def switch(self) -> str:
        """Name of the network namespace that holds this instance's bridge."""
        return f"rr.{self.instance}"

    @property
    def visitor(self) -> str:
        """Name of the network namespace of somebody else on the same network: addresses, and no machine."""
        return f"rr.{self.instance}..visitor"

    @property
    def consortium(self) -> str:
        """Name of the network namespace beyond the library's router."""
        return f"rr.{self.instance}..consortium"

    def label(self, machine: str) -> str:
        """The one name of a machine on the host: its network namespace, its cgroup, its nspawn name."""
        return f"rr.{self.instance}.{machine}"

    def machine_state(self, machine: str) -> Path:
        return self.state / "machines" / machine

    def machine_run(self, machine: str) -> Path:
        return self.run / "machines" / machine
