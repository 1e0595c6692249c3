"""Files in the checkout that derive from the controls, and which of them are stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ..compile import argument_specs
from ..controls import Catalogue
from ..policy.schema import policy_schema
from ..report import reference

_HEAD = "# Made from policies/controls/ by `readingroom generate`; change the controls, not this file.\n---\n"


def stale_files(root: Path, catalogue: Catalogue) -> dict[Path, str]:
    """Every generated file that does not say what it should, with what it should say."""
    wanted = reference.pages(root, catalogue)
    wanted |= {root / "policies" / "policy.schema.json": schema_text(catalogue)}
    for role in catalogue.roles:
        wanted[root / "roles" / role / "meta" / "argument_specs.yml"] = _HEAD + _yaml(argument_specs(catalogue, role))
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def schema_text(catalogue: Catalogue) -> str:
    """The policy's JSON Schema as a file."""
    return json.dumps(policy_schema(catalogue), indent=1, ensure_ascii=False) + "\n"


class _Indented(yaml.SafeDumper):
    """Lists indented below their key, as ansible-lint and yamllint want them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=140)
