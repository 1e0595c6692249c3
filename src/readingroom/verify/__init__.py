"""Evidence from running machines: what was promised (`build/`), held against what is so (the machine), never against
what was done (the roles)."""

from .evidence import VERDICTS, ControlEvidence, Evidence, MachineEvidence, Verdict, schema
from .runner import Event, Finished, Judged, Started, policy_digest, run

__all__ = [
    "VERDICTS",
    "ControlEvidence",
    "Event",
    "Evidence",
    "Finished",
    "Judged",
    "MachineEvidence",
    "Started",
    "Verdict",
    "policy_digest",
    "run",
    "schema",
]
