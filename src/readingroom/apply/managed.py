"""What a role manages on one machine, as plain data for the record of what was there before.

Read from `__<role>_manages`, worked out with the machine's own values. Any entry with a `path` counts, whatever list it
stands in, so that a new role's list is recorded without a word here. A condition that only the run itself can decide counts
as met. This module must not know any role, nor a machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Undefined

from readingroom.apply.rendering import RenderError, defined, holds, read_role_variables, resolve

# Not things on the machine to be recorded from here: words for people, and what the role's own program notes itself.
_WORDS = ("data", "accounts", "edits")
_UNIT_FILE = re.compile(r"/etc/systemd/system/([^/]+\.(?:service|socket|timer|path|target|mount|slice))(?:\.d/.*)?")


def managed(role: Path, variables: Mapping[str, Any], facts: Mapping[str, str], machine: str) -> dict[str, Any]:
    """`paths`, `trees` (removed whole), `packages`, `units`, `queues` and `tell` of the role in the folder `role`."""
    given = {**variables, **read_role_variables(role), "ansible_facts": dict(facts), "inventory_hostname": machine}
    values = resolve(given)
    manages: dict[str, Any] = defined(values.get(f"__{role.name}_manages", {}))
    lists = {kind: list(_wanted(entries, values)) for kind, entries in manages.items() if kind not in _WORDS}
    trees = [_path(item) for item in lists.get("absent", [])]
    paths = [path for kind, items in lists.items() if kind != "absent" for item in items if (path := _path(item))]
    units = [_unit(item["name"] if isinstance(item, Mapping) else item) for item in lists.get("units", [])]
    units += [match[1] for path in [*paths, *trees] if (match := _UNIT_FILE.fullmatch(path)) and "@." not in match[1]]
    packages = [item["name"] if isinstance(item, Mapping) else item for item in lists.get("packages", [])]
    return {
        "paths": list(dict.fromkeys(path for path in paths if path not in trees)),
        "trees": list(dict.fromkeys(trees)),
        "packages": list(dict.fromkeys(packages)),
        "units": list(dict.fromkeys(units)),
        "queues": bool(manages.get("queues")),
        "tell": [_unit(name) for name in lists.get("tell", [])],
    }


def _wanted(entries: Any, values: Mapping[str, Any]) -> Iterator[Any]:
    for item in entries if isinstance(entries, list) else ():
        conditions = item.get("when", True) if isinstance(item, Mapping) else True
        if all(_met(one, values) for one in (conditions if isinstance(conditions, list) else [conditions])):
            yield item


def _met(condition: str | bool, values: Mapping[str, Any]) -> bool:
    try:
        return holds(condition, values)
    except RenderError:
        return True


def _path(item: Any) -> str:
    path = item.get("path", "") if isinstance(item, Mapping) else item
    return "" if isinstance(path, Undefined) or not str(path).startswith("/") else str(path).rstrip("/")


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"
