"""Which controls of which machines a run asks about; a name that does not exist is refused with the nearest one.

Must not know how anything is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import Place, Problems, did_you_mean


def select(
    expectations: Mapping[str, Any],
    *,
    controls: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    machines: Sequence[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """The controls to judge by machine; None means all. Raises `Refused` for names that are not compiled."""
    held = expectations["machines"]
    known = {name: entry["role"] for machine in held.values() for name, entry in machine["controls"].items()}
    problems = Problems()
    _refuse_unknown(problems, "machine", machines, held)
    _refuse_unknown(problems, "role", roles, set(known.values()))
    _refuse_unknown(problems, "control", controls, known)
    problems.refuse_if_any()
    return {
        name: tuple(
            control
            for control, entry in machine["controls"].items()
            if (controls is None or control in controls) and (roles is None or entry["role"] in roles)
        )
        for name, machine in held.items()
        if machines is None or name in machines
    }


def _refuse_unknown(problems: Problems, kind: str, asked: Sequence[str] | None, known: Iterable[str]) -> None:
    names = set(known)
    for word in sorted(set(asked or ()) - names):
        mend = did_you_mean(word, names)
        problems.add(Place(f"--{kind} {word}"), f"there is no {kind} of this name", f"no-such-{kind}", mend=mend)
