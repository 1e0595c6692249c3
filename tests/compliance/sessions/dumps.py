"""Crashes, and what may be kept of them. Must not know any promise."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from testinfra.host import Host

from readingroom.verify import probe

from .search import Search
from .session import Session

# Where copies of memory are put; and systemd's own program, to which the kernel may hand them.
_PLACES = "/var/lib/systemd/coredump /var/crash /var/lib/apport /var/spool/abrt"
_COREDUMP = "/usr/lib/systemd/systemd-coredump"


def crash(session: Session) -> tuple[str, str]:
    """Crash programs of the session: the word that was in their memory, and the one on their command line."""
    memory, line = probe.canary(), probe.canary()
    # the script comes by standard input, so that its word is in the memory only
    crashing = f"printf 'x={memory}\\nkill -SEGV $$\\n' | sh -s {line}"
    # all the account can do to have a dump, from its home and from a temporary folder, and as a service of its own
    session.run(
        f'ulimit -c "$(ulimit -Hc)"; {crashing}; mkdir -p ~/core-folder; cd ~/core-folder; {crashing}\n'
        f"cd /tmp; {crashing}; rm -f core\n"
        f"printf 'ulimit -c \"$(ulimit -Hc)\"; x={memory}; kill -SEGV $$\\n' >~/crash.sh; cd\n"
        "systemd-run --user --quiet --wait --description=x --same-dir sh crash.sh; rm -f ~/crash.sh"
    )
    return memory, line


def hand_over_to_coredump(host: Host, session: Session, word: str) -> None:
    """Hand a crash to systemd's own collector, where it is installed, as a kernel does that is told to."""
    pid = f"$(pgrep -U {session.uid} | head -n 1)"
    host.run(
        f"[ -x {_COREDUMP} ] && printf 'x=%s' {word} | timeout 10 {_COREDUMP} {pid} {session.uid} {session.uid} 11 "
        "$(date +%s)000000 18446744073709551615 localhost"
    )


def files(host: Host, search: Search) -> int:
    """How many copies of memory appeared where systems keep them; they may be compressed, so contents tell nothing."""
    return int(probe.run(host, f"find {_PLACES} -type f -cnewer {search.folder}/began 2>/dev/null | wc -l"))


@contextmanager
def cleared(host: Host, search: Search) -> Iterator[None]:
    """Take away what our crash left."""
    try:
        yield
    finally:
        owner = shlex.quote(str(search.uid))
        host.run(
            f"find {_PLACES} -type f -name '*.{owner}.*' -cnewer {search.folder}/began -delete 2>/dev/null; "
            f"find /tmp -xdev -user {owner} -name 'core*' -delete"
        )
