"""Is what a patron leaves gone when the session is over: what was saved, what still runs, what lies in temporary folders?

Real sessions of the patron account are opened through `login` and the display manager's PAM, words are planted through
the doors that real programs use, the sessions end in every way they can, and the whole machine is searched. A session
that somebody else has open is left alone: then nothing can be told. It must not know how the role does its work.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from sessions import canaries, leftovers
from sessions import search as searching
from sessions.session import CONSOLE, SCREEN, doors, opened, over, require_nobody, settle

AT = {CONSOLE: "at the console", SCREEN: "at the screen"}


# --- what was saved -------------------------------------------------------------------------------------------------


@control("session.reset")
def test_the_next_patron_finds_nothing_even_at_once(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "kept":
        promise.observed(NOTHING)
        return
    with opened(host, patron) as first:
        fresh = leftovers.home(first)
        words = canaries.plant(first, canaries.HOME)
        first.leave()
        # no waiting: the next in the queue is already typing
        with opened(host, patron) as second:
            seen = leftovers.seen_from_inside(second, words)
            again = leftovers.home(second)
    left = sorted({words[word] for word in seen})
    assert not left, f"the next patron finds {len(left)} of {len(words)} things of the one before: {', '.join(left)}"
    assert again == fresh, "the next patron does not find the home as the one before found it"
    promise.observed(f"{len(words)} things planted, none found by who logged in right after; the home was fresh again")


@control("session.reset")
def test_nothing_that_was_saved_is_left_on_the_machine(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "kept":
        promise.observed(NOTHING)
        return
    uid = require_nobody(host, promise, patron)
    with searching.begun(host, uid) as search:
        with opened(host, patron) as session:
            words = canaries.plant(session, canaries.HOME)
            elsewhere, folders = canaries.plant_elsewhere(session)
            found = search.look([*words, elsewhere])
            missed = set(words) - found.words()
            if missed or (folders and elsewhere not in found.words()):
                raise RuntimeError(f"the search misses {len(missed)} planted things, so it proves nothing")
            on_disk = found.words("disk")
            session.leave()
            settle(session)
        left = search.look([*words, elsewhere])
    if promise.value == "memory":
        assert not on_disk, f"{len(on_disk)} things that a patron saves lie on the disk while the session lasts"
    names = sorted({words.get(word, "a file outside the home") for word in left.words()})
    assert not names, f"after the session {len(names)} things of it are still there: {', '.join(names)}"
    files = left.files(outside=[session.home, *canaries.TEMPORARY_FOLDERS])
    assert files == 0, f"after the session {files} files of the patron account are still there"
    where = "in memory only, " if promise.value == "memory" else ""
    promise.observed(f"{len(words)} things saved, {where}and in {folders} folders outside the home: none left")


@control("session.reset")
@pytest.mark.parametrize("end", ["terminate", "crash"])
def test_nothing_is_left_of_a_session_that_is_cut_off(host: Host, promise: Promise, patron: str, end: str) -> None:
    if promise.value == "kept":
        promise.observed(NOTHING)
        return
    uid = require_nobody(host, promise, patron)
    words: dict[str, str] = {}
    with searching.begun(host, uid) as search:
        for door in doors(host):
            with opened(host, patron, door) as session:
                words |= dict.fromkeys(canaries.plant(session, canaries.HOME), AT[door])
                getattr(session, end)()
                settle(session)
        left = {words[word] for word in search.look(words).words()}
    how = "was cut off" if end == "terminate" else "crashed"
    assert not left, f"things of a session that {how} are still there (a session {', '.join(sorted(left))})"
    with opened(host, patron) as next_one:
        good, _ = next_one.run("echo x >~/x && [ -s ~/x ]")
    assert good, f"after a session that {how}, the next patron cannot save a file"
    promise.observed(f"{len(words)} things in sessions that {how}: none left")


@control("session.reset")
def test_a_full_home_does_not_spoil_the_next_session(host: Host, promise: Promise, patron: str) -> None:
    if promise.value != "memory":
        promise.observed("the home is on the disk, which nobody fills up for a test")
        return
    with opened(host, patron) as session:
        room = leftovers.room_in_memory(session)
        if room is None:
            promise.observed("filling the home would take too much of this machine's memory")
            return
        session.run(f"dd if=/dev/zero of=~/full bs=1M count={room // 2**20 + 1} 2>/dev/null")
        full = not session.run("echo $PATH >~/more && sync ~/more && [ -s ~/more ]")[0]
        session.leave()
        settle(session)
    with opened(host, patron) as next_one:
        good, _ = next_one.run("[ ! -e ~/full ] && echo x >~/x && [ -s ~/x ]")
    if not full:
        raise RuntimeError("the home could not be filled, so nothing was tried")
    assert good, "after a session that filled the home, the next patron cannot save a file"
    promise.observed("a session filled its home; the next one found room again")


# --- what still runs ------------------------------------------------------------------------------------------------


@control("session.leftover-programs")
@pytest.mark.parametrize("end", ["leave", "terminate", "kill_leader"])
def test_no_program_outlives_its_session(host: Host, promise: Promise, patron: str, end: str) -> None:
    if promise.value == "go-on":
        promise.observed(NOTHING)
        return
    uid = require_nobody(host, promise, patron)
    door = CONSOLE if end != "kill_leader" else doors(host)[-1]
    with searching.begun(host, uid) as search:
        with opened(host, patron, door) as session:
            kinds = leftovers.start_programs(session)
            before = search.look()
            if len(before.processes) < len(kinds) or len(before.ipc) < len(leftovers.IPC):
                raise RuntimeError("the search does not see what was started, so it proves nothing")
            getattr(session, end)()
            over(promise, session)
        after = search.look()
    assert not after.processes, f"{len(after.processes)} programs of a session that is over still run"
    assert not after.ipc, f"{len(after.ipc)} pieces of shared memory of a session that is over are still there"
    promise.observed(f"{len(kinds)} kinds of programs and {len(before.ipc)} pieces of shared memory: none left")


@control("session.leftover-programs")
def test_nothing_starts_by_itself_after_a_session(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "go-on":
        promise.observed(NOTHING)
        return
    uid = require_nobody(host, promise, patron)
    before = leftovers.arranged(host, patron, uid)
    try:
        with opened(host, patron) as session:
            tried = leftovers.arrange_a_start(session)
            session.leave()
            settle(session)
        left = leftovers.arranged(host, patron, uid)
    finally:
        leftovers.cancel_arranged(host, patron, uid, set(leftovers.arranged(host, patron, uid)) - set(before))
    assert not left, f"a patron's program can start when the session is long over: {', '.join(left)}"
    promise.observed(f"{tried} ways to start a program later were tried: none is open")


@control("session.leftover-programs")
def test_the_end_of_a_session_leaves_others_alone(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "go-on":
        promise.observed(NOTHING)
        return
    with ExitStack() as stack:
        login = stack.enter_context(probe.account(host, home=True))
        other = stack.enter_context(opened(host, login))
        other.must("echo x >~/kept; (sleep 300 >/dev/null 2>&1 & echo $! >~/number)")
        leftovers.share_memory(other)
        for end in ("leave", "crash"):
            with opened(host, patron) as session:
                getattr(session, end)()
                over(promise, session)
        good, _ = other.run("[ -s ~/kept ] && kill -0 $(cat ~/number)")
        with searching.begun(host, other.uid) as search:
            shared = search.look().ipc
    assert good, "the end of a patron's session ended programs or deleted files of somebody else"
    assert shared, "the end of a patron's session deleted shared memory of somebody else"
    promise.observed("another account's session, its program, file and shared memory went on")
