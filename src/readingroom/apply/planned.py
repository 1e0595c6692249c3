"""What a run would do to each machine, as a closed schema: the plan.

Made from a dry run of either engine, the roles' own lists of what they manage and the compiled policy; so it says the
same whichever engine looked. Diffs of entries with `no_diff` are not in it. It must not know how it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from readingroom import __version__
from readingroom.apply.model import Act, ApplyResult, Change, Engine, MachineResult, Status
from readingroom.apply.serving import RoleList
from readingroom.controls import Catalogue
from readingroom.fleet import Machine, Site

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=253)]
_RESTART = re.compile(r"(?:Restart|Reload) (\S+\.(?:service|socket|timer|path))\b")
_NEW = re.compile(r"^@@ -0,0 \+", re.MULTILINE)


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PlannedChange(_Closed):
    """One thing that would be done."""

    act: Act = Field(description="What is done to the subject; `step` is anything without a name of its own.")
    subject: str = Field(description="A path, a unit or a service; empty for installations and steps.")
    packages: tuple[str, ...] = Field((), description="Packages that would be installed, with all they bring along.")
    what: str = Field(description="The change in words.")
    role: Name = Field(description="The role that would make it.")
    controls: tuple[Name, ...] = Field(description="The promises that it serves, of those made for this machine.")
    whole_role: bool = Field(description="It serves every promise of its role, and none in particular.")
    new: bool = Field(description="The subject is not there yet.")
    diff: str = Field(description="A unified diff, a few words, or nothing where there is nothing to show.")


class ForRole(_Closed):
    """Something in words that a role does or may do on the machine."""

    role: Name
    what: str


class PlannedWaiver(_Closed):
    """A promise that this machine need not keep in full, and until when."""

    id: str
    control: Name
    value: Any
    until: str


class MachinePlan(_Closed):
    """What would happen to one machine."""

    machine_class: Name = Field(alias="class")
    status: Status = Field(description="ok, or why there is no whole plan: failed, unreachable")
    message: str = Field(description="The outcome of looking, in words.")
    changes: tuple[PlannedChange, ...] = Field(description="In the order in which they would be made.")
    edits: tuple[ForRole, ...] = Field(description="Further files that the steps may change.")
    lost: tuple[ForRole, ...] = Field(
        description="What undo cannot give back, for the roles that would change something."
    )
    noticed: tuple[str, ...] = Field(description="What a person at the machine would notice; empty: nothing.")
    unsure: tuple[Name, ...] = Field(description="Roles that do not say what a person would notice.")
    waivers: tuple[PlannedWaiver, ...]
    notes: tuple[str, ...] = Field(description="What a person should look at, and no change.")


class Plan(_Closed):
    """A dry run of one site. `complete` is false when only some roles or machines were asked for."""

    plan: Literal[1] = 1
    site: Name
    policy_digest: str
    toolkit: str
    engine: Engine
    complete: bool
    machines: Mapping[Name, MachinePlan]

    @property
    def changes(self) -> int:
        """How many changes there are on all machines."""
        return sum(len(machine.changes) for machine in self.machines.values())

    def text(self) -> str:
        """The plan as JSON."""
        plain = self.model_dump(mode="json", by_alias=True)
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    made = Plan.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Reading Room plan"}


def planned(result: ApplyResult, site: Site, catalogue: Catalogue, *, complete: bool) -> Plan:
    """The plan behind a dry run (`harden(…, check=True)`) of `site`."""
    promised = json.loads((site.build / "expectations.json").read_text(encoding="utf-8"))
    lists: dict[str, RoleList] = {}
    for path in sorted((site.root / "roles").iterdir()):
        lists[path.name] = RoleList(path, catalogue)
    machines = {machine.name: machine for machine in site.machines}
    return Plan(
        site=site.name, policy_digest=promised["policy_digest"], toolkit=__version__, engine=result.engine,
        complete=complete,
        machines={
            name: _machine(found, machines[name], promised["machines"][name]["controls"], lists)
            for name, found in result.machines.items()
        },
    )  # fmt: skip


def _machine(
    found: MachineResult, machine: Machine, promised: Mapping[str, Any], lists: Mapping[str, RoleList]
) -> MachinePlan:
    made_here = {control for control, one in promised.items() if one["applies"]}
    changes = [_named(change) for change in found.changes if change.role]
    # what belongs to no role changes nothing by itself: that an earlier run was cut short, for one
    said = (*found.notes, *(change.what for change in found.changes if not change.role))
    roles = [lists[role] for role in dict.fromkeys(change.role for change in changes) if role in lists]
    waivers = [
        PlannedWaiver(id=one["waiver"]["id"], control=control, value=one["waiver"]["value"], until=one["waiver"]["until"])
        for control, one in promised.items()
        if one["waiver"] and one["applies"]
    ]  # fmt: skip
    return MachinePlan(
        **{"class": machine.machine_class}, status=found.status, message=found.message,
        changes=tuple(_planned(change, changes, lists, made_here) for change in changes),
        edits=_said(roles, "edits", "lines", "made"), lost=_said(roles, "data"),
        noticed=tuple(dict.fromkeys(words for role in roles for words in _noticed(role, changes))),
        unsure=tuple(role.name for role in roles if "noticed" not in role.manages),
        waivers=tuple(waivers), notes=tuple(dict.fromkeys(said)),
    )  # fmt: skip


def _said(roles: Sequence[RoleList], *keys: str) -> tuple[ForRole, ...]:
    entries = [(role, one) for role in roles for key in keys for one in role.manages.get(key) or ()]
    words = [(role, role.worked_out(str(one["path"] if isinstance(one, Mapping) else one))) for role, one in entries]
    # what is nothing but a machine's own answer would read as "anything"; the steps name it
    return tuple(ForRole(role=role.name, what=what) for role, what in words if what != "*")


def _named(change: Change) -> Change:
    """The change with what its own words say: a command that restarts a unit is known by its name alone."""
    restart = _RESTART.match(change.what)
    if restart and change.act in ("step", "restart"):
        return Change(change.role, change.what, change.detail, "restart", change.subject or restart[1])
    return change


def _planned(
    change: Change, all_of_them: Sequence[Change], lists: Mapping[str, RoleList], made_here: set[str]
) -> PlannedChange:
    role = lists.get(change.role)
    serves: frozenset[str] = role.serves(change, all_of_them) if role else frozenset()
    controls = (serves or (role.promises if role else frozenset())) & made_here
    entry = role.entry(change) if role else None
    hidden = bool(entry and entry.get("no_diff"))
    return PlannedChange(
        act=change.act, subject="" if change.act == "install" else change.subject,
        packages=tuple(change.subject.split("\n")) if change.act == "install" else (),
        what=change.what, role=change.role, controls=tuple(sorted(controls)), whole_role=not serves,
        new=_is_new(change), diff="content not shown" if hidden else "" if change.act == "install" else change.detail,
    )  # fmt: skip


def _is_new(change: Change) -> bool:
    """Whether the subject is not there yet, as far as the engines tell it."""
    if change.act == "directory":
        return "not there yet" in change.detail or '"state": "absent"' in change.detail
    # An announcement without a diff is Ansible's way with files in folders that are not there yet.
    return change.act == "write" and (not change.detail or _NEW.search(change.detail) is not None)


def _noticed(role: RoleList, changes: Sequence[Change]) -> Iterator[str]:
    for sign in role.manages.get("noticed") or ():
        if any(change.role == role.name and _shows(sign["change"], change) for change in changes):
            yield sign["says"]


def _shows(sign: str, change: Change) -> bool:
    return change.subject == sign or (change.act == "step" and sign in change.what)


def published(root: Path) -> Path:
    """Where the schema is published in the checkout at `root`."""
    return root / "src" / "readingroom" / "apply" / "plan.schema.json"
