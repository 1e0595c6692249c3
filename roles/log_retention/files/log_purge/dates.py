"""The date at the head of a log's line, in the ways that Debian's programs write it."""

from __future__ import annotations

import re
import time
from calendar import timegm

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_DAY = 86400

# rsyslog (Debian 13), journald, Python, nginx: 2026-07-30T09:00:00.123+02:00, 2026-07-30 09:00:00, 2026/07/30 09:00:00
_ISO = re.compile(rb"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?: ?(Z|[+-]\d\d:?\d\d))?")
# rsyslog (Debian 12), dnsmasq: Jul 30 09:00:00
_SYSLOG = re.compile(rb"(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)")
# CUPS, Apache, Squid: [30/Jul/2026:09:00:00 +0200]
_CLF = re.compile(rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
# audit: type=X msg=audit(1785398400.123:42): ; squid: 1785398400.123 ; iptables and others in seconds
_EPOCH = re.compile(rb"(?:type=\S+ msg=audit\(|\[?)(\d{10})[.:]\d+")


def date_of(line: bytes, reference: float) -> float | None:
    """When the line was written, as seconds since 1970, or None when it does not begin with a date we can read.

    A date without a year is taken as the latest one that is not more than a day after `reference`.

    >>> date_of(b"2026-07-30T09:00:00.5+02:00 desk sshd[1]: x", 0.0)
    1785394800.0
    >>> date_of(b'desk - - [30/Jul/2026:09:00:00 +0200] "POST', 0.0)
    1785394800.0
    >>> date_of(b"type=LOGIN msg=audit(1785394800.123:42): pid=1", 0.0)
    1785394800.0
    >>> date_of(b"   Loading module glx", 0.0) is None
    True
    """
    try:
        return _read(line, reference)
    except (ValueError, OverflowError, KeyError):
        return None


def _read(line: bytes, reference: float) -> float | None:
    if found := _SYSLOG.match(line):
        return _without_year(found, reference)
    if found := _EPOCH.match(line):
        return float(found[1])
    if found := _ISO.search(line, 0, 64):
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        return _seconds((year, month, day, hour, minute, second), found[7])
    if found := _CLF.search(line, 0, 400):
        parts = (int(found[3]), _MONTHS[found[2]], int(found[1]), int(found[4]), int(found[5]), int(found[6]))
        return _seconds(parts, found[7])
    return None


def _without_year(found: re.Match[bytes], reference: float) -> float:
    month, rest = _MONTHS[found[1]], tuple(int(part) for part in found.groups()[1:])
    year = time.localtime(reference).tm_year
    for candidate in range(year + 1, year - 5, -1):  # five years: 29 February is not in every one
        if month == 2 and rest[0] == 29 and time.gmtime(timegm((candidate, 3, 0, 0, 0, 0))).tm_mday != 29:
            continue
        seconds = _seconds((candidate, month, *rest), None)
        if seconds <= reference + _DAY:
            return seconds
    raise ValueError("no such day")


def _seconds(parts: tuple[int, ...], zone: bytes | None) -> float:
    """Local time where no zone is written."""
    if not (1970 <= parts[0] < 2200 and 1 <= parts[1] <= 12 and 1 <= parts[2] <= 31 and parts[3] < 25):
        raise ValueError("no such time")
    if zone is None:
        year, month, day, hour, minute, second = parts
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    offset = 0
    if zone != b"Z":
        digits = zone[1:].replace(b":", b"")
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60
        offset = -offset if zone[:1] == b"-" else offset
    return float(timegm((*parts, 0, 0, 0)) - offset)
