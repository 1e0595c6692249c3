"""What is forgotten: a session that nobody ends, a stick that nobody takes along, downloads that nobody deletes.

Nobody waits here for minutes: our own session's terminal is made to look untouched for long, and the machine's own
watcher sees it. It must not know how the role does its work; of the machine it knows its units, and where the watcher
reads its settings.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from sessions.session import opened, settle

# How long a watcher may take to see something.
PATIENCE = 25.0
WATCHER, SETTINGS = "readingroom-session-idle.service", "/etc/readingroom/session-idle.json"
DOWNLOADS = "readingroom-staff-downloads"


# --- sessions -------------------------------------------------------------------------------------------------------


@control("session.idle-logout")
def test_a_forgotten_session_ends_and_no_other(host: Host, promise: Promise, patron: str) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: sessions may stay open")
        return
    _watched_for(host)
    assert host.run(f"systemctl is-enabled {WATCHER}").rc == 0, "nothing watches for forgotten sessions after a restart"
    with ExitStack() as stack:
        other = stack.enter_context(probe.account(host, home=True))
        elsewhere, used, early, forgotten = (
            stack.enter_context(opened(host, login)) for login in (other, patron, patron, patron)
        )
        # a moment is left: what has been idle for too long already would be given a last word of some seconds
        for session in (elsewhere, forgotten):
            session.untouched_for(promise.seconds - 2)
        early.untouched_for(promise.seconds - 40)
        with _watcher_with_short_warnings(host):
            probe.wait_until(
                lambda: not forgotten.is_known(),
                "a session that nobody touched for longer than the policy allows goes on",
                within=PATIENCE,
            )
        going_on = [session.is_known() for session in (used, early, elsewhere)]
    assert going_on[0], "the session that somebody works in was ended as well"
    assert going_on[1], "a session was ended before its time"
    assert going_on[2], "a session of another account was ended as well"
    promise.observed("a forgotten session was ended; one in use, one with time left and one of another account went on")


def _watched_for(host: Host) -> None:
    assert host.run(f"systemctl is-active {WATCHER}").rc == 0, "nothing watches for sessions that are forgotten"


@contextmanager
def _watcher_with_short_warnings(host: Host) -> Iterator[None]:
    """The machine's own watcher once more, with its own settings, but warnings that last seconds."""
    unit = f"{probe.PREFIX}-{secrets.token_hex(4)}"
    start = probe.run(host, f"systemctl show {WATCHER} --property=ExecStart --value")
    program = re.search(r"path=(\S+)", start)
    if not program:
        raise RuntimeError("the watcher's program is unknown")
    shorten = "import json, sys; s = json.load(sys.stdin); s['warnings'] = [1, 2]; print(json.dumps(s))"
    with probe.folder(host) as folder:
        probe.run(host, f"python3 -c {shlex.quote(shorten)} <{SETTINGS} >{folder}/settings")
        command = f"mount --bind {folder}/settings {SETTINGS} && exec {program[1]}"
        probe.run(
            host,
            f"systemd-run --quiet --collect --unit={unit} --description='Reading Room tries the watcher' "
            f"unshare --mount --propagation private sh -c {shlex.quote(command)}",
        )
        try:
            yield
        finally:
            host.run(f"systemctl stop {unit}")


@control("session.warnings")
def test_each_warning_is_shown_in_its_time(host: Host, promise: Promise, patron: str) -> None:
    limit = promise.expects_seconds("session.idle_logout")
    spans = [span for span in map(_seconds, promise.value) if limit is not None and span < limit]
    if limit is None or not spans:
        promise.observed("nothing is promised: no session ends by itself, or none is warned")
        return
    _watched_for(host)
    with ExitStack() as stack:
        early, *sessions = (stack.enter_context(opened(host, patron)) for _ in [0, *spans])
        early.untouched_for(limit - max(spans) - 60)
        for session, span in zip(sessions, spans, strict=True):
            session.untouched_for(limit - span + 2)
        for session, span in zip(sessions, spans, strict=True):
            left = probe.wait_until(
                lambda session=session: _time_left(session.shown()),
                f"no warning is shown {span} seconds before a session ends",
                within=PATIENCE,
            )
            assert span - 30 <= left <= span + 5, f"a warning {span} seconds before the end speaks of {left} seconds"
        assert not _time_left(early.shown()), "a warning is shown before its time"
    promise.observed(f"{len(spans)} warnings before the end of a session, each in its time and with the time left")


