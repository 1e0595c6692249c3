"""Whether the next ring may begin: decided here, from what the engine reported and what verification found.

Ansible's own `max_fail_percentage` does not stop for machines that cannot be reached, and knows nothing of promises.
This module must not know how machines are reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..apply import ApplyResult
from ..verify import Evidence


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a ring. `proved` machines keep what was promised; `pending` ones could not be reached and are
    no failure; `why` says what keeps the gate shut, and is empty when it is open."""

    proved: tuple[str, ...]
    pending: tuple[str, ...]
    why: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether the next ring may begin."""
        return not self.why


def gate(applied: ApplyResult, after: Evidence | None) -> Gate:
    """The gate behind a ring that was hardened (`applied`) and verified (`after`; None when that was not done)."""
    failed = [name for name, machine in applied.machines.items() if machine.status == "failed"]
    away = {name for name, machine in applied.machines.items() if machine.status == "unreachable"}
    found = after.machines if after else {}
    away |= {name for name, machine in found.items() if machine.unreachable} - set(failed)
    proved, broken = [], []
    for name in applied.machines:
        if name in away or name in failed or name not in found:
            continue
        verdicts = [one.verdict for one in found[name].controls.values()]
        if count := verdicts.count("broken"):
            broken.append(f"{name} breaks {count} promise{'s' if count != 1 else ''}")
        elif "kept" in verdicts:
            proved.append(name)
        else:
            broken.append(f"on {name} no promise could be shown to be kept")
    why = [f"{name} did not go through" for name in failed] + broken
    if applied.interrupted:
        why = ["it was stopped", *why]
    elif not why and not proved:
        why = ["none of its machines could be reached, so nothing is proved"]
    return Gate(tuple(proved), tuple(sorted(away)), tuple(why))
