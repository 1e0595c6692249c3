"""The private view: an archive of ours in the place of the machine's own. Everything here happens in mounts of our own."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
DAILY_LOCK = "/var/lib/apt/daily_lock"
# Where apt looks for archives and settings, and keeps what it read; and what it notes down elsewhere.
COVERED = (
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/var/lib/apt/lists",
    "/var/lib/apt/periodic",
    "/var/cache/apt",
)
HIDDEN = ("/var/log/apt", "/var/log/unattended-upgrades", "/var/lib/unattended-upgrades", "/var/backups")
# What apt would do beside, on account of a canary: look for leftovers, write letters, call other programs, restart.
QUIET = """
Unattended-Upgrade::Remove-Unused-Kernel-Packages "false";
Unattended-Upgrade::Remove-New-Unused-Dependencies "false";
Unattended-Upgrade::Remove-Unused-Dependencies "false";
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Mail "";
Unattended-Upgrade::SyslogEnable "false";
Unattended-Upgrade::OnlyOnACPower "false";
Unattended-Upgrade::Skip-Updates-On-Metered-Connections "false";
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def run(*argv: str, within: int = 40) -> tuple[int, str]:
    """Exit code, and what it printed on both channels, in plain English."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        timeout=within, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def must(*argv: str) -> str:
    """What a command printed that has to succeed."""
    code, said = run(*argv)
    if code:
        sys.exit(f"{argv[0]} ended with {code}: {said[-500:]}")
    return said


def busy() -> bool:
    """Is somebody else installing something, or was an installation cut short?"""
    for path in LOCKS:
        with Path(path).open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    if Path(DAILY_LOCK).exists() and run("flock", "--nonblock", DAILY_LOCK, "true")[0]:
        return True
    return bool(must("dpkg", "--audit").strip()) or any(Path("/var/lib/dpkg/updates").iterdir())


def deb(place: Path, name: str, version: str) -> Path:
    """A package with nothing in it."""
    tree = place / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Reading Room <check@library.example>\n"
        "Section: misc\nPriority: optional\nDescription: canary of a check, may be removed at any time\n"
    )
    (tree / "DEBIAN" / "control").write_text(control)
    path = place / f"{name}_{version}_all.deb"
    must("dpkg-deb", "--root-owner-group", "--build", str(tree), str(path))
    shutil.rmtree(tree)
    return path


def archive(place: Path, package: Path, codename: str) -> None:
    """Make the folder `place` an unsigned archive with this one package, which calls itself Debian's security archive."""
    place.mkdir()
    shutil.move(package, place / package.name)
    content = (place / package.name).read_bytes()
    control = must("dpkg-deb", "--field", str(place / package.name))
    index = (
        f"{control}Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    )
    (place / "Packages").write_text(index)
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    (place / "Release").write_text(
        f"Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: {codename}-security\nDate: {now}\n"
        f"Architectures: all\nSHA256:\n {hashlib.sha256(index.encode()).hexdigest()} {len(index)} Packages\n"
    )


def hide(path: str, mode: str = "0755") -> None:
    """Put an empty folder of our own over `path`, if it is there."""
    if Path(path).is_dir():
        must("mount", "-t", "tmpfs", "-o", f"mode={mode},size=32m", "rrcheck", path)


def only(source: str, folder: Path, settings: str = QUIET) -> None:
    """Let apt see one source and none of the machine's own; its settings stay, with `settings` after them."""
    if missing := [place for place in COVERED if not Path(place).is_dir()]:
        sys.exit(f"{missing[0]} is not there, and cannot be covered")
    own = folder / "conf"
    shutil.copytree("/etc/apt/apt.conf.d", own)
    for place in (*COVERED, *HIDDEN):
        hide(place)
    shutil.copytree(own, "/etc/apt/apt.conf.d", dirs_exist_ok=True)
    Path("/etc/apt/apt.conf.d/zzzzzzzz-check").write_text(settings)
    for place in ("/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial"):
        Path(place).mkdir(parents=True)
        shutil.chown(place, "_apt", "root")
    for place in ("/etc/apt/sources.list", "/var/log/dpkg.log"):
        if Path(place).is_file():
            empty = folder / f"empty-{Path(place).name}"
            empty.touch()
            must("mount", "--bind", str(empty), place)
    Path("/etc/apt/sources.list.d/check.list").write_text(f"{source}\n")


def version(name: str) -> str:
    """The installed version of a package; empty when it is not installed."""
    code, said = run("dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}", name)
    return said.removeprefix("installed ") if not code and said.startswith("installed ") else ""


def candidate(name: str) -> str:
    """The version of a package that apt would install; empty when it knows of none."""
    match = re.search(r"Candidate: (\S+)", run("apt-cache", "policy", name)[1])
    return match[1].strip("()").replace("none", "") if match else ""


def starts(unit: str) -> Sequence[str]:
    """The command line that a service starts; nothing when there is none."""
    said = must("systemctl", "show", "--property=ExecStart", "--value", unit)
    match = re.search(r"argv\[\]=(.*?) ;", said)
    return match[1].split() if match else ()


def codename() -> str:
    """The release's name."""
    return must("sh", "-c", '. /etc/os-release; printf %s "$VERSION_CODENAME"')
