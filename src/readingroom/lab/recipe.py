"""Reads images.yml: what an image is made of, which machines there are, and the digest that names an image.

Must not know how an image is built or a machine started.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .errors import LabError
from .places import IMAGES

HERE = Path(__file__).parent
SEED = HERE / "seed"
# The programs that put an image together count as part of what it is made of.
BUILDERS = ("customize-image", "repository.py")


@dataclass(frozen=True)
class Network:
    """One of the library's own networks: how its addresses begin, and the router's own in it."""

    four: str
    six: str

    def address(self, host: int) -> str:
        return f"{self.four}.{host}"

    def address6(self, host: int) -> str:
        return f"{self.six}::{host}"

    @property
    def router(self) -> str:
        return self.address(254)

    @property
    def router6(self) -> str:
        return self.address6(254)


# The room, where patrons and staff sit, and the back office, where equipment stands that they use from there.
NETWORKS = {"room": Network("10.77.0", "fd77"), "back": Network("10.78.0", "fd78")}


@dataclass(frozen=True)
class Machine:
    """A machine of the lab: what it is called, what it runs, what it is for, and its addresses."""

    name: str
    suite: str
    machine_class: str
    host: int
    network: str = "room"

    @property
    def address(self) -> str:
        return NETWORKS[self.network].address(self.host)

    @property
    def address6(self) -> str:
        return NETWORKS[self.network].address6(self.host)


@dataclass(frozen=True)
class Image:
    """An image of one Debian release, named after the digest of everything that goes into it."""

    suite: str
    title: str
    packages: tuple[str, ...]
    offline_packages: tuple[str, ...]
    masked_units: tuple[str, ...]
    digest: str

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.digest}"

    @property
    def path(self) -> Path:
        return IMAGES / self.name

    @property
    def log(self) -> Path:
        """What was said when it was built; the file's time is when the image was last asked for."""
        return IMAGES / f"{self.name}.log"

    def touch(self) -> None:
        """Note that the image was asked for now."""
        if self.log.exists():
            os.utime(self.log)


@dataclass(frozen=True)
class Recipe:
    """All of images.yml."""

    images: dict[str, Image]
    machines: dict[str, Machine]
    start: tuple[str, ...]

    def machine(self, name: str) -> Machine:
        """Return the machine of this name, or say which names there are."""
        if name not in self.machines:
            raise LabError(f"there is no lab machine called '{name}'", f"choose one of: {', '.join(self.machines)}")
        return self.machines[name]


def files_digest(here: Path = HERE) -> str:
    """Digest over the names and contents of the files that make a machine 'as found'."""
    total = hashlib.sha256()
    for path in sorted([*(p for p in (here / "seed").rglob("*") if p.is_file()), *(here / p for p in BUILDERS)]):
        total.update(f"{path.relative_to(here)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def parse(data: dict[str, Any], files: str) -> Recipe:
    """Turn the contents of images.yml into a recipe; `files` is the digest of the files that go into images."""
    images = {}
    for suite, own in data["suites"].items():
        parts: dict[str, Any] = {
            "suite": suite,
            "packages": sorted({*data["packages"], *own["packages"]}),
            "offline_packages": sorted(data["offline_packages"]),
            "masked_units": sorted(data["masked_units"]),
        }
        text = json.dumps([files, parts], sort_keys=True)
        images[suite] = Image(
            suite=suite,
            title=own["title"],
            packages=tuple(parts["packages"]),
            offline_packages=tuple(parts["offline_packages"]),
            masked_units=tuple(parts["masked_units"]),
            digest=hashlib.sha256(text.encode()).hexdigest()[:12],
        )
    machines = {
        name: Machine(name, of["suite"], of["class"], of["host"], of.get("network", "room"))
        for name, of in data["machines"].items()
    }
    return Recipe(images, machines, tuple(data["start"]))


@cache
def load() -> Recipe:
    """Read the recipe that ships with this package."""
    return parse(yaml.safe_load((HERE / "images.yml").read_text()), files_digest())
