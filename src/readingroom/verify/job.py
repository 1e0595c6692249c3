"""What the runner and the worker of one machine say to each other: a job, and the outcomes that come back.

Plain JSON over pipes. Words in an outcome have passed the privacy filter already. Must not know how either side works.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Vantage(_Message):
    """A command that runs a Python program elsewhere on a machine's network; `ours` where our connections come from."""

    argv: tuple[str, ...]
    ours: bool = False


class Job(_Message):
    """One machine's checks: what was promised, which controls to test, and how to get a root shell there."""

    machine: str
    start: tuple[str, ...]
    ssh_config: Path
    vantages: tuple[Vantage, ...] = ()
    expectations: dict[str, Any]
    controls: tuple[str, ...]
    tests_dir: Path
    files: tuple[Path, ...]
    log: Path
    shuffle: int | None = None
    test_seconds: int = 120


class Reached(_Message):
    """The machine answered as root; `os` is its own name for its system."""

    event: Literal["reached"] = "reached"
    os: str


class Lost(_Message):
    """The machine did not answer, or stopped answering; nothing more will be tested there."""

    event: Literal["lost"] = "lost"
    reason: str


Result = Literal["passed", "failed", "unsupported", "not-tested", "not-applicable"]


class Outcome(_Message):
    """One test ended. `words` is what was seen (passed, failed), or else why it was not to be seen."""

    event: Literal["outcome"] = "outcome"
    control: str
    order: int
    result: Result
    words: str
    seconds: float


class Done(_Message):
    """Every selected test has ended."""

    event: Literal["done"] = "done"


Report = Annotated[Reached | Lost | Outcome | Done, Field(discriminator="event")]
REPORT: TypeAdapter[Report] = TypeAdapter(Report)
