"""Helpers that compliance tests share: canaries, a throw-away account, waiting for an event.

All of them are safe on a machine in use: what they make carries the name `rrcheck…`, is removed when the `with` block
ends, and, should a run be killed, is swept away by a later run. Must not know any role or any promise.
"""

from __future__ import annotations

import secrets
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from testinfra.host import Host

from .api import Promise

PREFIX = "rrcheck"

# Removes what a killed run left behind. The hour of its making is in each name; the last two hours are left alone,
# because another run may be at work.
SWEEP = rf"""
now=$(( $(date +%s) / 3600 ))
for a in $(getent passwd | awk -F: '/^{PREFIX}[0-9]+x/ {{print $1}}'); do
  h=${{a#{PREFIX}}}; h=${{h%%x*}}
  [ $((now - h)) -gt 2 ] && {{ pkill -KILL -U "$a"; userdel -f "$a"; }} >/dev/null 2>&1
done
find /run -maxdepth 1 \( -name '{PREFIX}*' -o -name 'reading-room-verify.*' \) -mmin +120 \
  -exec rm -rf {{}} + 2>/dev/null
true
"""

_Seen = TypeVar("_Seen")


def canary() -> str:
    """A word that exists nowhere else; the evidence filter knows its shape and lets none of them out.

    >>> canary().startswith("rrcheck")
    True
    """
    return f"{PREFIX}{int(time.time()) // 3600}x{secrets.token_hex(4)}"


def wait_until(look: Callable[[], _Seen], otherwise: str, *, within: float = 10.0, every: float = 0.2) -> _Seen:
    """Look again and again until something true is seen and return it; after `within` seconds the test fails.

    `otherwise` is the plain sentence for the report. Nothing is slept that need not be: the first look is at once.

    >>> wait_until(lambda: 3, "nothing came")
    3
    """
    began = time.monotonic()
    while not (seen := look()):
        waited = time.monotonic() - began
        if waited >= within:
            raise AssertionError(otherwise)
        pause(waited, every)
    return seen


def none_left(promise: Promise, departed: Sequence[bool | None], what: str, family: str) -> None:
    """Judge what `Wire.departs` saw: the first place is one that may be sent to, and `what` says what was sent to the others."""
    allowed, *found = departed
    if allowed is None:
        promise.not_applicable(f"this machine has no way out over {family}")
    left = sum(map(bool, found))
    assert not left, f"{left} of {len(found)} {what} left the machine over {family}"
    if not allowed:
        promise.not_tested(f"not even what may leave was seen to leave over {family}, so nothing is proved")
    promise.observed(f"{family}: {len(found)} {what} tried, none left the machine; what may leave did")


def pause(waited: float, least: float) -> None:
    """Sleep before the next look: the longer it took so far, the longer, since looks load the machine that is waited for."""
    time.sleep(max(least, min(waited / 10, 1.0)))


@contextmanager
def time_out() -> Iterator[None]:
    """Waiting for what has a limit of its own, such as another check's turn, is no part of this test's time."""
    left = signal.alarm(0)
    try:
        yield
    finally:
        signal.alarm(left)


def run(host: Host, script: str) -> str:
    """Run a shell script that must succeed and return what it printed.

    A failure is an accident of the check (not tested), never a broken promise: use `host.run` to look at exit codes.
    """
    done = host.run("set -e\n" + script)
    if done.rc != 0:
        raise RuntimeError(f"exit code {done.rc} from: {script}\n{done.stderr}")
    return str(done.stdout)


def run_as(host: Host, login: str, script: str) -> tuple[int, str, str]:
    """Run a shell script as another account, without a login session: exit code, output, errors."""
    # over standard input: the journal keeps runuser's command line, and a canary in it would look like a leak
    as_login = f"""runuser -u {shlex.quote(login)} -- /bin/sh -c 'eval "$(cat)"'"""
    done = host.run(f"printf %s {shlex.quote(script)} | {as_login}")
    return done.rc, done.stdout, done.stderr


@contextmanager
def account(host: Host, *, home: bool = False, groups: str = "") -> Iterator[str]:
    """A throw-away unprivileged account without a password; yields its login and takes everything of it away."""
    login = canary()
    options = ["--create-home" if home else "--no-create-home", "--shell", "/bin/sh", "--comment", ""]
    run(host, shlex.join(["useradd", *options, *(["--groups", groups] if groups else []), login]))
    try:
        yield login
    finally:
        host.run(
            f"loginctl terminate-user {login}; pkill -KILL -U {login}; rm -f /var/spool/cron/crontabs/{login}; "
            f"userdel --force {'--remove' if home else ''} {login}; true"
        )


@contextmanager
def folder(host: Host) -> Iterator[str]:
    """A throw-away folder in memory, for root only; yields its path."""
    path = run(host, f"mktemp -d /run/{PREFIX}.XXXXXXXX").strip()
    try:
        yield path
    finally:
        host.run(f"rm -rf {shlex.quote(path)}")


def age(host: Host, path: str, seconds: int) -> None:
    """Make a file look as if it was last touched that long ago."""
    run(host, f"touch --no-create --date=@$(( $(date +%s) - {seconds} )) {shlex.quote(path)}")


_FILES_WITH = r"""
{
  grep -rlaF --devices=skip -e WORD WHERE || true
  find WHERE -xdev -type f | grep -E '\.(gz|xz|zst|bz2)$' | while read -r f; do
    case $f in *.gz) c=zcat;; *.xz) c=xzcat;; *.zst) c=zstdcat;; *) c=bzcat;; esac
    if $c "$f" | grep -qaF -e WORD; then echo "$f"; fi
  done
} 2>/dev/null | sort -u | wc -l
"""


def files_with(host: Host, word: str, *places: str) -> int:
    """How many files below `places` hold the word, compressed ones included; places that are missing hold nothing."""
    script = _FILES_WITH.replace("WHERE", shlex.join(places)).replace("WORD", shlex.quote(word))
    return int(run(host, script))
