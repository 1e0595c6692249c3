"""What the purge was told to do: the settings file, read once, and the ages that follow from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOREVER = -1


@dataclass(frozen=True)
class Settings:
    """The policy's words and numbers for this machine. Durations are seconds; 0 keeps nothing, -1 keeps for ever.

    `interval` is the time between two runs, `grain` how finely the age of undated lines is known.
    """

    keep: int
    network: int
    interval: int
    grain: int
    journal: str
    text: str
    logins: str
    copies: str
    accounting: bool
    mail: str
    root: Path = Path("/")

    @property
    def limit(self) -> int | None:
        """At what age a record must go *now*, so that it is gone at `keep` even if the next run is a whole interval away.

        A line may wait `grain` and one interval until its age is known, and one more interval until the next run.

        >>> Settings(86400, 0, 1800, 1800, "", "", "", "", False, "").limit
        81000
        """
        if self.keep == FOREVER:
            return None
        return max(0, self.keep - self.grain - 2 * self.interval)

    @property
    def network_limit(self) -> int | None:
        """The same for a network address, counted from the end of its lease (which is written in the lease)."""
        if self.network == FOREVER:
            return None
        return max(0, self.network - 2 * self.interval)

    def path(self, absolute: str) -> Path:
        """A path of the machine, below `root` when a test gave another one."""
        return self.root / absolute.lstrip("/")


def load(path: Path, root: Path) -> Settings:
    """Read the settings file. Raises ValueError, in plain words, when it is not what the role writes."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Settings(**values, root=root)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}; run the role log_retention again to write it anew") from None
