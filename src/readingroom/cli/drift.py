"""`verify --since-last`: the verdicts that changed, and what happened on those machines in the meantime."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from .. import apply
from ..apply import MachinePlan
from ..apply.history import History, since
from ..fleet import Site
from ..report import drift_text, drifted, last_look
from ..verify import Evidence
from .output import out
from .prepare import Prepared
from .progress import applying


def last_evidence(site: Site) -> Evidence | None:
    """The evidence of the last run that looked at everything; None when there is none that can be read."""
    try:
        return Evidence.read(site.build / "evidence.json")
    except (OSError, ValidationError):
        return None


def tell_drift(ready: Prepared, before: Evidence | None, after: Evidence) -> None:
    """Say what changed between two looks, and by which file or package where that can be told."""
    out.say("")
    if before is None:
        out.say("There is no evidence of an earlier run to compare with; the next run has this one.", style="yellow")
        return
    if before.policy_digest != after.policy_digest:
        out.say("The policy has changed since the last run, and some verdicts may with it.", style="yellow")
    drifts = drifted(before, after)
    lost = sorted({drift.machine for drift in drifts if drift.is_loss and drift.machine not in after.unreachable})
    lines = drift_text(drifts, _plans(ready, lost), _histories(ready.site, lost, before))
    for line in lines:
        out.say(line)


def _plans(ready: Prepared, machines: Sequence[str]) -> dict[str, MachinePlan]:
    """What is no longer as it was made: a dry run of the quick engine knows."""
    if not machines:
        return {}
    with applying(out, "Looking for what changed") as on_event:
        result = apply.harden(ready.site, engine="pyinfra", machines=machines, check=True, on_event=on_event)
    return dict(apply.planned(result, ready.site, ready.catalogue, complete=False).machines)


def _histories(site: Site, machines: Sequence[str], before: Evidence) -> dict[str, History]:
    asked = {name: moment for name in machines if (moment := last_look(before, name)) is not None}
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda name: since(site, name, asked[name]), asked)
        return dict(zip(asked, found, strict=True))
