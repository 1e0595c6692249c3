"""How far a rollout came, in `build/<site>/rollout.json`, so that it can go on where it stopped.

It holds for one policy and one version of the toolkit: with another, every machine is to be proved anew.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from .. import __version__
from ..verify.evidence import replace


class Record(BaseModel):
    """Machines that were hardened and proved to keep `policy_digest`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy_digest: str
    toolkit: str = __version__
    proved: tuple[str, ...] = ()

    def with_proved(self, machines: tuple[str, ...]) -> Record:
        """The record with more machines."""
        return self.model_copy(update={"proved": tuple(sorted({*self.proved, *machines}))})

    def without(self, machines: tuple[str, ...]) -> Record:
        """The record without machines that are about to be changed."""
        return self.model_copy(update={"proved": tuple(name for name in self.proved if name not in machines)})

    def write(self, build: Path) -> None:
        """Write it whole or not at all."""
        replace(build / "rollout.json", self.model_dump_json(indent=1) + "\n")


def read_record(build: Path, policy_digest: str) -> Record | None:
    """The record of the last rollout, if it is of this policy and this toolkit."""
    try:
        found = Record.model_validate_json((build / "rollout.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return found if (found.policy_digest, found.toolkit) == (policy_digest, __version__) else None
