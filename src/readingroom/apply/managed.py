"""What a role manages on one machine, as plain data for the record of what was there before.

Read from `__<role>_manages`, worked out with the machine's own values and with what the role's look finds there. Any entry
with a `path` counts, whatever list it stands in, so that a new role's list is recorded without a word here. This module must
not know any role, nor how a machine is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from readingroom.apply.looking import Ask, values_on
from readingroom.apply.rendering import defined, holds

# Not things on the machine to be recorded from here: words for people, and what the role's own program notes itself.
_WORDS = ("data", "accounts", "edits")
_NOT_PATHS = ("absent", "lines")
_UNIT_FILE = re.compile(r"/etc/systemd/system/([^/]+\.(?:service|socket|timer|path|target|mount|slice))(?:\.d/.*)?")


def managed(
    role: Path, variables: Mapping[str, Any], facts: Mapping[str, str], machine: str, ask: Ask
) -> dict[str, Any]:
    """`paths`, `trees` (removed whole), `lines`, `packages`, `units`, `queues`, `sysctls`, `releases` and `tell` of the role
    in the folder `role`; `ask` lets its look ask the machine.
    """
    values = values_on(role, {**variables, "ansible_facts": dict(facts), "inventory_hostname": machine}, ask)
    manages: dict[str, Any] = defined(values.get(f"__{role.name}_manages", {}))
    lists = {kind: list(_wanted(entries, values)) for kind, entries in manages.items() if kind not in _WORDS}
    trees = [_path(item) for item in lists.get("absent", [])]
    paths = [path for kind, items in lists.items() if kind not in _NOT_PATHS for item in items if (path := _path(item))]
    units = [_unit(item["name"] if isinstance(item, Mapping) else item) for item in lists.get("units", [])]
    units += [match[1] for path in [*paths, *trees] if (match := _UNIT_FILE.fullmatch(path)) and "@" not in match[1]]
    packages = [item["name"] if isinstance(item, Mapping) else item for item in lists.get("packages", [])]
    return {
        "paths": list(dict.fromkeys(path for path in paths if path not in trees)),
        "trees": list(dict.fromkeys(trees)),
        "packages": list(dict.fromkeys(packages)),
        "units": list(dict.fromkeys(units)),
        "queues": bool(manages.get("queues")),
        "lines": [item["path"] for item in lists.get("lines", [])],
        "sysctls": [item["name"] for item in lists.get("sysctls", [])],
        "releases": [{"says": item["name"], "argv": item["argv"]} for item in lists.get("releases", [])],
        "tell": [_unit(name) for name in lists.get("tell", [])],
    }


def _wanted(entries: Any, values: Mapping[str, Any]) -> Iterator[Any]:
    for item in entries if isinstance(entries, list) else ():
        conditions = item.get("when", True) if isinstance(item, Mapping) else True
        if all(holds(one, values) for one in (conditions if isinstance(conditions, list) else [conditions])):
            yield item


def _path(item: Any) -> str:
    path = item.get("path", "") if isinstance(item, Mapping) else item
    return str(path).rstrip("/") if str(path).startswith("/") else ""


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"
