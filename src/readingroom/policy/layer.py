"""One policy file as a layer: the values it sets, each with its place, before any merging.

A file says what it is with its first key: `policy: 1` (a library's own), `preset: 1` (a starting point) or
`baseline: 1` (a consortium's floor). This module must not know how layers are merged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..controls import Catalogue, Kind
from ..controls.durations import Duration, Unfit, parse_duration
from ..document import Item, read
from ..errors import Place, Problem, Problems, did_you_mean

LayerKind = Literal["policy", "preset", "baseline"]
KINDS: tuple[LayerKind, ...] = ("policy", "preset", "baseline")
CLASSES: tuple[Kind, ...] = ("public", "staff", "gateway")
# Every library has these; the others are there where somebody speaks of them.
EVERYWHERE: tuple[Kind, ...] = ("public", "staff")
COMMON = frozenset({"name", "version", "extends", "waivers", "legal"})
OWN = frozenset({"library", "approved", "machines"})
LONGEST_WAIVER = dt.timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a layer gives to a key."""

    value: Any
    place: Place
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """What a layer says for one class or one machine."""

    place: Place
    settings: Mapping[str, Setting]
    like: Kind | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """Leave to be looser than a promise: on named machines, down to one value, until a day."""

    id: str
    control: str
    machines: tuple[str, ...]
    value: Any
    reason: str
    owner: str
    approved_by: str
    until: dt.date
    library: str | None
    place: Place


@dataclass(frozen=True)
class Layer:
    """A policy file, read and checked by itself."""

    kind: LayerKind
    name: str
    path: Path
    place: Place
    extends: tuple[tuple[str, Place], ...] = ()
    classes: Mapping[str, Section] = field(default_factory=dict)
    machines: Mapping[str, Section] = field(default_factory=dict)
    everywhere: Mapping[str, Setting] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    minimum: Mapping[str, Setting] = field(default_factory=dict)
    library: Mapping[str, Any] = field(default_factory=dict)
    approved: Mapping[str, Any] = field(default_factory=dict)


def read_layer(path: Path, shown: str, catalogue: Catalogue, today: dt.date, problems: Problems) -> Layer:
    """The layer in `path`. Faults go to `problems`; a file that is no layer at all raises `Refused`."""
    return _Reader(path, read(path, shown), catalogue, today, problems).layer()


