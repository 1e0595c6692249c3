"""The one error of the lab: what went wrong and how to mend it, in words for the person at the keyboard.

Must not know how errors are printed; the command line decides that.
"""

from __future__ import annotations

from ..errors import ReadingRoomError


class LabError(ReadingRoomError):
    """Something about the lab that a person can mend."""

    def __init__(self, message: str, mend: str, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.details = details

    def __str__(self) -> str:
        parts = [self.message]
        if self.details:
            parts.append("\n".join("  | " + line for line in self.details.splitlines()))
        parts.append(f"  to mend  {self.mend}")
        return "\n".join(parts)
