"""What is forgotten: a session that nobody ends, a stick that nobody takes along, downloads that nobody deletes.

Nobody waits here for minutes: our own session's terminal is made to look untouched for long, and the machine's own
watcher sees it. It must not know how the role does its work; of the machine it knows the names of its timers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sessions import leftovers
from sessions.session import opened, require_nobody, settle
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise, control

NOTHING = "nothing is promised here"
# How long a watcher may take to see something.
PATIENCE = 25.0
DOWNLOADS = "readingroom-staff-downloads"


@pytest.fixture
def patron(host: Host, promise: Promise) -> Iterator[str]:
    """The patron account's login, when nobody uses it; what a broken machine keeps of ours is taken away after."""
    login = promise.expects("accounts.patron_login")
    uid = require_nobody(host, promise, login)
    yield login
    leftovers.tidy(host, login, uid)


# --- sessions -------------------------------------------------------------------------------------------------------


@control("session.idle-logout")
def test_a_forgotten_session_ends_and_no_other(host: Host, promise: Promise, patron: str) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: sessions may stay open")
        return
    with probe.account(host) as other, opened(host, other) as elsewhere, opened(host, patron) as used:
        with opened(host, patron) as forgotten:
            elsewhere.untouched_for(promise.seconds + 30)
            forgotten.untouched_for(promise.seconds + 30)
            probe.wait_until(
                lambda: not forgotten.is_known(),
                "a session that nobody touched for longer than the policy allows goes on",
                within=PATIENCE,
            )
        assert used.is_known() and used.run("true")[0], "the session that somebody works in was ended as well"
        assert elsewhere.is_known() and elsewhere.run("true")[0], "a session of another account was ended as well"
    promise.observed("a forgotten session was ended; one that is used and one of another account went on")


@control("session.idle-logout")
def test_a_session_is_not_ended_before_its_time(host: Host, promise: Promise, patron: str) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: sessions may stay open")
        return
    with opened(host, patron) as early, opened(host, patron) as late:
        early.untouched_for(promise.seconds - 40)
        late.untouched_for(promise.seconds + 30)
        probe.wait_until(lambda: not late.is_known(), "the watcher did not come round", within=PATIENCE)
        assert early.is_known(), "a session was ended before its time"
    promise.observed("a session with some seconds left went on when a forgotten one was ended")


@control("session.warnings")
def test_each_warning_is_shown_in_its_time(host: Host, promise: Promise, patron: str) -> None:
    limit = promise.expects_seconds("session.idle_logout")
    spans = sorted((_seconds(span) for span in promise.value), reverse=True)
    due = [span for span in spans if limit is not None and span < limit]
    if limit is None or not due:
        promise.observed("nothing is promised: no session ends by itself, or none is warned")
        return
    with opened(host, patron) as session:
        before = session.shown()
        session.untouched_for(limit - due[0] - 60)
        for span in due:
            session.untouched_for(limit - span + 1)
            told = rf"\b{span // 60}\b" if span >= 60 else rf"\b{span}\b"

            def shown(told: str = told, before: str = before) -> bool:
                return bool(re.search(told, session.shown()[len(before) :]))

            probe.wait_until(shown, f"no warning is shown {span} seconds before a session ends", within=PATIENCE)
            before = session.shown()
        assert session.is_known(), "a session was ended while it was being warned"
    promise.observed(f"{len(due)} warnings before the end of a session, each in its time")


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
        stale = {name for name in list(made)[:3]}
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
