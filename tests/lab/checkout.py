"""Machines as found, and a checkout of somebody's own: our files, their inventory and policy, and what is typed there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from readingroom import toolkit
from readingroom.lab import Lab, network

Ran = subprocess.CompletedProcess[str]


@contextmanager
def fresh_lab(name: str, machines: Sequence[str] | None = None) -> Iterator[Lab]:
    """Machines as found (the lab's usual ones, unless some are named), thrown away in the end; skips where no lab can run.

    Each of the processes that test side by side (`pytest -n`) has a lab of its own by that name.
    """
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    lab = Lab(f"{name}-{worker}" if worker else name)
    lab.destroy()
    try:
        lab.up(machines)
        yield lab
    finally:
        lab.destroy()


@dataclass
class Checkout:
    """Machines of the lab, and the checkout of those who look after them; its one site is called elm."""

    lab: Lab
    home: Path

    def furnish(self, hosts: Mapping[str, str]) -> None:
        """Put everything there: `hosts` are machines with their class; the policy is the lab's until somebody changes it."""
        for name in ("roles", "playbooks", "tests", "ansible.cfg"):
            (self.home / name).symlink_to(toolkit.root() / name)
        shutil.copytree(toolkit.root() / "policies", self.home / "policies")
        shutil.copy(self.home / "policies" / "lab.yml", self.policy_file)
        groups: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
        for machine, kind in hosts.items():
            groups.setdefault(kind, {"hosts": {}})["hosts"][machine] = {}
        inventory = self.home / "inventories" / "elm" / "hosts.yml"
        inventory.parent.mkdir(parents=True)
        inventory.write_text(yaml.safe_dump(groups))
        (self.home / ".ssh").mkdir(mode=0o700)
        (self.home / ".ssh" / "config").symlink_to(self.lab.ssh_config)

    @property
    def policy_file(self) -> Path:
        """The policy of the site."""
        return self.home / "policies" / "elm.yml"

    def types(self, *words: str) -> Ran:
        """Somebody types `readingroom …` there, and this comes of it."""
        environment = {
            **os.environ, "HOME": str(self.home), "READINGROOM_HOME": str(self.home),
            "READINGROOM_LAB": self.lab.places.instance, "COLUMNS": "160",
        }  # fmt: skip
        program = Path(sys.executable).with_name("readingroom")
        return subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, env=environment, cwd=self.home,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def readingroom(self, *words: str, status: int | None = 0) -> str:
        """What a command says; it has to end with this status, unless that is None."""
        done = self.types(*words)
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, machine: str, script: str, check: bool = True) -> str:
        """What a script on a machine says."""
        return self.lab.exec(machine, ["bash", "-c", script], check=check, timeout=60).stdout.strip()


def uplink(lab: Lab, state: str) -> None:
    """Plug the consortium in (`up`) or out (`down`); it keeps its addresses meanwhile."""
    space = lab.places.consortium
    keep = "echo 1 >/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down"
    subprocess.run(["nsenter", f"--net={network.NAMESPACES / space}", "sh", "-c", keep], check=False)
    subprocess.run(["ip", "-n", space, "link", "set", "eth0", state], check=True)
    for route in (["default", "via", network.ROUTER], ["default", "via", network.ROUTER6]) if state == "up" else ():
        subprocess.run(["ip", "-n", space, "route", "replace", *route], check=False)


def eventually(look: Callable[[], object], otherwise: str, within: float = 20.0) -> None:
    """Wait for it."""
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end, otherwise
        time.sleep(0.2)
