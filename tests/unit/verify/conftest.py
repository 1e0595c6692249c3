"""A site without machines: its "machines" are shells on this computer, its checks are written by each test."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from readingroom.verify import Evidence, run

REPO = Path(__file__).resolve().parents[3]
HEAD = "from readingroom.verify import probe\nfrom readingroom.verify.api import control\n"


def expected(**changes: Any) -> dict[str, Any]:
    """One control's entry in expectations.json."""
    made = {
        "applies": True, "role": "print_queue_purge", "statement": "Jobs are deleted.", "key": "printing.jobs",
        "value": "1h", "seconds": 3600, "inputs": {"printing.copiers": []}, "waiver": None, "held": False,
    }  # fmt: skip
    return made | changes


@dataclass
class Site:
    """What verification needs of a site, in a temporary folder."""

    root: Path
    name: str = "springfield"
    shell: Sequence[str] = ("/bin/sh",)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def build(self) -> Path:
        return self.root / "build" / self.name

    @property
    def ssh_config(self) -> Path:
        return self.root / "ssh_config"

    @property
    def vantages(self) -> tuple[tuple[str, ...], ...]:
        return ((),)

    @property
    def log(self) -> str:
        """Everything that was logged locally, of all machines."""
        return "".join(path.read_text() for path in sorted(self.build.glob("verify/*.log")))

    def tests(self, text: str, name: str = "test_things.py") -> None:
        """Write a module of compliance tests."""
        (self.root / "tests" / "compliance" / name).write_text(HEAD + textwrap.dedent(text))

    def verify(self, promised: dict[str, dict[str, Any]] | None = None, **options: Any) -> Evidence:
        """Promise these to public-1 (or what `machines` says) and verify."""
        if promised is not None:
            keys = {"printing.jobs": {"value": "1h", "seconds": 3600}}
            self.machines = {"public-1": {"class": "public", "kind": "public", "controls": promised, "keys": keys}}
        compiled = {"site": self.name, "policy_digest": "sha256:0", "machines": self.machines}
        self.build.mkdir(parents=True, exist_ok=True)
        (self.build / "expectations.json").write_text(json.dumps(compiled))
        return run(self, start=lambda _site, _machine: self.shell, **options)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "tests" / "compliance"
    folder.mkdir(parents=True)
    (folder / "conftest.py").write_text((REPO / "tests" / "compliance" / "conftest.py").read_text())
    return Site(tmp_path)


@pytest.fixture
def promise() -> Callable[..., dict[str, Any]]:
    return expected
