"""A library system that speaks SIP2: a few invented logins and patrons, and what a self-check station asks.

It answers as Koha's and Evergreen's do, and keeps no contact data in its answers. Must not know how it is reached.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from readingroom.sip2 import Message, moment

LOGINS = {"selfcheck-1": "long-enough-secret"}
PATRONS = {"21234000000017": "4711"}
# Patrons of checks: each is known, and the PIN is the end of the barcode.
CHECKS, PIN_LENGTH = "rrcheck", 6
INSTITUTION = "LAB"


def pin_of(barcode: str) -> str | None:
    """The PIN of a patron; None for somebody unknown."""
    if barcode.startswith(CHECKS):
        return barcode[-PIN_LENGTH:]
    return PATRONS.get(barcode)


class Session:
    """One connection of a station."""

    def __init__(self, now: Callable[[], dt.datetime] = dt.datetime.now) -> None:
        self._now, self._logged_in = now, False

    def answer(self, asked: Message) -> Message | None:
        """What is said to `asked`; None ends the connection, as for a station that did not log in."""
        if asked.code == "93":
            word = LOGINS.get(asked.fields.get("CN", ""))
            self._logged_in = word is not None and word == asked.fields.get("CO")
            return self._said(asked, "94", "1" if self._logged_in else "0", {})
        if asked.code == "99":
            fixed = "Y" * 5 + "N" + "030" + "003" + moment(self._now()) + "2.00"
            return self._said(asked, "98", fixed, {"AO": INSTITUTION, "BX": "YYYYYYNNNYYNNNNN"})
        if not self._logged_in:
            return None
        known = {"23": self._on_23, "63": self._on_63, "11": self._on_11, "09": self._on_09, "35": self._on_35}
        return known[asked.code](asked) if asked.code in known else None

    def _on_23(self, asked: Message) -> Message:
        return self._said(asked, "24", " " * 14 + "000" + moment(self._now()), self._patron(asked))

    def _on_63(self, asked: Message) -> Message:
        counts = "0000" * 6
        return self._said(asked, "64", " " * 14 + "000" + moment(self._now()) + counts, self._patron(asked))

    def _on_11(self, asked: Message) -> Message:
        fine = self._patron(asked)["CQ"] == "Y"
        due = moment(self._now() + dt.timedelta(days=28))
        fields = {"AO": INSTITUTION, **_of(asked, "AA", "AB"), "AJ": "A book of the lab", "AH": due}
        return self._said(asked, "12", ("1" if fine else "0") + "NNN" + moment(self._now()), fields)

    def _on_09(self, asked: Message) -> Message:
        fields = {"AO": INSTITUTION, **_of(asked, "AB"), "AQ": "shelf", "AJ": "A book of the lab"}
        return self._said(asked, "10", "1YNN" + moment(self._now()), fields)

    def _on_35(self, asked: Message) -> Message:
        return self._said(asked, "36", "Y" + moment(self._now()), {"AO": INSTITUTION, **_of(asked, "AA")})

    def _patron(self, asked: Message) -> dict[str, str]:
        """Who somebody is, without a name and without ways to reach them: a station needs neither."""
        pin = pin_of(asked.fields.get("AA", ""))
        known, right = pin is not None, pin is not None and pin == asked.fields.get("AD")
        return {
            "AO": INSTITUTION, **_of(asked, "AA"), "AE": "", "BL": "Y" if known else "N", "CQ": "Y" if right else "N",
        }  # fmt: skip

    @staticmethod
    def _said(asked: Message, code: str, fixed: str, fields: dict[str, str]) -> Message:
        return Message(code, fixed, fields, asked.sequence)


def _of(asked: Message, *names: str) -> dict[str, str]:
    return {name: asked.fields.get(name, "") for name in names}