class _Reader:
    def __init__(self, path: Path, item: Item, catalogue: Catalogue, today: dt.date, problems: Problems) -> None:
        self._path, self._item, self._catalogue = path, item, catalogue
        self._today, self._problems = today, problems

    def layer(self) -> Layer:
        top = self._block(self._item, "a policy is a list of `key: value` lines")
        kind = self._kind(top)
        legal = self._block(top["legal"]) if "legal" in top else {}
        if "legal" in top:
            self._only(top["legal"], {"hold", "minimum"}, "legal")
        sections = {name: item for name, item in top.items() if self._is_class(name, kind)}
        self._refuse_unknown(kind, set(sections))
        name = self._text(top, "name") if "name" in top else self._path.stem
        return Layer(
            kind=kind,
            name=f"{name} {self._text(top, 'version')}" if "version" in top else name,
            path=self._path,
            place=self._item.place,
            extends=self._extends(top.get("extends")),
            classes={name: self._section(name, item) for name, item in sections.items()},
            machines=self._machines(top.get("machines")),
            everywhere=self._everywhere(legal),
            waivers=self._waivers(top.get("waivers"), kind),
            minimum=self._minimum(legal.get("minimum")),
            library=self._library(top.get("library")),
            approved=self._approved(top.get("approved")),
        )

    # the head -----------------------------------------------------------------------------------------------------

    def _kind(self, top: Mapping[str, Item]) -> LayerKind:
        found = [kind for kind in KINDS if kind in top]
        if len(found) != 1:
            self._add(
                self._item.place,
                "this file does not say what it is",
                "no-version",
                "make `policy: 1` its first line (or `preset: 1`, `baseline: 1`)",
            )
            return found[0] if found else "policy"
        if top[found[0]].text != "1":
            self._add(
                top[found[0]].place,
                f"{found[0]} {top[found[0]].described} is not known",
                "bad-version",
                f"write `{found[0]}: 1`; this toolkit knows version 1",
            )
        return found[0]

    def _is_class(self, name: str, kind: LayerKind) -> bool:
        item = (self._item.entries or {})[name]
        if name in CLASSES:
            return True
        known = {*KINDS, *COMMON, *OWN}
        return kind == "policy" and name not in known and item.entries is not None and "like" in item.entries

    def _refuse_unknown(self, kind: LayerKind, classes: set[str]) -> None:
        known = {kind, *COMMON, *CLASSES, *(OWN if kind == "policy" else ()), *classes}
        self._only(self._item, known, "the policy" if kind == "policy" else f"a {kind}")

    def _extends(self, item: Item | None) -> tuple[tuple[str, Place], ...]:
        if item is None:
            return ()
        parts = item.items if item.items is not None else (item,)
        return tuple(
            (part.text or "", part.place) for part in parts if self._is_text(part, "the name of a baseline, or a file")
        )

    def _library(self, item: Item | None) -> Mapping[str, Any]:
        if item is None:
            return {}
        fields = self._block(item)
        self._only(item, {"name", "languages", "hours", "contact"}, "library")
        for name in fields.keys() & {"name", "contact"}:
            self._text(fields, name)
        if "languages" in fields and not all(part.text for part in fields["languages"].items or (Item(item.place),)):
            self._add(fields["languages"].place, "languages must be a list", "wrong-type", "write it like [en, es]")
        return {name: field.plain() for name, field in fields.items()}

    def _approved(self, item: Item | None) -> Mapping[str, Any]:
        if item is None:
            return {}
        fields = self._block(item)
        self._only(item, {"by", "on", "review_by"}, "approved")
        found: dict[str, Any] = {"by": self._text(fields, "by")} if "by" in fields else {}
        return found | {name: self._date(fields[name]) for name in ("on", "review_by") if name in fields}

    # values -------------------------------------------------------------------------------------------------------

    def _section(self, name: str, item: Item) -> Section:
        entries = self._block(item)
        like: Kind | None = None
        if "like" in entries:
            text = entries["like"].text
            like = next((kind for kind in CLASSES if kind == text), None)
            if like is None or name in CLASSES:
                self._add(
                    entries["like"].place,
                    f"{name} cannot be like {entries['like'].described}",
                    "bad-class",
                    "write `like: public`, `like: staff` or `like: gateway` in a class of your own",
                )
            entries = {key: value for key, value in entries.items() if key != "like"}
        rest = Item(item.place, entries=entries, keys=item.keys)
        return Section(item.place, self._settings(rest), like)

    def _machines(self, item: Item | None) -> Mapping[str, Section]:
        if item is None:
            return {}
        return {name: self._section(name, part) for name, part in self._block(item).items()}

    def _everywhere(self, legal: Mapping[str, Item]) -> Mapping[str, Setting]:
        """The settings that hold for the whole library."""
        setting = self._setting("legal.hold", legal["hold"]) if "hold" in legal else None
        return {"legal.hold": setting} if setting else {}

    def _settings(self, item: Item) -> Mapping[str, Setting]:
        """The settings in a block of areas, `{printing: {unclaimed_jobs: 1h}}`."""
        known = {key for key, found in self._catalogue.keys.items() if found.scope == "class"}
        areas = {key.partition(".")[0] for key in known}
        settings: dict[str, Setting] = {}
        for area, block in self._block(item).items():
            if area not in areas:
                self._unknown(item.keys[area], area, areas)
                continue
            names = {key.partition(".")[2] for key in known if key.startswith(area + ".")}
            for name, written in self._block(block).items():
                if name not in names:
                    self._unknown(block.keys[name], name, names, area + ".")
                elif (setting := self._setting(f"{area}.{name}", written)) is not None:
                    settings[f"{area}.{name}"] = setting
        return settings

    def _setting(self, key: str, written: Item) -> Setting | None:
        declared = self._catalogue.keys[key].type
        if written.text is None and written.items is None and written.entries is None:
            self._add(
                written.place,
                f"{key} has no value",
                "no-value",
                f"{declared.advice}; leave the line out to stay silent",
            )
            return None
        try:
            return Setting(declared.parse(written), written.place, written.described)
        except Unfit as unfit:
            self._add(unfit.place or written.place, f"{key}: {unfit.message}", unfit.code, unfit.mend)
            return None

    def _minimum(self, item: Item | None) -> Mapping[str, Setting]:
        """Legal minimums, written `{logs.keep: 30d}`."""
        if item is None:
            return {}
        found: dict[str, Setting] = {}
        spans = {key for key, declared in self._catalogue.keys.items() if isinstance(declared.silent, Duration)}
        for key, written in self._block(item).items():
            if key not in spans:
                self._unknown(item.keys[key], key, spans)
                continue
            try:
                found[key] = Setting(parse_duration(written.text or ""), written.place, written.described)
            except Unfit as unfit:
                self._add(written.place, f"the legal minimum of {key}: {unfit.message}", unfit.code, unfit.mend)
        return found

    # waivers ------------------------------------------------------------------------------------------------------

    def _waivers(self, item: Item | None, kind: LayerKind) -> tuple[Waiver, ...]:
        if item is None:
            return ()
        if item.items is None or kind == "preset":
            self._add(
                item.place,
                "waivers must be a list in a policy or a baseline",
                "wrong-type",
                "write `waivers:` with one `- {id: …}` for each",
            )
            return ()
        waivers = [waiver for part in item.items if (waiver := self._waiver(part, kind)) is not None]
        for number, waiver in enumerate(waivers):
            if waiver.id in {earlier.id for earlier in waivers[:number]}:
                self._add(waiver.place, f"the waiver {waiver.id} is given twice", "duplicate-waiver", "number it anew")
        return tuple(waivers)

    def _waiver(self, item: Item, kind: LayerKind) -> Waiver | None:
        fields = self._block(item)
        needed = ["id", "control", "machines", "value", "reason", "owner", "approved_by", "until"]
        needed += ["library"] if kind == "baseline" else []
        self._only(item, set(needed), "a waiver")
        missing = [name for name in needed if name not in fields or not _filled(fields[name])]
        if missing:
            self._add(
                item.place,
                f"this waiver lacks {', '.join(missing)}",
                "waiver-incomplete",
                f"give every waiver {', '.join(needed)}",
            )
            return None
        control = self._catalogue.controls.get(fields["control"].text or "")
        if control is None:
            self._unknown(fields["control"].place, fields["control"].described, self._catalogue.controls)
            return None
        setting = self._setting(control.key, fields["value"])
        until = self._date(fields["until"])
        if setting is None or until is None:
            return None
        people = {name: self._text(fields, name) for name in ("owner", "approved_by")}
        if people["owner"].casefold() == people["approved_by"].casefold():
            self._add(
                fields["approved_by"].place,
                "a waiver cannot be approved by its owner",
                "waiver-self-approved",
                "let somebody else approve it",
            )
        self._check_until(fields["until"].place, until, fields["id"].described)
        machines = fields["machines"].items or (fields["machines"],)
        names = tuple(part.text or "" for part in machines if self._is_text(part, "the name of a machine"))
        library = self._text(fields, "library") if "library" in fields else None
        return Waiver(
            id=self._text(fields, "id"),
            control=control.id,
            machines=names,
            value=setting.value,
            reason=self._text(fields, "reason"),
            until=until,
            library=library,
            place=item.place,
            **people,
        )

    def _check_until(self, place: Place, until: dt.date, name: str) -> None:
        if until < self._today:
            self._add(
                place,
                f"the waiver {name} expired on {until}",
                "waiver-expired",
                "delete it and harden again, or have it approved anew with a later date",
            )
        elif until > self._today + LONGEST_WAIVER:
            self._add(
                place,
                f"the waiver {name} runs for more than 366 days",
                "waiver-too-long",
                f"choose a day up to {self._today + LONGEST_WAIVER}",
            )

    # small things -------------------------------------------------------------------------------------------------

    def _add(self, place: Place, message: str, code: str, mend: str = "") -> None:
        self._problems.found.append(Problem(place, message, code, mend=mend))

    def _unknown(self, place: Place, word: str, known: Any, prefix: str = "") -> None:
        self._add(place, f"{prefix}{word[:60]} is not known here", "unknown-key", did_you_mean(word, known))

    def _only(self, item: Item, known: set[str], where: str) -> None:
        for key in sorted(set(item.entries or {}) - known):
            hint = did_you_mean(key, known) or f"see the keys of {where} in the schema"
            self._add(item.keys[key], f"{key[:60]} is not known in {where}", "unknown-key", hint)

    def _block(self, item: Item, mend: str = "indent its `key: value` lines below it") -> dict[str, Item]:
        if item.entries is None:
            self._add(item.place, f"{item.described} stands where a block of keys is needed", "wrong-type", mend)
        return item.entries or {}

    def _is_text(self, item: Item, what: str) -> bool:
        if item.text is None:
            self._add(item.place, f"{item.described} stands where {what} is needed", "wrong-type", f"write {what}")
        return item.text is not None

    def _text(self, fields: Mapping[str, Item], name: str) -> str:
        self._is_text(fields[name], "a single value")
        return fields[name].text or ""

    def _date(self, item: Item) -> dt.date | None:
        try:
            return dt.date.fromisoformat(item.text or "")
        except ValueError:
            self._add(item.place, f"{item.described} is not a date", "bad-date", "write it like 2027-01-31")
            return None


def _filled(item: Item) -> bool:
    return bool((item.text or "").strip()) or bool(item.items)
