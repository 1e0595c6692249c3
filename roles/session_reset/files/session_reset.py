#!/usr/bin/python3 -IBS
"""Give every session of the patron account a fresh home and temporary places, and leave nothing of the last one.

usage: session_reset.py pam      PAM opens or closes a session of the account (a line in common-session)
       session_reset.py reset    reset, unless a session is open: at boot and after a session
       session_reset.py adopt    the same after a change of settings; sessions from before count, too
       session_reset.py release  give the account its home on the disk back; refused while a session is open

Reads /etc/readingroom/session-reset.json and nothing else about the policy. Says that it reset, never what it found.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/readingroom/session-reset.json")
STATE = Path("/run/readingroom-session")
OPEN = STATE / "open"  # a file for each open session, named after the process that PAM opened it for
BOUND = STATE / "bound"  # our own bind mount lies on the home
PLACES = STATE / "places"  # one file system in memory for what stands in for these, for the account alone:
SHARED = {"tmp": "/tmp", "var-tmp": "/var/tmp", "shm": "/dev/shm"}  # noqa: S108
OPEN_TO_ALL = ("/run/lock", "/dev/mqueue")  # everybody's, too, and never on the disk
GREETER_DATA = "/var/lib/lightdm-data"  # LightDM gives each account a folder of its own in here
SKELETONS = (Path("/etc/skel"), Path("/etc/readingroom/skeleton"))
HOME_SOURCE, PLACES_SOURCE = "readingroom-home", "readingroom-places"
FIRST_UID = 1000  # nothing below may ever be reset: its processes are ended by account
PATIENCE = 15.0  # seconds for the last session's remains to go
CLOSING = 2.0  # … in which a session that is just being closed is told from one that goes on


@dataclass(frozen=True)
class Settings:
    """What the policy says."""

    login: str
    home: str
    programs: str
    own_programs: str
    temporary_files: str
    usb_sticks: str

    @property
    def mount_options(self) -> str:
        """What programs may do in places that the account can write to."""
        return {"any": "nodev", "no-setuid": "nodev,nosuid", "none": "nodev,nosuid,noexec"}[self.own_programs]


def main(verb: str) -> int:
    """Do what was asked; 0 also when there is nothing to do."""
    if verb == "release" and not SETTINGS.exists():
        return 0  # the run that would have written them was cut short, before the first reset
    settings = Settings(**json.loads(SETTINGS.read_text(encoding="utf-8")))
    try:
        account = pwd.getpwnam(settings.login)
    except KeyError:
        return 0  # no such account here, so nothing to reset
    home = Path(account.pw_dir)
    if account.pw_uid < FIRST_UID or len(home.parts) < 3 or home != Path(os.path.normpath(home)):
        print(f"refused: {settings.login} is not an account of its own, with a home of its own", file=sys.stderr)
        return 0 if verb == "release" else 1  # it never had another home
    OPEN.mkdir(mode=0o700, parents=True, exist_ok=True)
    if verb == "pam":
        return _pam(settings, account)
    if verb == "adopt":
        _adopt(account.pw_uid)
    with _alone(wait=verb == "release") as alone:
        if verb == "release":
            return _release(account)
        # whoever holds the lock is about to reset, too
        return 0 if not alone or _in_use() else _reset(settings, account)


def _pam(settings: Settings, account: pwd.struct_passwd) -> int:
    """Called by PAM before the session's first program starts, and when the session is closed."""
    session = os.getppid()
    mark = OPEN / str(session)
    if os.environ.get("PAM_TYPE") == "close_session":
        mark.unlink(missing_ok=True)
        # not from in here: the session's last programs, and PAM itself, are still to end
        subprocess.run(["systemctl", "start", "--no-block", "readingroom-session-reset.service"], check=False)
        return 0
    with _alone(wait=True):
        # the last patron may be on the way out; but nobody leaves in order to become the same account once more
        end = time.monotonic() + (0 if os.environ.get("PAM_RUSER") == settings.login else CLOSING)
        while (in_use := _in_use()) and time.monotonic() < end:
            time.sleep(0.05)
        if not in_use:
            _reset(settings, account)
        mark.write_text(_born(session) or "", encoding="ascii")
    return 0


@contextlib.contextmanager
def _alone(*, wait: bool) -> Iterator[bool]:
    """Hold the lock; without `wait`, yields whether it could be had at once."""
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


# Whether somebody is at work ---------------------------------------------------------------------------------------


