"""Does a screen that nobody touches lock, and does only the password open it? Do the screens that are open just now?

A throw-away account works on a display in memory, as the machine starts everybody's session. Nobody waits here for the
policy's minutes: X is asked when it would lock, and is told that the time is over. Nobody else's screen is locked. It must
not know how the role does its work; of the machine it knows one unit.
"""

from __future__ import annotations

import json
import shlex

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from screens.screen import ON_MACHINE, Screen, screen

# How long the machine may take to notice a new session, or that somebody set another time.
PATIENCE = 15.0
# How long one try of a password may take to open it; PAM lets a wrong one wait for two seconds.
TRY = 3.0
# What keeps all screens; it has to come back when the machine is switched on again.
WATCH = "readingroom-screen-lock.service"
# Programs that make a Wayland desktop. Their sessions have lockers of their own, which no role keeps yet.
COMPOSITORS = "gnome-shell kwin_wayland labwc wayfire sway weston cosmic-comp hyprland"


@pytest.fixture
def here(host: Host, promise: Promise) -> None:
    """A machine with a desktop that these checks know; else says why nothing can be told."""
    if promise.seconds is None:
        return
    seen = host.run("ls /usr/share/xsessions /usr/share/wayland-sessions 2>/dev/null | grep -c 'desktop$'")
    if seen.stdout.strip() == "0":
        promise.not_applicable("this machine has no desktop")
    can = host.run(
        f"ls /usr/share/wayland-sessions/*.desktop >/dev/null && for one in {COMPOSITORS}; do command -v $one; done"
    )
    if can.stdout.strip():
        promise.not_tested("people can choose a Wayland desktop here, whose lock this check does not know yet")


@control("screen.lock")
@pytest.mark.usefixtures("here")
def test_a_screen_that_nobody_touches_locks(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed(NOTHING)
        return
    with screen(host, promise) as ours:
        probe.wait_until(ours.has_locker, "nothing waits to lock the screen of a session", within=PATIENCE)
        probe.wait_until(
            lambda: 0 < ours.time() <= promise.seconds,
            "a screen that nobody touches does not lock within the time, or never",
            within=PATIENCE,
        )
        assert host.run(f"systemctl is-enabled {WATCH}").rc == 0, (
            "no screen locks after the machine was switched on again"
        )
        ours.remember()
        # the worst case first: somebody went away and left a menu open
        ours.open_a_menu()
        ours.run("xset s activate")
        _locked(ours, "a screen that nobody touched for long enough, with a menu left open")
        ours.close_the_menu()
        # asked again, once by each way, it is still one lock
        ours.run("xset s activate")
        probe.run(host, f"loginctl lock-session {ours.session.id}")
        ours.answer(ours.password[::-1])
        assert not ours.opens_within(TRY), "a wrong password opens a locked screen"
        _opens(ours)
        # by the desktop's own button, where it has one
        ours.press_lock()
        _locked(ours, "a session that is told to lock")
    promise.observed(
        "a screen locked: nothing of it was to be seen, keys went nowhere, and only the right password opened it"
    )


def _locked(ours: Screen, what: str) -> None:
    probe.wait_until(ours.is_covered, f"{what} still shows what is on it")
    assert not ours.gets_keys(), f"{what} is dark, and keys still reach the programs on it"
    assert ours.is_covered(), f"{what} shows what is on it as soon as somebody types"


def _opens(ours: Screen) -> None:
    """The right password opens it, once the locker has got over the wrong one, and it stays open."""

    def opens() -> bool:
        ours.answer(ours.password)
        return ours.opens_within(TRY)

    probe.wait_until(opens, "the right password does not open a locked screen", within=25, every=0)
    stays = ours.gets_keys() and ours.is_shown()
    assert stays, "a screen that was opened locks again at once"


@control("screen.lock")
@pytest.mark.usefixtures("here")
def test_the_screens_that_are_open_now_will_lock(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed(NOTHING)
        return
    limit = promise.seconds

    def late(times: list[dict[str, int | None]]) -> int:
        return sum(one["time"] is not None and not 0 < one["time"] <= limit for one in times)

    found = _open(host)
    if found["wayland"]:
        promise.not_tested(f"{len(found['wayland'])} people work on Wayland, whose lock this check does not know yet")
    # a session may have begun, and a time been set, a moment ago
    probe.wait_until(
        lambda: not late(_open(host)["x11"]),
        f"{late(found['x11'])} screens that are open lock too late, or never",
        within=PATIENCE,
    )
    probe.wait_until(
        lambda: all(one["waits"] for one in _open(host)["x11"]),
        "a screen that is open has nothing that locks it",
        within=PATIENCE,
    )
    promise.observed(f"{len(_open(host)['x11'])} screens of others are open, each locks in its time")


def _open(host: Host) -> dict[str, list[dict[str, int | None]]]:
    program = shlex.quote((ON_MACHINE / "open_screens.py").read_text())
    found: dict[str, list[dict[str, int | None]]] = json.loads(
        probe.run(host, f"python3 -IBS -c {program} {probe.PREFIX}")
    )
    return found
