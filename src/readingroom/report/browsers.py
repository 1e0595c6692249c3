"""The page that says how each browser keeps what the policy says, made from the role's one table.

This module must not know what a key does; the table does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..controls import Catalogue

TABLE = Path("roles", "browser_lockdown", "vars", "main", "browsers.yml")
BROWSERS = {"firefox": "Firefox", "chromium": "Chromium"}
_KINDS = {"policies": "", "preferences": " (preference)", "files": " (preference, in a file)"}
_INTRO = """# What the browsers are told

How Firefox ESR and Chromium keep each promise of `browser_lockdown`: the policy's words, and the browsers' own keys. Made
from `roles/browser_lockdown/vars/main/browsers.yml`, the table that both engines write the policy files from. A value that
is not here sets nothing, so the browser is as Debian ships it. `{browser.homepage}` stands for what the policy says there.

**Not supported** is what a browser cannot keep. Verification reports it so, never as kept.
"""


def page(root: Path, catalogue: Catalogue) -> str:
    """The text of docs/browsers.md below its first line."""
    blocks: Mapping[str, Any] = yaml.safe_load((root / TABLE).read_text(encoding="utf-8"))[
        "__browser_lockdown_browsers"
    ]
    return "\n".join([_INTRO, *(_block(f"browser.{name}", rows, catalogue) for name, rows in blocks.items())])


def _block(key: str, rows: Mapping[str, Any], catalogue: Catalogue) -> str:
    control = catalogue.owners[key]
    head = ["", *BROWSERS.values()]
    cells = [head, ["---"] * len(head)]
    cells += [[f"`{word}`" if word != "otherwise" else "any other", *(_cell(row, one) for one in BROWSERS)]
              for word, row in rows.items() if row]  # fmt: skip
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in cells)
    return f"## `{key}`\n\n{control.title} (`{control.id}`).\n\n{table}\n"


def _cell(row: Mapping[str, Any], browser: str) -> str:
    said = row.get(browser, {})
    lines = [line for kind, note in _KINDS.items() for line in _keys(said.get(kind, {}), note)]
    if "unfound" in said:
        lines.append(f"started so that it does not find {', '.join(f'`{host}`' for host in said['unfound'])}")
    lines += [f"started with `{flag}`" for flag in said.get("flags", ())]
    if "start" in said:
        lines.append(f"started with `{said['start']}` where private windows are forced")
    if "lacks" in said:
        lines.append(f"**Not supported:** {said['lacks']}")
    return "<br>".join(lines) or "nothing to set"


def _keys(settings: Mapping[str, Any], note: str) -> Iterator[str]:
    for name, value in settings.items():
        yield f"`{name}`: `{json.dumps(value, ensure_ascii=False)}`{note}"
