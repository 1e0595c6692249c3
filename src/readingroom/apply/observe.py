"""What a machine is like, asked in as few questions as possible: pyinfra facts.

One fact answers for a whole list of paths, packages or units, so that a role costs a handful of round trips.
Facts only read. They must not know what a role wants.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api.facts import FactBase


@dataclass(frozen=True, slots=True)
class PathState:
    """A path on the machine; `kind` is absent, file, directory, link or other; `digest` is a file's sha256."""

    kind: str = "absent"
    mode: str = ""
    owner: str = ""
    group: str = ""
    digest: str = ""

    @property
    def exists(self) -> bool:
        """Whether anything is there, a dangling link included."""
        return self.kind != "absent"


@dataclass(frozen=True, slots=True)
class UnitState:
    """A systemd unit, in systemd's own words."""

    load: str = "not-found"
    active: str = "inactive"
    file: str = ""

    @property
    def exists(self) -> bool:
        """Whether systemd knows the unit (a masked one counts)."""
        return self.load != "not-found"

    @property
    def enabled(self) -> bool:
        """What `systemctl is-enabled` means by its exit code 0."""
        return self.file in ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")

    @property
    def running(self) -> bool:
        """Active, or on the way there."""
        return self.active in ("active", "activating", "reloading")

    @property
    def masked(self) -> bool:
        """Pointed at /dev/null."""
        return self.load == "masked" or self.file.startswith("masked")


_KINDS = {
    "regular file": "file",
    "regular empty file": "file",
    "directory": "directory",
    "symbolic link": "link",
}


class Paths(FactBase[dict[str, PathState]]):
    """State of each path in `paths`."""

    def command(self, paths: Sequence[str]) -> str:
        """One line per path: kind, mode, owner, group, digest, separated by `|`."""
        wanted = " ".join(map(shlex.quote, paths))
        return (
            f"for p in {wanted}; do s=$(stat -c '%F|%a|%U|%G' -- \"$p\" 2>/dev/null) || s='absent|||'; "
            'd=; case $s in regular*) d=$(sha256sum < "$p" | cut -c1-64);; esac; '
            'printf \'%s|%s|%s\\n\' "$s" "$d" "$p"; done'
        )

    @staticmethod
    def default() -> dict[str, PathState]:
        """Nothing known."""
        return {}

    def process(self, output: list[str]) -> dict[str, PathState]:
        """Read the lines back."""
        found = {}
        for line in output:
            kind, mode, owner, group, digest, path = line.split("|", 5)
            if kind == "absent":
                found[path] = PathState()
            else:
                found[path] = PathState(_KINDS.get(kind, "other"), mode.zfill(4), owner, group, digest)
        return found


class Text(FactBase[str | None]):
    """Content of a small text file, or None: not there, too large (200 kB) or not text."""

    def command(self, path: str) -> str:
        """Print the file as base64 so that not a byte of it changes on the way."""
        quoted = shlex.quote(path)
        return f"if [ -f {quoted} ] && [ $(stat -c %s {quoted}) -le 200000 ]; then echo .; base64 -w0 {quoted}; fi"

    def process(self, output: list[str]) -> str | None:
        """Decode it."""
        try:
            return base64.b64decode("".join(output[1:])).decode()
        except (ValueError, UnicodeDecodeError):
            return None


class Units(FactBase[dict[str, UnitState]]):
    """State of each systemd unit in `units` (full names)."""

    def command(self, units: Sequence[str]) -> str:
        """Ask systemd once for all of them; blocks come back in the order asked."""
        return f"systemctl show -p Id,LoadState,ActiveState,UnitFileState -- {' '.join(map(shlex.quote, units))}; " + (
            f"printf '%s\\n' '' {' '.join(shlex.quote('asked=' + unit) for unit in units)}"
        )

    @staticmethod
    def default() -> dict[str, UnitState]:
        """Nothing known."""
        return {}

    def process(self, output: list[str]) -> dict[str, UnitState]:
        """Pair each block with the name that was asked for (an alias shows another Id)."""
        asked = [line.removeprefix("asked=") for line in output if line.startswith("asked=")]
        blocks = [block for block in "\n".join(output).split("\n\n") if "LoadState=" in block]
        found = {}
        for unit, block in zip(asked, blocks, strict=True):
            values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            found[unit] = UnitState(values["LoadState"], values["ActiveState"], values.get("UnitFileState", ""))
        return found


class Installed(FactBase[tuple[str, ...]]):
    """Those of `packages` that are installed."""

    def command(self, packages: Sequence[str]) -> str:
        """Ask dpkg about just these."""
        names = " ".join(map(shlex.quote, packages))
        return f"dpkg-query -W -f='${{Package}} ${{db:Status-Status}}\\n' -- {names} 2>/dev/null || true"

    @staticmethod
    def default() -> tuple[str, ...]:
        """None."""
        return ()

    def process(self, output: list[str]) -> tuple[str, ...]:
        """Keep what dpkg calls installed."""
        return tuple(line.split()[0] for line in output if line.endswith(" installed"))


class Brought(FactBase[tuple[str, ...]]):
    """Every package that installing `packages` would bring along, as apt works it out."""

    def command(self, packages: Sequence[str], recommends: bool) -> str:
        """Let apt simulate; without package lists it cannot, and the answer is empty."""
        names = " ".join(map(shlex.quote, packages))
        option = "" if recommends else "--no-install-recommends "
        return f"LC_ALL=C apt-get install -s -qq {option}{names} 2>/dev/null || true"

    @staticmethod
    def default() -> tuple[str, ...]:
        """Nothing known."""
        return ()

    def process(self, output: list[str]) -> tuple[str, ...]:
        """`Inst name (version …)`, one a line; an upgrade names the old version in brackets."""
        return tuple(line.split()[1].partition(":")[0] for line in output if line.startswith("Inst "))


class Said(FactBase[str]):
    """What a script prints that looks at something and changes nothing."""

    def command(self, script: str) -> str:
        """The script itself."""
        return script

    def process(self, output: list[str]) -> str:
        """All of it."""
        return "\n".join(output)


class Release(FactBase[dict[str, Any]]):
    """The release under the names Ansible gives it, for templates and `when`: see `shared.Role.values`."""

    def command(self) -> str:
        """Read os-release; no Ansible, no lsb_release."""
        return '. /etc/os-release && printf \'%s\\n\' "$NAME" "$VERSION_ID" "$VERSION_CODENAME" && uname -n && uname -m'

    def process(self, output: list[str]) -> dict[str, Any]:
        """Debian 12 gives distribution Debian, distribution_major_version "12", distribution_release bookworm."""
        name, version, codename, node, architecture = output
        return {
            "distribution": name.split()[0],
            "distribution_version": version,
            "distribution_major_version": version.split(".")[0],
            "distribution_release": codename,
            "os_family": "Debian",
            "hostname": node.split(".")[0],
            "architecture": architecture,
            "service_mgr": "systemd",
        }
