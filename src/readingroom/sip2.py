"""The messages of SIP2, which library systems speak with self-check stations: written and read, and nothing more.

3M Standard Interchange Protocol 2.00: two digits of a code, a fixed part, fields `XXvalue|`, a sequence number (AY) and a
checksum (AZ), and a carriage return. It must not know who speaks or over what.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

# How long the fixed part is, by the message's code.
FIXED = {
    "93": 2, "94": 1, "99": 8, "98": 34, "23": 21, "24": 35, "63": 31, "64": 59, "11": 38, "12": 22, "09": 37, "10": 22,
    "35": 18, "36": 19,
}  # fmt: skip
END = b"\r"


@dataclass(frozen=True)
class Message:
    """One message: its code, its fixed part, its fields by their two letters, and its sequence number.

    >>> login = Message("93", "00", {"CN": "station", "CO": "word"}, sequence=1)
    >>> login.encode()
    b'9300CNstation|COword|AY1AZF6F5\\r'
    >>> Message.decode(login.encode()) == login
    True
    """

    code: str
    fixed: str
    fields: Mapping[str, str] = field(default_factory=dict)
    sequence: int | None = None

    def encode(self) -> bytes:
        """The message as it goes over the wire; with a checksum when it has a sequence number."""
        text = self.code + self.fixed + "".join(f"{name}{value}|" for name, value in self.fields.items())
        if self.sequence is None:
            return text.encode() + END
        body = f"{text}AY{self.sequence}AZ".encode()
        return body + checksum(body).encode() + END

    @classmethod
    def decode(cls, line: bytes) -> Message:
        """Read one message; `ValueError` when it is none, or its checksum is wrong."""
        text = line.strip(b"\r\n").decode("utf-8", "replace")
        sequence = None
        if len(text) >= 9 and text[-9:-7] == "AY" and text[-6:-4] == "AZ":
            if checksum(text[:-4].encode()) != text[-4:]:
                raise ValueError("the checksum is wrong")
            sequence, text = int(text[-7]), text[:-9]
        code = text[:2]
        if code not in FIXED or len(text) < 2 + FIXED[code]:
            raise ValueError("this is no message that we know")
        end = 2 + FIXED[code]
        fields = {part[:2]: part[2:] for part in text[end:].split("|") if len(part) >= 2}
        return cls(code, text[2:end], fields, sequence)


def checksum(body: bytes) -> str:
    """Four hexadecimal digits that bring the sum of all bytes to zero.

    >>> checksum(b"9900302.00AY1AZ")
    'FCA5'
    """
    return f"{-sum(body) & 0xFFFF:04X}"


def moment(now: dt.datetime) -> str:
    """A time as SIP2 writes it, 18 characters.

    >>> moment(dt.datetime(2026, 11, 27, 9, 5, 0))
    '20261127    090500'
    """
    return now.strftime("%Y%m%d    %H%M%S")
