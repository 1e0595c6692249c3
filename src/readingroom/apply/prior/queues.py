"""What CUPS keeps about each print queue and a role changes through lpadmin: how it meets an error."""

from __future__ import annotations

import re
from pathlib import Path

from .tools import run

PRINTERS = Path("/etc/cups/printers.conf")
_QUEUE = re.compile(r"<(?:Default)?Printer ([^>]+)>(?:(?!</)[\s\S])*?\nErrorPolicy (\S+)")


def policies(text: str | None = None) -> dict[str, str]:
    """Each queue's error policy.

    >>> policies("<DefaultPrinter desk>\\nState Idle\\nErrorPolicy stop-printer\\n</DefaultPrinter>\\n")
    {'desk': 'stop-printer'}
    """
    if text is None:
        text = PRINTERS.read_text(errors="replace") if PRINTERS.exists() else ""
    return dict(_QUEUE.findall(text))


def give_back(queue: str, policy: str) -> None:
    """Let a queue meet errors as it did before."""
    run("lpadmin", "-p", queue, "-o", f"printer-error-policy={policy}")
