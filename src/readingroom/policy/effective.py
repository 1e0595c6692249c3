"""The layers of one library merged into what each class and each machine must keep, with each layer's say.

The order is: what silence means, presets (a starting point), the library's own value, consortium baselines (a
floor), the library's further classes, single machines, waivers. Baselines combine by strictness, so their order
does not matter. This module must not know files or roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..controls import Catalogue, Key, Kind
from ..controls.durations import Duration
from ..controls.values import Conflict, show
from ..errors import Place, Problems, did_you_mean
from .layer import CLASSES, EVERYWHERE, Layer, Section, Setting, Waiver


@dataclass(frozen=True, slots=True)
class Say:
    """What one layer said of a key, and what came of it."""

    layer: str
    place: Place | None
    value: Any
    outcome: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The value of a key, and how it came about."""

    value: Any
    says: tuple[Say, ...]
    waiver: Waiver | None = None


@dataclass(frozen=True)
class Holder:
    """A class or a machine with the value of every key."""

    name: str
    machine_class: str
    kind: Kind
    values: Mapping[str, Resolved]


@dataclass(frozen=True)
class Policy:
    """A library's whole policy, merged."""

    own: Layer
    layers: tuple[Layer, ...]
    classes: Mapping[str, Holder]
    machines: Mapping[str, Holder]
    waivers: tuple[Waiver, ...]


def merge(
    own: Layer, extended: Sequence[Layer], catalogue: Catalogue, machines: Mapping[str, str], problems: Problems
) -> Policy:
    """Merge `own` with the layers it extends, for `machines` (name → class). Faults go to `problems`."""
    merger = _Merger(own, extended, catalogue, problems)
    classes = merger.classes(machines)
    return merger.policy(classes, machines)


