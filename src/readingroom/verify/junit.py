"""Evidence as JUnit XML, for the library's own CI.

In it: machine names (somebody has to know which machine to mend), control ids, verdicts, and the words of the
evidence, which have passed the privacy filter. Not in it, on purpose: sentences from the policy (they may list staff
logins), tracebacks, output, durations, and any time finer than the date. Kept is a passed test; broken a failure;
waived, not supported, not tested and not applicable are skipped, with the reason: none of them is a pass.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from .evidence import ControlEvidence, Evidence

# XML 1.0 cannot hold these, escaped or not.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(evidence: Evidence) -> str:
    """One test suite per machine, one test case per control."""
    everything = [found for _, _, found in evidence.verdicts()]
    root = Xml.Element("testsuites", {"name": f"Reading Room {evidence.site}", **_counts(everything)})
    for name, machine in evidence.machines.items():
        found = list(machine.controls.values())
        suite = Xml.SubElement(root, "testsuite", {"name": name, **_counts(found)})
        properties = Xml.SubElement(suite, "properties")
        facts = {"class": machine.machine_class, "os": machine.os, "policy_digest": evidence.policy_digest}
        for key, value in {**facts, "unreachable": machine.unreachable, "date": _date(found)}.items():
            if value:
                Xml.SubElement(properties, "property", name=key, value=_UNFIT.sub("", value))
        for control, one in machine.controls.items():
            _case(Xml.SubElement(suite, "testcase", name=control, classname=f"{name}.{one.role}"), one)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(case: Xml.Element, found: ControlEvidence) -> None:
    words = _UNFIT.sub("", "; ".join(filter(None, (found.reason, found.observed))))
    if found.verdict == "broken":
        Xml.SubElement(case, "failure", type="broken", message=words)
    elif found.verdict != "kept":
        Xml.SubElement(case, "skipped", message=f"{found.verdict}: {words}")


def _counts(found: list[ControlEvidence]) -> dict[str, str]:
    broken = sum(one.verdict == "broken" for one in found)
    skipped = sum(one.verdict not in ("kept", "broken") for one in found)
    return {"tests": str(len(found)), "failures": str(broken), "errors": "0", "skipped": str(skipped)}


def _date(found: list[ControlEvidence]) -> str:
    return max((one.at[:10] for one in found), default="")