def _time_left(shown: str) -> int | None:
    """The seconds that a warning on a terminal speaks of."""
    told = re.findall(r"\b(\d+):(\d\d)\s*$", shown, re.MULTILINE)
    return int(told[-1][0]) * 60 + int(told[-1][1]) if told else None


def _seconds(span: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return int(span[:-1]) * units[span[-1]]


# --- sticks ---------------------------------------------------------------------------------------------------------


@control("session.usb-sticks")
def test_nothing_on_a_stick_starts_by_itself(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    with opened(host, patron) as session:
        said = session.run(
            "for p in autorun autoopen; do xfconf-query -c thunar-volman -p /$p/enabled 2>/dev/null | grep -q true "
            "&& echo $p; done\n"
            "s=org.gnome.desktop.media-handling; gsettings list-schemas 2>/dev/null | grep -qx $s && "
            '[ "$(gsettings get $s autorun-never)" = false ] && echo autorun'
        )[1]
        desktops = session.run("command -v xfconf-query gsettings")[1].split()
    assert not said.split(), "the desktop starts what is on a stick"
    promise.observed(f"{len(desktops)} desktops were asked: none starts anything from a stick")


@control("session.usb-sticks")
def test_a_forgotten_stick_is_removed_at_logout(host: Host, promise: Promise, patron: str) -> None:
    if promise.value != "no-autorun-and-unmounted":
        promise.observed("sticks may stay in, as the policy says")
        return
    stick = f"/media/{patron}/{probe.canary()}"
    with opened(host, patron) as session:
        # a file system in memory stands in for the stick: it is mounted where udisks mounts one
        probe.run(host, f"mkdir -p {stick} && mount -t tmpfs -o uid={session.uid},mode=700,size=1m {stick} {stick}")
        try:
            good, _ = session.run(
                f"echo x >{stick}/letter && (exec 7<{stick}/letter; setsid sleep 600 >/dev/null 2>&1 &)"
            )
            if not good:
                raise RuntimeError("the patron could not use what stands in for a stick")
            session.leave()
            settle(session)
            gone = host.run(f"findmnt {stick}").rc != 0
        finally:
            host.run(f"umount -l {stick}; rmdir {stick}; rmdir /media/{patron}")
    assert gone, "a stick that a patron forgot is still open to the next one"
    promise.observed("a stick that was still in use was removed at logout (a file system in memory stood in for it)")


# --- downloads ------------------------------------------------------------------------------------------------------


@control("session.staff-downloads")
def test_old_downloads_of_staff_are_deleted(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: downloads may stay")
        return
    assert host.run(f"systemctl is-active {DOWNLOADS}.timer").rc == 0, "nothing comes round to delete old downloads"
    with probe.account(host, home=True) as login:
        home = probe.run(host, f"getent passwd {login} | cut -d: -f6").strip()
        old, new = promise.seconds + 3600, 60
        made = {
            "Downloads/old.pdf": (old, old), "Downloads/a folder/old.pdf": (old, old), "Descargas/old.pdf": (old, old),
            "Downloads/new.pdf": (new, new), "Downloads/new but dated long ago.pdf": (old, new), "letter.odt": (old, old),
        }  # fmt: skip
        stale = set(list(made)[:3])
        script = 'cd; mkdir -p "Downloads/a folder" Descargas .config\n'
        script += "echo 'XDG_DOWNLOAD_DIR=\"$HOME/Descargas\"' >.config/user-dirs.dirs\n"
        for name, (written, read) in made.items():
            script += (
                f'echo x >"{name}"; touch -m -d "-{written} seconds" "{name}"; touch -a -d "-{read} seconds" "{name}"\n'
            )
        script += f'touch -d "-{old} seconds" "Downloads/a folder"'
        if probe.run_as(host, login, script)[0] != 0:
            raise RuntimeError("the files could not be made")
        probe.run(host, f"systemctl start {DOWNLOADS}.service")
        left = {name for name in made if host.file(f"{home}/{name}").exists}
    assert not left & stale, (
        f"{len(left & stale)} of {len(stale)} downloads that nobody touched for too long are still there"
    )
    assert left == set(made) - stale, "a file that came lately, or is no download, was deleted as well"
    promise.observed(f"{len(stale)} old downloads: none left; {len(left)} other files were kept")
