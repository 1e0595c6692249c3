"""Opens real login sessions on the machine, works in them, and ends them in every way a session can end.

A session of ours is one that we opened ourselves; no other is ever touched. Must not know any promise.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise

ON_MACHINE = Path(__file__).with_name("on_machine")
# The ways in. Each goes through PAM's own service of that name, as the real door does.
CONSOLE, SCREEN = "login", "lightdm"
# Waits there until the session can be worked in, for 20 seconds at most: asking from here costs more than opening it.
_OPEN = """
for i in $(seq 400); do
  [ -e {folder}/heard ] && exit 0
  [ $((i % 20)) != 0 ] || ! systemctl --quiet is-failed {unit} || exit 0
  sleep 0.05
done
exit 1
"""
IN_USE = "somebody is using the patron account just now; verify again when nobody sits at the machine"


@dataclass
class Session:
    """A login session of ours that is open; `id` is logind's name for it, `took` the seconds in which it opened."""

    host: Host
    login: str
    uid: int
    door: str
    folder: str
    unit: str
    id: str = ""
    leader: int = 0
    tty: str = ""
    home: str = ""
    took: float = 0.0
    over: bool = field(default=False, repr=False)

    def run(self, script: str, *, within: int = 20) -> tuple[bool, str]:
        """Run a script in the session, as its user, in the home: did it succeed, and what did it print."""
        done = self.host.run(
            f"timeout 5 sh -c 'cat >{self.folder}/ask' <<'RRCHECK'\n{script}\nRRCHECK\n"
            f"timeout {within} cat {self.folder}/answer"
        )
        said, mark, code = str(done.stdout).rpartition("=")
        if not mark:
            raise RuntimeError("the session does not answer")
        return code.strip() == "0", said.strip("\n")

    def must(self, script: str) -> str:
        """Run a script that has to succeed, or the check itself does not work."""
        good, said = self.run(script)
        if not good:
            raise RuntimeError(f"a command in the session failed: {said}")
        return said

    def leave(self) -> None:
        """Log out, as a patron does."""
        self.over = True
        self.host.run(f"echo bye | timeout 5 tee {self.folder}/ask")

    def terminate(self) -> None:
        """Let logind end it, as an idle watcher or an administrator does."""
        self.over = True
        self.host.run(f"loginctl terminate-session {self.id}")

    def kill_leader(self) -> None:
        """Kill -9 what holds the session and nothing else: PAM never hears of the end, and its programs live on."""
        self.over = True
        self.host.run(f"systemctl kill --signal=KILL {self.unit}; kill -KILL {self.leader}")

    def crash(self) -> None:
        """Kill -9 everything in it at one blow, as when the display manager and all below it dies."""
        self.over = True
        self.host.run(f"systemctl kill --signal=KILL {self.unit} session-{self.id}.scope")

    def shown(self) -> str:
        """What its terminal has shown so far."""
        return str(self.host.run(f"cat {self.folder}/kept/shown").stdout)

    def untouched_for(self, seconds: float) -> None:
        """Let it look as if nobody had touched its keyboard for so long."""
        probe.run(self.host, f"touch --no-create -a --date=@$(( $(date +%s) - {int(seconds)} )) {self.tty}")

    def is_known(self) -> bool:
        """Does logind still list it, open or closing?"""
        return bool(self.host.run(f"loginctl show-session {self.id} --property=Id").rc == 0)

    def property(self, name: str) -> str:
        """What logind says of it."""
        return str(self.host.run(f"loginctl show-session {self.id} --property={name} --value").stdout).strip()


def open_session(host: Host, login: str, door: str = CONSOLE) -> Session:
    """Log `login` in and return when its session can be worked in; without a password, since root opens the door."""
    began = time.monotonic()
    folder = probe.run(host, f"mktemp -d /run/{probe.PREFIX}.XXXXXXXX").strip()
    uid = int(probe.run(host, f"id -u {shlex.quote(login)}"))
    session = Session(host, login, uid, door, folder, f"{probe.PREFIX}-{secrets.token_hex(4)}")
    agent, terminal = (shlex.quote((ON_MACHINE / name).read_text()) for name in ("agent.sh", "terminal.py"))
    quoted = shlex.quote(login)
    # `systemd-run`, or we would be inside the session that we came in with, and logind opens none in another
    start = f"systemd-run --quiet --collect --unit={session.unit} --description='Reading Room opens a session'"
    if door == CONSOLE:
        start += f" python3 {folder}/terminal.py {quoted} {folder}"
    else:
        start += (
            f" --property=PAMName={door} --property=User={quoted} --property=WorkingDirectory=~"
            f" --setenv=XDG_SESSION_CLASS=user --setenv=XDG_SESSION_TYPE=tty /bin/sh {folder}/agent"
        )
    probe.run(
        host,
        f"cd {folder}; printf %s {agent} >agent; printf %s {terminal} >terminal.py\n"
        "mkfifo ask answer; mkdir -m 700 kept; chmod 755 .\n"
        f"chown {uid} . ask answer; {start}",
    )
    try:
        assert host.run(_OPEN.format(folder=folder, unit=session.unit)).rc == 0, (
            "nobody can log in with the patron account"
        )
        where = session.must('echo "$XDG_SESSION_ID"; echo "$HOME"').splitlines()
    except BaseException:
        _tidy(session)
        raise
    session.id, session.home, session.took = where[0], where[1], time.monotonic() - began
    session.leader = int(session.property("Leader") or 0) if session.id else 0
    session.tty = str(host.run(f"grep ^/dev/ {folder}/tty").stdout).strip()
    return session