def _in_use() -> bool:
    """Whether a process that PAM opened a session for still lives; the marks of dead ones go."""
    alive = False
    for mark in OPEN.iterdir():
        if _born(int(mark.name)) == mark.read_text(encoding="ascii"):
            alive = True
        else:
            mark.unlink(missing_ok=True)
    return alive


def _born(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _adopt(uid: int) -> None:
    """Mark the sessions that were open before PAM knew about us, by the process that logind calls their leader."""
    listed = _said("loginctl", "list-sessions", "--no-legend").splitlines()
    for session in [line.split()[0] for line in listed if line.split()[1:2] == [str(uid)]]:
        told = _said("loginctl", "show-session", "-pLeader", "-pState", "-pClass", "--", session).splitlines()
        said = dict(line.split("=", 1) for line in told)
        if said.get("State") != "closing" and not said.get("Class", "").startswith("manager"):
            (OPEN / said["Leader"]).write_text(_born(int(said["Leader"])) or "", encoding="ascii")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _user_is_known(uid: int) -> bool:
    """Whether logind still has something to do with the account."""
    return Path(f"/run/systemd/users/{uid}").exists()


# The reset ---------------------------------------------------------------------------------------------------------


def _reset(settings: Settings, account: pwd.struct_passwd) -> int:
    if settings.programs == "ended":
        _end_programs(account)
    if settings.usb_sticks == "no-autorun-and-unmounted":
        _unmount_sticks(account)
    _make_places(settings, account)
    if settings.home != "kept":
        _forget_account(account)
    _make_home(settings, account)
    return 0


def _end_programs(account: pwd.struct_passwd) -> None:
    """End every process of the account, wherever it was started, and what would start one later."""
    Path("/var/lib/systemd/linger", account.pw_name).unlink(missing_ok=True)
    Path("/var/spool/cron/crontabs", account.pw_name).unlink(missing_ok=True)
    _remove_owned(Path("/var/spool/cron/atjobs"), account.pw_uid)
    end = time.monotonic() + PATIENCE
    while True:
        _kill_all(account.pw_uid)
        if not (_user_is_known(account.pw_uid) and _called_by_pam()) or time.monotonic() > end:
            return
        time.sleep(0.02)  # logind is about to stop the account's manager; a new session must not get the old one


def _called_by_pam() -> bool:
    return "PAM_TYPE" in os.environ


def _kill_all(uid: int) -> None:
    """The kernel lets a process of the account signal all others of it at once, so that none can slip away."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _unmount_sticks(account: pwd.struct_passwd) -> None:
    """Write out and remove what is mounted for the account; the programs that used it have ended."""
    folders = tuple(f"{folder}/{account.pw_name}/" for folder in ("/media", "/run/media"))
    for mounted, _ in reversed(list(_mounts())):
        if mounted.startswith(folders):
            subprocess.run(["umount", mounted], check=False) and subprocess.run(["umount", "-l", mounted], check=False)


def _forget_account(account: pwd.struct_passwd) -> None:
    """What lies outside the home: the account's picture, its language, its last desktop, files in places open to all."""
    for folder in OPEN_TO_ALL:
        _remove_owned(Path(folder), account.pw_uid)
    for path in ("/var/lib/AccountsService/icons", "/var/lib/AccountsService/users"):
        Path(path, account.pw_name).unlink(missing_ok=True)
    Path("/var/cache/lightdm/dmrc", f"{account.pw_name}.dmrc").unlink(missing_ok=True)


def _make_places(settings: Settings, account: pwd.struct_passwd) -> None:
    """Stand-ins for the temporary places; pam_namespace puts them over the real ones, for the account alone."""
    _detach(GREETER_DATA, PLACES_SOURCE)
    _detach(str(PLACES), PLACES_SOURCE)
    if settings.home != "kept":
        shutil.rmtree(Path(GREETER_DATA, account.pw_name), ignore_errors=True)
    per_session = settings.temporary_files == "per-session"
    if per_session:
        for place in SHARED.values():
            _remove_owned(Path(place), account.pw_uid)
    elif settings.own_programs == "any":
        return
    PLACES.mkdir(mode=0o700, exist_ok=True)
    _mount_memory(str(PLACES), PLACES_SOURCE, f"mode=0700,size=25%,{settings.mount_options}")
    if Path(GREETER_DATA).is_dir():
        (PLACES / "greeter").mkdir()
        (PLACES / "greeter").chmod(0o755)
        _bind(str(PLACES / "greeter"), GREETER_DATA, settings.mount_options)
    for name, shared in SHARED.items():
        (PLACES / name).mkdir()
        (PLACES / name).chmod(0)  # pam_namespace insists
        if not per_session:
            stand_in = PLACES / name / account.pw_name
            stand_in.mkdir()
            _bind(shared, str(stand_in), settings.mount_options)


def _make_home(settings: Settings, account: pwd.struct_passwd) -> None:
    home = account.pw_dir
    _detach(home, HOME_SOURCE)
    if BOUND.exists():
        subprocess.run(["umount", "-l", home], check=False)
        BOUND.unlink()
    if settings.home == "memory":
        _empty_folder(Path(home))
        os.chown(home, 0, 0)
        Path(home).chmod(0o555)  # should the mount ever fail, nothing can be left here
        ids = f"uid={account.pw_uid},gid={account.pw_gid}"
        _mount_memory(home, HOME_SOURCE, f"mode=0700,{ids},size=50%,{settings.mount_options}")
        _as_account(account, _fill_home)
        return
    if settings.home == "wiped-at-logout" or Path(home).stat().st_uid == 0:
        _empty_folder(Path(home))
        _hand_over(account)
    if settings.own_programs != "any":
        _bind(home, home, settings.mount_options)
        BOUND.touch()


def _release(account: pwd.struct_passwd) -> int:
    """Everything as Debian has it: the home on the disk, and no stand-ins."""
    if _in_use():
        print(
            f"a session of {account.pw_name} is open, so its home cannot move back to the disk; run this again later",
            file=sys.stderr,
        )
        return 1
    settings = Settings(account.pw_name, "kept", "go-on", "any", "shared", "any")
    _make_places(settings, account)
    _make_home(settings, account)
    return 0


def _hand_over(account: pwd.struct_passwd) -> None:
    os.chown(account.pw_dir, account.pw_uid, account.pw_gid)
    Path(account.pw_dir).chmod(0o700)
    _as_account(account, _fill_home)


def _fill_home(home: str) -> None:
    for skeleton in SKELETONS:
        if skeleton.is_dir():
            shutil.copytree(skeleton, home, symlinks=True, dirs_exist_ok=True)
    Path(home).chmod(0o700)


def _as_account(account: pwd.struct_passwd, work: Callable[[str], None]) -> None:
    """Do `work` with no more rights than the account has, so that what it owns cannot lead us astray."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            work(account.pw_dir)
            status = 0
        finally:
            os._exit(status)
    _, code = os.waitpid(child, 0)
    if code != 0:
        print("the skeleton could not be copied whole", file=sys.stderr)


# Files and mounts --------------------------------------------------------------------------------------------------


def _empty_folder(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            _remove(entry)


def _remove_owned(folder: Path, uid: int) -> None:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)  # follows no link, also none that is put in its way
    else:
        Path(entry.path).unlink()


def _mounts() -> Iterator[tuple[str, str]]:
    """Where something is mounted, and what."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        yield before.split()[4].encode().decode("unicode_escape"), after.split()[1]


def _detach(folder: str, source: str) -> None:
    """Take our own mounts off `folder`, at once; what still uses one keeps only its own view of it."""
    for mounted, what in reversed(list(_mounts())):
        if mounted == folder and what == source:
            subprocess.run(["umount", "--recursive", "--lazy", mounted], check=True)


def _mount_memory(folder: str, source: str, options: str) -> None:
    """A file system in memory that is never written to swap, where the kernel knows how (6.4)."""
    command = ["mount", "-n", "-t", "tmpfs", source, folder, "-o"]
    if subprocess.run([*command, f"{options},noswap"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        subprocess.run([*command, options], check=True)


def _bind(what: str, where: str, options: str) -> None:
    subprocess.run(["mount", "-n", "--bind", what, where], check=True)
    subprocess.run(["mount", "-n", "-o", f"remount,bind,{options}", where], check=True)


def _in_the_machines_namespace() -> None:
    """Whoever asks may live in a namespace of its own, such as su inside a session; mounts must be the machine's."""
    if Path("/proc/self/ns/mnt").stat().st_ino != Path("/proc/1/ns/mnt").stat().st_ino:
        os.execvp("nsenter", ["nsenter", "--mount=/proc/1/ns/mnt", "--", *sys.argv])  # noqa: S606 (no shell is meant)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit(0)  # systemd closes the PAM sessions of its units as the account; their process is dead by then
    _in_the_machines_namespace()
    sys.exit(main(sys.argv[1]))
