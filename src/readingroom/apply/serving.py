"""Which promises a change on a machine serves, worked out from what is written down already.

A control's file names the role variables that it sets; a template, a `when` or a unit's state reads some of them, often
by way of the role's own variables. So what an entry of `__<role>_manages` serves follows from what it reads, and no
second list has to agree with the first. An entry that reads nothing (a program, a package) serves every promise of its
role. This module must not know machines or engines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jinja2 import TemplateError, meta

from readingroom.apply.model import Change
from readingroom.apply.rendering import environment, read_role_variables, resolve
from readingroom.controls import Catalogue

Entry = Mapping[str, Any]
_EXPRESSION = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class RoleList:
    """A role's `__<role>_manages`, and the controls behind each entry of it."""

    path: Path
    catalogue: Catalogue

    @property
    def name(self) -> str:
        """The role's name."""
        return self.path.name

    @cached_property
    def manages(self) -> Entry:
        """The list as it is written."""
        found: Entry = self._variables.get(f"__{self.name}_manages") or {}
        return found

    @cached_property
    def promises(self) -> frozenset[str]:
        """Every control that the role keeps."""
        return frozenset(control.id for control in self.catalogue.of_role(self.name))

    def serves(self, change: Change, others: Iterable[Change] = ()) -> frozenset[str]:
        """The controls that `change` is for; empty when it is for every promise of the role.

        A restart is for what the changes before it (`others`) are for, as far as they asked for it.
        """
        entry = self.entry(change)
        if entry is not None:
            return self._behind(entry)
        topic = self._handlers.get(change.what)
        if topic is None:
            return frozenset()
        asking = [entry for other in others if (entry := self.entry(other)) and topic in entry.get("triggers", ())]
        asking = asking or [entry for entry in self._entries if topic in entry.get("triggers", ())]
        behind = [self._behind(entry) for entry in asking]
        return frozenset().union(*behind) if behind and all(behind) else frozenset()

    def entry(self, change: Change) -> Entry | None:
        """The entry of the list that `change` is about."""
        if change.act in ("write", "directory", "remove"):
            same = [entry for entry in self._entries if fnmatchcase(change.subject, self._path(entry))]
            wanted = [entry for entry in same if (entry in self._absent) == (change.act == "remove")]
            return next(iter(wanted or same), None)
        if change.act == "unit":
            names = {change.subject, change.subject.removesuffix(".service")}
            return next((entry for entry in self._entries if entry.get("name") in names), None)
        topic = change.what.split(": ")[1:2]
        accounts = [entry for entry in self._entries if "reads" in entry and [entry.get("name")] == topic]
        return accounts[0] if accounts else None

    def _path(self, entry: Entry) -> str:
        path = self.worked_out(str(entry.get("path", "")))
        return "" if path == "*" else path  # known on the machine only

    def worked_out(self, text: str) -> str:
        """`text` with the role's own constants in it, and `*` for what only a machine can tell."""
        return _EXPRESSION.sub(lambda found: self._worked_out(found[0]), text)

    def _worked_out(self, expression: str) -> str:
        try:
            return environment().from_string(expression).render(self._values)
        except TemplateError:
            return "*"

    @cached_property
    def _values(self) -> dict[str, Any]:
        return resolve(self._variables)

    @cached_property
    def _absent(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.manages.get("absent") or () if isinstance(entry, Mapping))

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        lists = (entries for entries in self.manages.values() if isinstance(entries, list))
        return tuple(entry for entries in lists for entry in entries if isinstance(entry, Mapping))

    @cached_property
    def _variables(self) -> dict[str, Any]:
        return read_role_variables(self.path)

    @cached_property
    def _handlers(self) -> Mapping[str, str]:
        """What each handler listens to, by its name; both engines call their handlers the same."""
        path = self.path / "handlers" / "main.yml"
        handlers = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        return {handler["name"]: handler.get("listen", "") for handler in handlers or []}

    # What an entry reads ----------------------------------------------------------------------------------------------

    def _behind(self, entry: Entry) -> frozenset[str]:
        read = set(_named_in({key: value for key, value in entry.items() if key != "template"}))
        if "template" in entry:
            read |= _read_by(self.path / "templates", entry["template"])
        if isinstance(when := entry.get("when"), str):
            read |= set(_of_expression(when))
        read |= set(entry.get("reads") or ())
        return frozenset().union(*(self._controls(variable) for variable in read))

    def _controls(self, variable: str, trail: tuple[str, ...] = ()) -> frozenset[str]:
        """The controls that decide `variable`, through as many of the role's own variables as it takes."""
        if variable in self._deciding:
            return self._deciding[variable]
        if variable not in self._variables or variable in trail or variable == f"__{self.name}_manages":
            return frozenset()
        further = _named_in(self._variables[variable])
        return frozenset().union(*(self._controls(name, (*trail, variable)) for name in further))

    @cached_property
    def _deciding(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for control in self.catalogue.controls.values():
            for key in control.keys:
                for variable in key.sets:
                    found.setdefault(variable, set()).add(control.id)
        return {variable: frozenset(controls) for variable, controls in found.items()}


def _named_in(value: Any) -> Iterator[str]:
    """The variables that the texts inside `value` name between braces."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _named_in(one)
    elif isinstance(value, str) and ("{{" in value or "{%" in value):
        try:
            yield from meta.find_undeclared_variables(environment().parse(value))
        except TemplateError:  # a filter that only Ansible has: what it reads cannot be told
            return


def _of_expression(text: str) -> Iterator[str]:
    yield from _named_in("{{ " + text + " }}")


def _read_by(folder: Path, template: str) -> set[str]:
    """The variables that a template reads, with those it includes."""
    names, waiting = set[str](), [template]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or not (folder / name).is_file():
            continue
        seen.add(name)
        tree = environment(folder).parse((folder / name).read_text(encoding="utf-8"))
        names |= meta.find_undeclared_variables(tree)
        waiting += [found for found in meta.find_referenced_templates(tree) if found]
    return names