@contextmanager
def opened(host: Host, login: str, door: str = CONSOLE) -> Iterator[Session]:
    """A session that is over when the block ends, and everything of ours around it gone."""
    session = open_session(host, login, door)
    try:
        yield session
    finally:
        _tidy(session)


def _tidy(session: Session) -> None:
    # where it was ended meanwhile, nobody hears a word of ours
    if not session.over and session.is_known():
        session.leave()
    session.host.run(
        f"for i in 1 2 3 4 5 6 7 8; do systemctl is-active --quiet {session.unit} || break; sleep 0.1; done\n"
        f"systemctl stop {session.unit}; rm -rf {session.folder}"
    )


def doors(host: Host) -> list[str]:
    """The ways in that this machine has."""
    return [CONSOLE, *([SCREEN] if host.file(f"/etc/pam.d/{SCREEN}").exists else [])]


def others(host: Host, uid: int, *ours: Session) -> list[str]:
    """logind's names for the living sessions of an account that are not ours.

    Its own service manager is no session, and one that is closing has nobody in it any more.
    """
    mine = {session.id for session in ours}
    found = []
    for line in host.run("loginctl list-sessions --no-legend").stdout.splitlines():
        words = line.split()
        if len(words) > 2 and words[1] == str(uid) and words[0] not in mine and not re.search(r"\bmanager", line):
            state = host.run(f"loginctl show-session {words[0]} --property=State --value").stdout.strip()
            found += [words[0]] if state not in ("", "closing") else []
    return found


def require_nobody(host: Host, promise: Promise, login: str) -> int:
    """The number of the patron account, if nobody is using it just now; else the promise cannot be tested."""
    answer = host.run(f"id -u {shlex.quote(login)}")
    if answer.rc != 0:
        promise.not_tested("there is no patron account on this machine")
    if others(host, int(answer.stdout)):
        promise.not_tested(IN_USE)
    return int(answer.stdout)


def over(promise: Promise, session: Session) -> None:
    """Wait until an ended session of ours is over in every respect: it is gone, and so is its account's manager."""
    if not settle(session):
        if others(session.host, session.uid, session):
            promise.not_tested(IN_USE)
        raise AssertionError("a session is not over some seconds after its end")


def settle(*sessions: Session) -> bool:
    """Wait for the same, but let it be if something lives on, for whether it may is another promise; is it over?

    A machine that was slow to open a session is given more time to end it.
    """
    took = max(session.took for session in sessions)
    first = sessions[0]
    return rest(first.host, first.uid, *(one.id for one in sessions), within=12 + 8 * took, still=2 + 4 * took)


def rest(host: Host, uid: int, *ids: str, within: float = 20.0, still: float = 8.0) -> bool:
    """Wait until these sessions of an account are gone, and what runs for it between sessions; is it so?

    Where nothing moves any more for `still` seconds, there is nothing to wait for.
    """
    manager = f"user@{uid}.service"
    units = " ".join([manager, *(f"session-{one}.scope" for one in ids)])
    look = (
        f"echo manager=$(systemctl show {manager} --property=ActiveState --value); pgrep -c -U {uid}; "
        f"systemctl show {units} --property=ActiveState,SubState,Job; "
        f"for one in {' '.join(ids)}; do loginctl show-session $one --property=Id,State; done"
    )
    began, since, before = time.monotonic(), time.monotonic(), ""
    while True:
        seen, now = str(host.run(look).stdout), time.monotonic()
        if "\nId=" not in seen and re.search(r"^manager=(inactive|failed)", seen, re.MULTILINE):
            return True
        if seen != before or "deactivating" in seen:
            since, before = now, seen
        if now - since > still or now > began + within:
            return False
        probe.pause(now - began, 0.05)
