"""Writes the index of a flat apt repository: a directory of .deb files becomes installable offline.

Run by the image build as a program of its own (`python repository.py DIRECTORY`), with nothing but the standard
library. Must not know where the packages came from.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path


def stanza(deb: Path) -> str:
    """One package's entry in the index."""
    fields = subprocess.run(["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True).stdout
    content = deb.read_bytes()
    return (
        f"{fields.strip()}\nFilename: ./{deb.name}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def write_index(directory: Path) -> int:
    """Index every .deb in `directory`; returns how many there are.

    The Release file tells apt that there is one index and no compressed one: Debian 12's apt looks for each
    compression there is and complains about every one it misses.
    """
    debs = sorted(directory.glob("*.deb"))
    with ThreadPoolExecutor(4) as pool:
        index = "\n".join(pool.map(stanza, debs)).encode()
    (directory / "Packages").write_bytes(index)
    (directory / "Release").write_text(
        f"Origin: readingroom-lab\nDate: {formatdate(usegmt=True)}\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )
    return len(debs)


if __name__ == "__main__":
    print(f"indexed {write_index(Path(sys.argv[1]))} packages")
