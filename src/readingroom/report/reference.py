"""The reference pages of the docs, made from the controls, the presets and the roles' lists of what they manage.

`readingroom generate` writes them and CI checks them, so they cannot say what is not so. This module must not know
machines or evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import policy
from ..apply.rendering import read_role_variables
from ..controls import Catalogue, Control, Key
from ..controls.values import ChoiceType, DurationType, SwitchType, show
from ..document import read
from . import browsers

PRESETS = ("small-library", "standard", "strict")
_HEAD = "<!-- Made by `readingroom generate`; change the controls, not this file. -->\n"


def pages(root: Path, catalogue: Catalogue) -> dict[Path, str]:
    """Every reference page by its path."""
    return {
        root / "docs" / "promises.md": _promises(root, catalogue),
        root / "docs" / "ala-coverage.md": _ala_coverage(root, catalogue),
        root / "docs" / "managed.md": _managed(root, catalogue),
        root / "docs" / "browsers.md": f"{_HEAD}\n{browsers.page(root, catalogue)}",
        root / "README.md": _readme(root, catalogue),
    }


def _promises(root: Path, catalogue: Catalogue) -> str:
    presets = {name: _preset(root, catalogue, name) for name in PRESETS}
    parts = [
        _HEAD,
        "# The promises\n",
        "Each is declared in `policies/controls/`, kept by a role, and checked on the running machine. "
        "Values stand weakest first. A preset is a starting point; **public / staff** where they differ.\n",
    ]
    for role in catalogue.roles:
        parts.append(f"## {role}\n")
        rows = [
            (f"`{control.id}`<br>{control.title}", f"`{control.key}`<br>{_values(control)}",
             *(_preset_cell(control, presets[name]) for name in PRESETS), _sources(control))
            for control in catalogue.of_role(role)
        ]  # fmt: skip
        parts.append(_table(("Promise", "Key and values", *PRESETS, "Sources"), rows))
        parts += [_detail(control) for control in catalogue.of_role(role)]
    return "\n".join(parts)


def _detail(control: Control) -> str:
    said = control.statement if isinstance(control.statement, str) else None
    sentences = [f"> {said}"] if said else [f"> *{word}*: {text}" for word, text in _by_value(control).items()]
    lines = [f"### {control.id}\n", "\n>\n".join(sentences) + "\n", f"{control.why}\n"]
    lines += [f"Also reads `{key.key}`: {key.about}\n" for key in control.inputs]
    lines.append(f"*Way back:* {control.reversal}\n")
    if control.conflicts:
        lines.append(f"*Conflicts with:* {'; '.join(control.conflicts)}.\n")
    return "\n".join(lines)


def _by_value(control: Control) -> Mapping[str, str]:
    return {} if isinstance(control.statement, str) else control.statement


def _preset(root: Path, catalogue: Catalogue, name: str) -> policy.Policy:
    path = root / "policies" / "baselines" / f"{name}.yml"
    return policy.of_preset(path, catalogue, root=root)


def _preset_cell(control: Control, preset: policy.Policy) -> str:
    values = [show(preset.classes[kind].values[control.key].value) for kind in control.applies_to]
    return " / ".join(dict.fromkeys(values)) if len(set(values)) == 1 else " / ".join(values)


def _values(key: Key) -> str:
    match key.type:
        case ChoiceType(options=options):
            return " · ".join(options)
        case SwitchType(safe=safe):
            return f"{show(not safe)} · {show(safe)}"
        case DurationType(at_least=low, at_most=high, words=words):
            return f"{high} … {low}" + "".join(f", {word}" for word in words)
    return key.type.advice


def _sources(control: Control) -> str:
    return "; ".join((*control.sources, f"catalogue {control.catalogue}"))


def _readme(root: Path, catalogue: Catalogue) -> str:
    """The README with the sentences that its example yields on a public machine."""
    text = (root / "README.md").read_text(encoding="utf-8")
    example = policy.load(root / "policies" / "examples" / "springfield.yml", catalogue, root=root)
    public = example.classes["public"]
    made = [control for control in catalogue.controls.values() if public.kind in control.applies_to]
    sentences = "\n".join(f"> - {control.sentence(public.values[control.key].value)}" for control in made)
    before, begin, rest = text.partition("<!-- promises: begin")
    mark, _, after = rest.partition("-->\n")
    return (
        f"{before}{begin}{mark}-->\n{sentences}\n<!-- promises: end -->{after.partition('<!-- promises: end -->')[2]}"
    )


def _ala_coverage(root: Path, catalogue: Catalogue) -> str:
    written: Any = read(root / "policies" / "sources" / "ala.yml").plain()
    rows = []
    for number, item in written.items():
        controls = [control for control in catalogue.controls.values() if _cites(control, number)]
        cell = ", ".join(f"`{control.id}`" for control in controls)
        rows.append((number, item["item"], cell or _unanswered(item)))
    covered = sum(row[2].startswith("`") for row in rows)
    return "\n".join([
        _HEAD, "# The ALA checklists, item by item\n",
        "Which promise answers which item. Wording and numbering of the items are ours; the checklists are those of the "
        f"American Library Association. {covered} of {len(rows)} items have a promise so far.\n",
        _table(("Item", "In short", "Kept by"), rows),
    ])  # fmt: skip


def _unanswered(item: Mapping[str, str]) -> str:
    return "for people, not machines" if "not_technical" in item else "not yet"


def _cites(control: Control, number: str) -> bool:
    return any(re.search(rf"\bALA {re.escape(number)}\b", source) for source in control.sources)


def _managed(root: Path, catalogue: Catalogue) -> str:
    parts = [
        _HEAD,
        "# What each role manages on a machine\n",
        "From `__<role>_manages` in each role's `vars`, the one list that both engines work from.\n",
    ]
    for role in catalogue.roles:
        variables = read_role_variables(root / "roles" / role)
        parts.append(f"## {role}\n")
        for kind, entries in variables[f"__{role}_manages"].items():
            if entries:
                parts.append(
                    f"**{kind}**\n\n" + "\n".join(f"- {_entry(entry, role)}" for entry in _listed(entries)) + "\n"
                )
    return "\n".join(parts)


def _listed(entries: Any) -> Iterable[Any]:
    return [entries] if isinstance(entries, Mapping) else entries


def _entry(entry: Any, role: str) -> str:
    if not isinstance(entry, Mapping):
        return f"`{entry}`"
    said = [f"{key} {entry[key]}" for key in ("mode", "owner", "state") if key in entry and "{{" not in str(entry[key])]
    if "when" in entry:
        said.append(f"when {entry['when'].removeprefix(f'__{role}_').replace('_', ' ')}")
    if "says" in entry:
        return str(entry["says"])
    name = entry.get("path") or entry.get("name") or ", ".join(map(str, entry))
    return f"`{name}`" + (f" ({', '.join(said)})" if said else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
