"""What was seen, as a closed schema: the evidence file. No patron data, no names of people, no addresses.

Machine names are in it: it stays in the library, where somebody has to find the machine. Must not know how machines
are asked, nor how evidence is shown.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Verdict = Literal["kept", "broken", "waived", "unsupported", "not-tested", "not-applicable"]
VERDICTS: tuple[Verdict, ...] = ("kept", "broken", "waived", "unsupported", "not-tested", "not-applicable")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=253)]
Words = Annotated[str, Field(max_length=2000)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ControlEvidence(_Closed):
    """One promise on one machine."""

    verdict: Verdict = Field(description="kept, broken, waived, unsupported, not-tested or not-applicable")
    statement: Words = Field(description="The promise in plain words, as the policy makes it.")
    role: Name = Field(description="The role that keeps it.")
    observed: Words = Field("", description="What the checks saw: counts and settings, in plain words.")
    reason: Words | None = Field(
        None,
        description="Why it is not plainly kept: a waiver, also an expired one; what no setting can keep; what could not be told.",
    )
    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="When this was judged, UTC.")

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.verdict not in ("kept", "broken") and not self.reason:
            raise ValueError(f"{self.verdict} needs a reason")
        if self.verdict == "kept" and self.reason:
            raise ValueError("kept needs no reason; what is kept only by an exception is waived")
        return self


class MachineEvidence(_Closed):
    """Every promise of one machine."""

    machine_class: Name = Field(
        alias="class", description="The machine's class: public, staff, gateway or the library's own."
    )
    os: Words | None = Field(description="The machine's own name for its system; null when it did not answer.")
    unreachable: Words | None = Field(None, description="Why the machine could not be asked, or not to the end.")
    controls: Mapping[Name, ControlEvidence]


class Evidence(_Closed):
    """One verification of one site. `complete` is false when only some controls or machines were asked for."""

    site: Name
    policy_digest: str
    toolkit: str = Field(description="Version of the toolkit that looked.")
    complete: bool = True
    machines: Mapping[Name, MachineEvidence]

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Machines that could not be asked, or not to the end."""
        return tuple(name for name, machine in self.machines.items() if machine.unreachable)

    def verdicts(self) -> Iterator[tuple[str, str, ControlEvidence]]:
        """Every machine, control and what was found, in the file's order."""
        for name, machine in self.machines.items():
            for control, found in machine.controls.items():
                yield name, control, found

    @property
    def counts(self) -> Counter[Verdict]:
        """How many promises have each verdict; only what is plainly kept is counted as kept."""
        return Counter(found.verdict for _, _, found in self.verdicts())

    def write(self, path: Path) -> None:
        """Write `evidence.json` whole or not at all."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=False)
        replace(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; raises pydantic's `ValidationError` for anything else."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))

    def junit(self, path: Path) -> None:
        """Write the same as JUnit XML; see `readingroom.verify.junit` for what is in it."""
        from .junit import junit_xml

        replace(path, junit_xml(self))


def schema() -> dict[str, Any]:
    """The JSON Schema of `evidence.json`."""
    made = Evidence.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Reading Room evidence"}


def replace(path: Path, text: str) -> None:
    """Put `text` at `path` in one step: a reader sees the old file or the new one, also when the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
