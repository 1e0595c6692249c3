"""Network addresses that were handed out or given: what is no longer in use goes when it reaches its limit.

A lease in use is never taken away, and no file is touched that a running server keeps in memory (dnsmasq, Kea and
dhcpd drop or rewrite it themselves): it would only come back.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from log_purge.files import held_open, replace
from log_purge.settings import Settings

_FOREVER = float("inf")
_BLOCK = re.compile(rb"^lease6?\b[^{]*\{.*?^\}[^\n]*\n?", re.MULTILINE | re.DOTALL)
_END = re.compile(rb"^\s*(?:expire|ends) (?:\d (\d+/\d\d/\d\d \d\d:\d\d:\d\d)|epoch (\d+)|(never))", re.MULTILINE)
_STARTS = re.compile(rb"starts (\d+);")
_LIFE = re.compile(rb"max-life (\d+);")
# Where the options begin in those that hold addresses, temporary ones and prefixes, and the valid lifetime in theirs (RFC 8415).
_LEASES6 = {3: 12, 4: 4, 25: 12}
_VALID6 = {5: 20, 26: 4}


def purge(settings: Settings, now: float) -> Counter[str]:
    """Take out every address whose lease ended longer ago than the limit."""
    done: Counter[str] = Counter()
    if settings.network_limit is None:
        return done
    cutoff = now - settings.network_limit
    for pattern, prune in _KINDS.items():
        for path in settings.path("/").glob(pattern):
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    done["network addresses removed"] += prune(settings, path, cutoff)
    return +done


def _dhclient(settings: Settings, path: Path, cutoff: float) -> int:
    return _without(path, _BLOCK, lambda block: _block_end(block) < cutoff)


def _dhcpd(settings: Settings, path: Path, cutoff: float) -> int:
    return 0 if held_open(path) else _dhclient(settings, path, cutoff)


def _block_end(block: bytes) -> float:
    """When a lease ends. One that does not say so is in use, for all we know."""
    ends = [_when(found) for found in _END.finditer(block)]
    starts = [int(found[1]) for found in _STARTS.finditer(block)]
    lives = [int(found[1]) for found in _LIFE.finditer(block)]
    ends += [float(max(starts) + max(lives))] if starts and lives else []
    return max(ends, default=_FOREVER)


def _when(found: re.Match[bytes]) -> float:
    if found[3]:
        return _FOREVER
    if found[2]:
        return float(found[2])
    return float(timegm(time.strptime(found[1].decode(), "%Y/%m/%d %H:%M:%S")))


def _dnsmasq(settings: Settings, path: Path, cutoff: float) -> int:
    """Lines of `end-of-lease hardware-address address name id`; an end of 0 means never."""
    if held_open(path):
        return 0
    return _without(path, re.compile(rb"^(\d+) [^\n]*\n?", re.M), lambda line: 0 < int(line.split()[0]) < cutoff)


def _kea(settings: Settings, path: Path, cutoff: float) -> int:
    """Comma-separated; the fifth field is the end of the lease."""
    if held_open(path):
        return 0
    line = re.compile(rb"^[0-9a-f.:]+,[^\n]*\n?", re.MULTILINE)
    return _without(path, line, lambda row: row.split(b",")[4].isdigit() and int(row.split(b",")[4]) < cutoff)


def _dhcpcd(settings: Settings, path: Path, cutoff: float) -> int:
    """The server's last answer, as it came; written at each renewal, so its lease runs from then."""
    seconds = _lease_time6 if path.name.endswith("6") else _lease_time
    return _remove_if(path, path.stat().st_mtime + seconds(path.read_bytes()) < cutoff)


def _lease_time(packet: bytes) -> float:
    """Option 51 of a DHCP answer, in seconds. A packet without it is taken for a day's lease."""
    position = 240
    while position + 1 < len(packet) and packet[position] != 255:
        if packet[position] == 0:
            position += 1
            continue
        length = packet[position + 1]
        if packet[position] == 51 and length == 4:
            return float(int.from_bytes(packet[position + 2 : position + 6], "big"))
        position += 2 + length
    return 86400.0


def _lease_time6(packet: bytes) -> float:
    """The longest valid lifetime in a DHCPv6 answer, in seconds. A packet without any is taken for a day's lease."""
    leases = [body[_LEASES6[code] :] for code, body in _options6(packet[4:]) if code in _LEASES6]
    lives = [body[_VALID6[code] :][:4] for lease in leases for code, body in _options6(lease) if code in _VALID6]
    return max((float(int.from_bytes(one, "big")) for one in lives), default=86400.0)


def _options6(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) > 4:
        code, end = int.from_bytes(data[:2], "big"), 4 + int.from_bytes(data[2:4], "big")
        yield code, data[4:end]
        data = data[end:]


def _network_manager(settings: Settings, path: Path, cutoff: float) -> int:
    """One file per connection, named by it; the connections in use are known in /run."""
    in_use = b"".join(one.read_bytes() for one in settings.path("/run/NetworkManager/devices").glob("*"))
    connection = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", path.name)
    used = connection is not None and connection[0].encode() in in_use
    return _remove_if(path, not used and path.stat().st_mtime < cutoff)


def _timestamps(settings: Settings, path: Path, cutoff: float) -> int:
    """NetworkManager's note of when each connection was last used: `id=seconds`."""
    line = re.compile(rb"^[^\n=\[]+=(\d+)\n?", re.MULTILINE)
    return _without(path, line, lambda one: int(one.split(b"=")[1]) < cutoff)


def _by_age(settings: Settings, path: Path, cutoff: float) -> int:
    return _remove_if(path, path.stat().st_mtime < cutoff)


_KINDS: dict[str, Callable[[Settings, Path, float], int]] = {
    "var/lib/dhcp/dhclient*.leases": _dhclient,
    "var/lib/dhcp/dhcpd*.leases": _dhcpd,
    "var/lib/dhcp/*.leases~": _by_age,
    "var/lib/misc/dnsmasq*.leases": _dnsmasq,
    "var/lib/NetworkManager/*.lease": _network_manager,
    "var/lib/NetworkManager/dnsmasq-*.leases": _dnsmasq,
    "var/lib/NetworkManager/timestamps": _timestamps,
    "var/lib/NetworkManager/seen-bssids": _by_age,
    "var/lib/dhcpcd/*.lease*": _dhcpcd,
    "var/lib/dhcpcd5/*.lease*": _dhcpcd,
    "var/lib/kea/kea-leases[46].csv*": _kea,
    "var/lib/systemd/network/dhcp-server-lease/*": _by_age,
}


def _without(path: Path, pattern: re.Pattern[bytes], old: Callable[[bytes], bool]) -> int:
    """Write the file again without the parts that match and are old; how many those were."""
    gone = 0

    def judge(found: re.Match[bytes]) -> bytes:
        nonlocal gone
        drop = old(found[0])
        gone += drop
        return b"" if drop else found[0]

    content = pattern.sub(judge, path.read_bytes())
    if gone:
        replace(path, content)
    return gone


def _remove_if(path: Path, old: bool) -> int:
    if old:
        path.unlink()
    return int(old)
