"""Finds out how this host gets Debian packages, so that the lab gets its own the same way.

No mirror is named here: a host behind a proxy, with a mirror of its own, or frozen at a snapshot already knows
what works. Must not know what the packages are for.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

# How packages are fetched (proxies, retries, clocks that disagree with the mirror's); not which indexes.
_FETCHING = re.compile(
    r'^(Acquire::(?:http|https|Retries|Check-Valid-Until|Check-Date|ForceIPv4|ForceIPv6)\b[^ ]*) "(.+)";$'
)
_TARGETS = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"


def fetch_options(dump: str) -> list[str]:
    """Pick the settings that decide how packages are fetched out of `apt-config dump`.

    >>> fetch_options('Acquire::http::Proxy "http://proxy:3142";\\nAPT::Color "1";')
    ['Acquire::http::Proxy "http://proxy:3142"']
    """
    found = (_FETCHING.match(line) for line in dump.splitlines())
    return [f'{match[1]} "{match[2]}"' for match in found if match]


def sources_for(suite: str, codename: str, targets: Iterable[str]) -> list[str]:
    """Rewrite the host's own Debian sources for another release; empty when the host has none.

    `targets` are lines `uri|release|component|keyring` as apt itself understands its sources, whichever
    of the two file formats they were written in.

    >>> sources_for("trixie", "bookworm", ["http://m/debian/|bookworm-updates|main|/k.gpg"])
    []
    >>> sources_for("trixie", "bookworm", ["http://m/debian/|bookworm|main|"])
    ['deb http://m/debian/ trixie main contrib']
    """
    lines: dict[str, str] = {}
    for target in targets:
        uri, release, component, keyring = target.split("|")
        pocket = next(
            (
                release.removeprefix(name)
                for name in (codename, "stable", "oldstable", "testing")
                if release == name or release.startswith(name + "-")
            ),
            None,
        )
        if component != "main" or pocket not in ("", "-updates", "-security") or "debian" not in uri:
            continue
        options = f"[signed-by={keyring}] " if keyring.startswith("/") else ""
        lines.setdefault(pocket, f"deb {options}{uri} {suite}{pocket} main contrib")
    return list(lines.values()) if "" in lines else []


def _codename() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return ""


def host_sources(suite: str) -> list[str]:
    """Sources for `suite` after this host's own; empty means: leave it to mmdebstrap's default."""
    run = subprocess.run(
        ["apt-get", "indextargets", "--format", _TARGETS, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return sources_for(suite, _codename(), run.stdout.splitlines())


def host_fetch_options() -> list[str]:
    """How this host fetches packages, as options for another apt."""
    run = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return fetch_options(run.stdout)
