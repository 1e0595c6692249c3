"""What may outlive a session: the home as the next one finds it, programs, shared memory, starts that were arranged.

Everything here is started or arranged by us, is marked so, and is taken away by `tidy`. Must not know any promise.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from testinfra.host import Host

from readingroom.verify import probe

from . import canaries
from .session import Session

# Every program of ours carries this in its environment.
MARK = "RRCHECK_SESSION"


def home(session: Session) -> str:
    """The home as its owner sees it: kinds, modes, names and contents."""
    return session.must(
        "stat -c %a .; find . -mindepth 1 ! -type s -printf '%y %m %P %l\\n' | sort; "
        "find . -type f -exec cksum {} + | sort -k 3"
    )


def seen_from_inside(session: Session, words: Iterable[str]) -> set[str]:
    """Which words the account itself finds in its home, its runtime folder, its services and its settings."""
    options = " ".join(f"-e {word}" for word in words)
    said = session.run(
        "{ find ~ $XDG_RUNTIME_DIR -printf '%p %l\\n'; grep -ahr --devices=skip '' ~ $XDG_RUNTIME_DIR; "
        "systemctl --user show-environment; systemctl --user list-units --all; dconf dump /; } 2>/dev/null"
        f" | grep -aoF {options} | sort -u"
    )[1]
    return set(said.split())


def room_in_memory(session: Session) -> int | None:
    """How many bytes fit into a home that is in memory; None when it is not, or when that is much for this machine."""
    said = session.must("findmnt -nbo FSTYPE,AVAIL -T ~; awk '/^MemAvailable/ {print $2 * 1024}' /proc/meminfo").split()
    kind, room, memory = said[0], int(said[1]), float(said[2])
    return room if kind == "tmpfs" and room < memory / 3 else None


# --- programs -------------------------------------------------------------------------------------------------------

# Each goes on for ten minutes, and would not end by itself when its terminal goes.
PROGRAMS = {
    "in the background": "sleep 600 &",
    "out of the session's group": "setsid nohup sleep 600 >/dev/null 2>&1 &",
    "deaf to requests to end": "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 600; done' >/dev/null 2>&1 &",
    "an orphan": "(setsid sh -c 'sleep 600 & exit' >/dev/null 2>&1 &)",
    "a service of the account": (
        f"systemd-run --user --quiet --unit=rrcheck-$$ --description=x --setenv={MARK}=1 -p Restart=always sleep 600"
    ),
    "a service in a group of its own": "systemd-run --user --scope --quiet --description=x sleep 600 >/dev/null 2>&1 &",
}

# Ours have keys from here on, for which nobody else has a use.
_KEYS = 0x72720000
IPC = {
    "shm": f"defined shmget({_KEYS} + int(rand(65535)), 4096, 01600) or exit 1",
    "sem": f"defined semget({_KEYS} + int(rand(65535)), 1, 01600) or exit 1",
    "msg": f"defined msgget({_KEYS} + int(rand(65535)), 01600) or exit 1",
}


def start_programs(session: Session) -> list[str]:
    """Start one program of each kind and share memory; returns the kinds of programs."""
    session.must(f"export {MARK}=1\n" + "\n".join(PROGRAMS.values()))
    share_memory(session)
    return list(PROGRAMS)


def share_memory(session: Session) -> None:
    """Make one piece of shared memory of each kind."""
    session.must("\n".join(f"perl -e {shlex.quote(code)} || exit 1" for code in IPC.values()))


# --- starts that were arranged --------------------------------------------------------------------------------------


def arrange_a_start(session: Session) -> int:
    """Try to have a program started after the session, in every way there is; how many ways were tried."""
    tries = [
        f"echo ': {MARK}' | at now + 50 weeks",
        f"{{ crontab -l; echo '@yearly : {MARK}'; }} | crontab -",
        "loginctl enable-linger",
        "systemd-run --user --quiet --unit=rrcheck-timer-$$ --description=x --on-active=600s sleep 600",
    ]
    for one in tries:
        session.run(f"{one} >/dev/null 2>&1")
    return len(tries)


def arranged(host: Host, login: str, uid: int) -> list[str]:
    """Which ways worked: what would start a program of the account although no session of it is open."""
    name = shlex.quote(login)
    looks = {
        "a waiting job": f"find /var/spool/cron/atjobs -type f -user {uid} -exec grep -q {MARK} {{}} \\; -print | grep -q .",
        "a timetable": f"crontab -u {name} -l | grep -q {MARK}",
        "a timer of the account's own": f"test -e /var/lib/systemd/linger/{name}",
    }
    return [what for what, look in looks.items() if host.run(look).rc == 0]


def cancel_arranged(host: Host, login: str, uid: int, ways: Iterable[str]) -> None:
    """Undo them again."""
    name = shlex.quote(login)
    undo = {
        "a waiting job": f"find /var/spool/cron/atjobs -type f -user {uid} -exec grep -q {MARK} {{}} \\; -delete",
        "a timetable": f"crontab -u {name} -l | grep -v {MARK} | crontab -u {name} -",
        "a timer of the account's own": f"loginctl disable-linger {name}",
    }
    host.run("\n".join(undo[way] for way in ways if way in undo) or "true")


# --- tidying --------------------------------------------------------------------------------------------------------

_KILL_OURS = r"""
for p in $(pgrep -U UID); do tr '\0' '\n' </proc/$p/environ | grep -q ^MARK= && kill -KILL $p; done 2>/dev/null
perl -ane '$o = $F[0] >> 16; shmctl($F[1], 0, 0) if $o == OURS && $F[7] == UID' /proc/sysvipc/shm
perl -ane '$o = $F[0] >> 16; semctl($F[1], 0, 0, 0) if $o == OURS && $F[4] == UID' /proc/sysvipc/sem
perl -ane '$o = $F[0] >> 16; msgctl($F[1], 0, 0) if $o == OURS && $F[7] == UID' /proc/sysvipc/msg
"""


def tidy(host: Host, login: str, uid: int) -> None:
    """Take away what is left of ours on a machine that does not do so itself."""
    probe.run_as(host, login, f"XDG_RUNTIME_DIR=/run/user/{uid} systemctl --user stop 'rrcheck*'")
    host.run(_KILL_OURS.replace("UID", str(uid)).replace("MARK", MARK).replace("OURS", str(_KEYS >> 16)))
    probe.run_as(host, login, canaries.UPROOT)
