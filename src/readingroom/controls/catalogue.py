"""All controls of a checkout, loaded and checked against what is there.

A control whose role, variable, sentence or check does not exist is refused here, and so is a role variable that
nothing reads. This module must not know policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..document import Item, read
from ..errors import Place, Problems, Refused, did_you_mean
from .checks import bound_controls
from .durations import Unfit
from .model import Control, Key, role_of
from .notices import Notices, load_notices
from .values import ChoiceType, SwitchType

CONTROLS = Path("policies", "controls")
COMPLIANCE = Path("tests", "compliance")


@dataclass(frozen=True)
class Catalogue:
    """Every control by its id, in a stable order, and what patrons read about them."""

    controls: Mapping[str, Control]
    notices: Notices

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """Every policy key."""
        return {key.key: key for control in self.controls.values() for key in control.keys}

    @cached_property
    def owners(self) -> Mapping[str, Control]:
        """The control that each policy key belongs to."""
        return {key.key: control for control in self.controls.values() for key in control.keys}

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The roles that keep these controls, by name."""
        return tuple(sorted({control.role for control in self.controls.values()}))

    def of_role(self, role: str) -> Iterator[Control]:
        """The controls that `role` keeps."""
        return (control for control in self.controls.values() if control.role == role)


def load(root: Path, *, linked: bool = True) -> Catalogue:
    """The controls of the checkout at `root`; raises `Refused` with everything wrong in them.

    With `linked`, each must also have its role, its variables and its check.
    """
    problems = Problems()
    controls: dict[str, Control] = {}
    places: dict[str, Item] = {}
    for path in sorted((root / CONTROLS).glob("*/*.yml")):
        try:
            item = read(path, str(path.relative_to(root)))
            control = _control(path, item)
        except Refused as refused:
            problems.found.extend(refused.problems)
            continue
        controls[control.id], places[control.id] = control, item
    checked = bound_controls(root / COMPLIANCE) if linked else {}
    folders = sorted((root / "roles").glob("*")) if linked else []
    texts = {role.name: _role_text(role) for role in folders if role.is_dir()}
    owners: dict[str, str] = {}
    for name, control in controls.items():
        _check_sentences(control, places[name], problems)
        if linked:
            _check_links(control, places[name], texts, checked, problems)
        for key in control.keys:
            if owners.setdefault(key.key, name) != name:
                _refuse(problems, places[name], "key", f"{key.key} already belongs to {owners[key.key]}", "two-owners")
    notices = load_notices(root, [name for name, control in controls.items() if control.worded], problems)
    problems.refuse_if_any()
    return Catalogue(controls, notices)


def _control(path: Path, item: Item) -> Control:
    written: Any = item.plain()
    if not isinstance(written, dict):
        written = {}
    try:
        control = Control.model_validate({**written, "id": path.stem, "role": written.get("role", path.parent.name)})
        keys = _with_silent(control, item)
    except ValidationError as error:
        problems = Problems()
        for fault in error.errors():
            place = _place_of(item, fault["loc"])
            where = ".".join(map(str, fault["loc"]))
            problems.add(place, f"{where}: {fault['msg'].lower()}", "bad-control")
        raise Refused(problems.found) from None
    return keys


def _with_silent(control: Control, item: Item) -> Control:
    """The control with each key's `silent` value read by the key's own type."""
    entries = item.entries or {}
    problems = Problems()

    def parsed(key: Key, written: Item | None) -> Any:
        if written is None:
            problems.add(item.place, f"{key.key} does not say what silence means", "no-silent-value")
            return None
        try:
            return key.type.parse(written)
        except Unfit as unfit:
            problems.add(written.place, unfit.message, unfit.code, mend=unfit.mend)
            return None

    further = entries["inputs"].items or () if "inputs" in entries else ()
    inputs = tuple(
        key.model_copy(update={"silent": parsed(key, (part.entries or {}).get("silent"))})
        for key, part in zip(control.inputs, further, strict=True)
    )
    own = parsed(control, entries.get("silent"))
    problems.refuse_if_any()
    return control.model_copy(update={"silent": own, "inputs": inputs})


def _check_links(
    control: Control, item: Item, texts: Mapping[str, str], checked: Mapping[str, Path], problems: Problems
) -> None:
    if control.role not in texts:
        mend = did_you_mean(control.role, texts)
        _refuse(problems, item, "role", f"the role {control.role} does not exist", "no-such-role", mend)
    for key in control.keys:
        further = [control.worded] if key is control and control.worded else []
        for variable in (*key.sets, *further):
            owner = role_of(variable, texts)
            if owner is None or variable not in texts[owner]:
                _refuse(
                    problems,
                    item,
                    "sets",
                    f"no role reads {variable}",
                    "dead-variable",
                    "use it in the role, or drop it",
                )
    if control.id not in checked:
        mend = f"bind a test to it: @control({control.id!r}) in tests/compliance/"
        _refuse(problems, item, "title", f"nothing checks {control.id}", "no-such-check", mend)


def _check_sentences(control: Control, item: Item, problems: Problems) -> None:
    if isinstance(control.type, ChoiceType | SwitchType) and not isinstance(control.statement, str):
        words = {"on", "off"} if isinstance(control.type, SwitchType) else set(control.type.options)
        for word in sorted(words ^ set(control.statement)):
            said = "has no sentence" if word in words else "is not a value"
            _refuse(problems, item, "statement", f"{word} {said}", "bad-statement")


def _refuse(problems: Problems, item: Item, at: str, message: str, code: str, mend: str = "") -> None:
    place = (item.entries or {}).get(at, item).place
    problems.add(place, message, code, mend=mend)


def _role_text(role: Path) -> str:
    """Everything in a role that could read a variable, except the generated argument spec."""
    files = (path for part in ("tasks", "templates", "handlers", "vars") for path in sorted((role / part).rglob("*")))
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())


def _place_of(item: Item, loc: tuple[int | str, ...]) -> Place:
    for step in loc:
        if item.entries is not None and str(step) in item.entries:
            item = item.entries[str(step)]
        elif item.items is not None and isinstance(step, int) and step < len(item.items):
            item = item.items[step]
        else:
            break
    return item.place