class _Merger:
    def __init__(self, own: Layer, extended: Sequence[Layer], catalogue: Catalogue, problems: Problems) -> None:
        self._own, self._catalogue, self._problems = own, catalogue, problems
        self._presets = [layer for layer in extended if layer.kind == "preset"]
        self._floors = [layer for layer in extended if layer.kind == "baseline"]
        self._extended = tuple(extended)

    def classes(self, machines: Mapping[str, str]) -> dict[str, Holder]:
        """The kinds of machine, then the library's own classes, which may only tighten the kind they are like.

        A kind that not every library has is left out where no file and no machine speaks of it.
        """
        spoken = {name for layer in (self._own, *self._extended) for name in layer.classes} | set(machines.values())
        spoken |= {section.like for section in self._own.classes.values() if section.like is not None}
        holders: dict[str, Holder] = {
            kind: self._kind(kind) for kind in CLASSES if kind in EVERYWHERE or kind in spoken
        }
        for name, section in self._own.classes.items():
            if section.like is not None:
                base = holders[section.like]
                holders[name] = self._tightened(base, section, name, name)
        return holders

    def policy(self, classes: Mapping[str, Holder], machines: Mapping[str, str]) -> Policy:
        self._check_names(classes, machines)
        waivers = self._own.waivers + tuple(
            waiver
            for layer in self._floors
            for waiver in layer.waivers
            if waiver.library == self._own.library.get("name")
        )
        held = {name: self._machine(name, classes[cls], waivers) for name, cls in machines.items() if cls in classes}
        return Policy(self._own, (self._own, *self._extended), classes, held, waivers)

    # one kind -----------------------------------------------------------------------------------------------------

    def _kind(self, kind: Kind) -> Holder:
        values = {name: self._base(kind, key) for name, key in self._catalogue.keys.items()}
        return Holder(kind, kind, kind, values)

    def _base(self, kind: Kind, key: Key) -> Resolved:
        says: list[Say] = []
        value = key.silent
        starts = [(layer, setting) for layer in self._presets if (setting := _of(layer, kind, key))]
        if starts:
            value = self._combined(key, [setting for _, setting in starts])
            says += [
                Say(f"preset {layer.name}", setting.place, setting.value, "starting point") for layer, setting in starts
            ]
        floors = self._floor_settings(kind, key)
        floor = self._combined(key, [setting for _, setting in floors]) if floors else None
        says += [Say(f"baseline {layer.name}", setting.place, setting.value, "floor") for layer, setting in floors]
        own = _of(self._own, kind, key)
        if own is not None:
            value = own.value
            says.append(Say(self._own.name, own.place, own.value, "the library's own"))
            if floors and key.type.looser(own.value, floor):
                self._too_loose(key, own, floor, floors)
        elif floors:
            value = _tighter(key, value, floor) if key.type.ordered else floor
        if not says:
            says.append(Say("silence", None, value, "nobody set it, so the private value holds"))
        self._check_minimum(key, value, own.place if own else says[-1].place)
        return Resolved(value, tuple(says))

    def _floor_settings(self, kind: Kind, key: Key) -> list[tuple[Layer, Setting]]:
        return [(layer, setting) for layer in self._floors if (setting := _of(layer, kind, key))]

    def _combined(self, key: Key, settings: Sequence[Setting]) -> Any:
        if not key.type.ordered:
            return settings[-1].value
        try:
            return reduce(key.type.combine, (setting.value for setting in settings))
        except Conflict as conflict:
            places = [(setting.place.short, show(setting.value)) for setting in settings]
            self._problems.add(
                settings[-1].place,
                f"{key.key} is pinned to different values: {conflict}",
                "pinned-twice",
                facts=places,
                mend="let the owners of these files agree",
            )
            return settings[0].value

    def _too_loose(self, key: Key, own: Setting, floor: Any, floors: Iterable[tuple[Layer, Setting]]) -> None:
        owners = ", ".join(f"{layer.name} ({setting.place.short})" for layer, setting in floors)
        control = self._catalogue.owners[key.key].id
        self._problems.add(
            own.place,
            f"{key.key} is looser than its floor",
            "looser-than-floor",
            facts=[("you asked for", show(own.value)), ("the floor is", f"{show(floor)}, set by {owners}")],
            mend=f"{key.type.within(floor)}, or ask the consortium for a signed waiver of {control}",
        )

    # narrower layers ----------------------------------------------------------------------------------------------

    def _tightened(self, base: Holder, section: Section, name: str, machine_class: str) -> Holder:
        values = dict(base.values)
        for key_name, setting in section.settings.items():
            key = self._catalogue.keys[key_name]
            before = base.values[key_name]
            if key.type.looser(setting.value, before.value):
                control = self._catalogue.owners[key_name]
                # a waiver gives one value of a promise, and none of what belongs to it
                leave = (
                    f"add a waiver of {control.id} for the machine"
                    if control.key == key_name
                    else f"let {base.name} have it, and its other machines be a stricter class of their own"
                )
                self._problems.add(
                    setting.place,
                    f"{key_name} is looser than the library's own policy",
                    "looser-than-policy",
                    facts=[("you asked for", show(setting.value)), (f"{base.name} has", show(before.value))],
                    mend=f"{key.type.within(before.value)}, or {leave}",
                )
                continue
            self._check_minimum(key, setting.value, setting.place)
            say = Say(name, setting.place, setting.value, "tightens it" if key.type.ordered else "says it anew")
            values[key_name] = Resolved(setting.value, (*before.says, say))
        return Holder(name, machine_class, base.kind, values)

    def _machine(self, name: str, base: Holder, waivers: Sequence[Waiver]) -> Holder:
        section = self._own.machines.get(name)
        holder = self._tightened(base, section, name, base.machine_class) if section else base
        values = dict(holder.values)
        for waiver in waivers:
            if name in waiver.machines:
                self._waive(waiver, base.kind, values)
        return Holder(name, base.machine_class, base.kind, values)

    def _waive(self, waiver: Waiver, kind: Kind, values: dict[str, Resolved]) -> None:
        control = self._catalogue.controls[waiver.control]
        before = values[control.key]
        if not control.type.looser(waiver.value, before.value):
            self._problems.add(
                waiver.place,
                f"the waiver {waiver.id} gives nothing",
                "waiver-needless",
                facts=[("the promise is", show(before.value)), ("the waiver asks", show(waiver.value))],
                mend="delete the waiver",
            )
            return
        floors = self._floor_settings(kind, control)
        if waiver.library is None and floors:
            floor = self._combined(control, [setting for _, setting in floors])
            if control.type.looser(waiver.value, floor):
                names = ", ".join(layer.name for layer, _ in floors)
                self._problems.add(
                    waiver.place,
                    f"the waiver {waiver.id} goes below a consortium's floor",
                    "waiver-not-signed",
                    facts=[("the floor is", f"{show(floor)}, set by {names}")],
                    mend="only the consortium can waive it, in its own signed baseline",
                )
                return
        say = Say(f"waiver {waiver.id}", waiver.place, waiver.value, f"waived until {waiver.until}")
        values[control.key] = Resolved(waiver.value, (*before.says, say), waiver)

    # checks -------------------------------------------------------------------------------------------------------

    def _check_minimum(self, key: Key, value: Any, place: Place | None) -> None:
        minimum = self._own.minimum.get(key.key)
        if minimum is None or not isinstance(value, Duration) or value >= minimum.value:
            return
        self._problems.add(
            place or minimum.place,
            f"{key.key} is shorter than the law allows",
            "below-legal-minimum",
            facts=[("it would be", show(value)), ("the minimum is", f"{minimum.value} ({minimum.place.short})")],
            mend=f"set {key.key} to {minimum.value} or longer, or correct legal.minimum",
        )

    def _check_names(self, classes: Mapping[str, Holder], machines: Mapping[str, str]) -> None:
        for name, section in self._own.machines.items():
            if machines and name not in machines:
                self._problems.add(
                    section.place,
                    f"the machine {name} is not in the inventory",
                    "no-such-machine",
                    mend=did_you_mean(name, machines),
                )
        for waiver in self._own.waivers:
            for name in waiver.machines if machines else ():
                if name not in machines:
                    self._problems.add(
                        waiver.place,
                        f"the waiver {waiver.id} names the machine {name}, which is not in the inventory",
                        "no-such-machine",
                        mend=did_you_mean(name, machines),
                    )
        for name in sorted(set(machines.values()) - set(classes)):
            self._problems.add(
                self._own.place,
                f"the inventory has machines of the class {name}, which the policy does not know",
                "no-such-class",
                mend=f"add `{name}: {{like: public}}` to the policy",
            )


def _of(layer: Layer, kind: Kind, key: Key) -> Setting | None:
    if key.scope == "library":
        return layer.everywhere.get(key.key)
    section = layer.classes.get(kind)
    return section.settings.get(key.key) if section else None


def _tighter(key: Key, one: Any, other: Any) -> Any:
    try:
        return key.type.combine(one, other)
    except Conflict:
        return other
