"""What happened on a machine since a moment: packages by dpkg's own log, files by when they last changed.

It only looks, over one root shell, and it must not know promises: whoever asks puts the two together.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from readingroom.apply.root_shell import CannotConnect, PasswordNeeded, RootShell, ShellLost
from readingroom.fleet import Site

# Where settings and programs of an administrator lie; data, caches and logs change by themselves.
PLACES = ("/etc", "/usr/local", "/usr/lib/systemd", "/var/spool/cron")
_MOST = 200
_SCRIPT = """\
since=$(date -d @MOMENT '+%F %T')
for log in $(ls -tr /var/log/dpkg.log* 2>/dev/null); do zcat -f "$log"; done |
  awk -v since="$since" '($1 " " $2) >= since && $3 ~ /^(install|upgrade|remove|purge)$/ {print "package", $2, $3, $4, $5, $6}'
find PLACES -xdev ! -name '*.lock' ! -name ld.so.cache -newerct @MOMENT -printf 'file %y %CH:%CM %p\\n' 2>/dev/null | tail -n MOST |
  while read -r word kind at path; do
    owner=$(dpkg-query -S "$path" 2>/dev/null | head -n 1); owner=${owner%%:*}
    printf '%s %s %s %s %s\\n' "$word" "$kind" "$at" "${owner:--}" "$path"
  done
"""


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that came, went or changed; `at` is the machine's own time of day."""

    name: str
    verb: str
    at: str
    before: str
    after: str

    def __str__(self) -> str:
        versions = f" from {self.before} to {self.after}" if self.verb == "upgrade" else ""
        words = {"install": "installed", "upgrade": "upgraded", "remove": "removed", "purge": "removed"}
        return f"package {self.name} {words[self.verb]}{versions} at {self.at}"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file, or a folder in which something came or went; `owner` is the package that it belongs to, if any."""

    path: str
    is_folder: bool
    at: str
    owner: str

    def __str__(self) -> str:
        what = f"something came or went in {self.path}" if self.is_folder else f"{self.path} changed"
        return f"{what} at {self.at}" + (f" (of the package {self.owner})" if self.owner else "")


@dataclass(frozen=True, slots=True)
class History:
    """Everything since the moment; `unknown` says why it could not be told."""

    packages: tuple[PackageChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    unknown: str = ""


def script(moment: int) -> str:
    """What is run on the machine; `moment` is in seconds since 1970."""
    places = " ".join(map(shlex.quote, PLACES))
    return _SCRIPT.replace("MOMENT", str(moment)).replace("PLACES", places).replace("MOST", str(_MOST))


def since(site: Site, machine: str, moment: int) -> History:
    """What happened on `machine` since `moment`."""
    try:
        shell = RootShell.over_ssh(site.ssh_config, machine)
    except (CannotConnect, PasswordNeeded) as error:
        return History(unknown=str(error))
    try:
        return read_history(shell.run(script(moment), 60).stdout)
    except ShellLost as error:
        return History(unknown=str(error))
    finally:
        shell.close()


def read_history(said: str) -> History:
    """The history behind the script's output."""
    packages, files = [], []
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        if word == "package" and len(parts := rest.split(" ")) == 5:
            at, verb, name, before, after = parts
            packages.append(PackageChange(name.partition(":")[0], verb, at[:5], before, after))
        elif word == "file" and len(parts := rest.split(" ", 3)) == 4:
            kind, at, owner, path = parts
            files.append(FileChange(path, kind == "d", at, "" if owner == "-" else owner))
    return History(tuple(packages), tuple(files))
