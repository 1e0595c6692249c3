"""A key explained: what it promises, its value for each class and machine, and each layer's say."""

from __future__ import annotations

from ..controls import Control
from ..controls.values import show
from .effective import Holder, Policy


def explained(key: str, control: Control, policy: Policy) -> str:
    """The explanation of `key` in plain text."""
    declared = next(one for one in control.keys if one.key == key)
    about = control.why if key == control.key else declared.about
    lines = [
        f"{key}: {control.title}",
        f"  {about}",
        f"  {declared.type.advice}; silence means {show(declared.silent)}",
    ]
    if key == control.key:
        lines.append(f"  promise {control.id}, kept by the role {control.role}; sources: {'; '.join(control.sources)}")
        lines += [f"  conflicts with {one}" for one in control.conflicts]
    for holder in (*policy.classes.values(), *_differing(key, policy)):
        lines += ["", *_holder(key, control, holder)]
    return "\n".join(lines)


def _differing(key: str, policy: Policy) -> list[Holder]:
    return [
        holder
        for holder in policy.machines.values()
        if holder.values[key] != policy.classes[holder.machine_class].values[key]
    ]


def _holder(key: str, control: Control, holder: Holder) -> list[str]:
    if holder.kind not in control.applies_to:
        return [f"{holder.name}: does not apply"]
    resolved = holder.values[key]
    rows = [(say.layer, show(say.value), say.outcome, str(say.place or "")) for say in resolved.says]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    sentence = [f"  “{control.sentence(resolved.value)}”"] if key == control.key else []
    return [f"{holder.name}: {show(resolved.value)}", *sentence, *table]
