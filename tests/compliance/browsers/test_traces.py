"""What is left of a visit, a form and a download, once the browser is closed or has been ended by force?"""

from __future__ import annotations

from browsers.browser import Browser
from readingroom.verify.api import Promise, control

VISIT = ("host", "path", "title", "cookie", "script", "local", "database", "cache", "icon", "worker", "second", "plain",
         "search", "other")  # fmt: skip
# What any browser leaves without a policy; the others come and go with its version.
SURE = {"host", "title", "cookie", "script", "local", "database", "cache"}
# A home goes with its session, and so do the folders for temporary files (see the promises of the session).
ERASED = ("~/", "/tmp/", "/var/tmp/", "/run/user/", "/dev/shm/")
# where Firefox, as it closes, puts what sites have stored, and forgets it
DOOMED = "/storage/to-be-removed/"
TYPED = ("typed", "password")
# where Chromium keeps its windows as they stand, half-filled forms among it: that is part of the history
WINDOWS = "/Sessions/"


@control("browser.history")
def test_a_visit_leaves_no_trace_that_is_not_promised(browser: Browser, promise: Promise) -> None:
    if promise.value == "keep":
        promise.observed("nothing is promised: the browser may keep a history")
        return
    unseen = SURE - set(browser.found.traces("left", SURE))
    browser.can_tell(not unseen, f"these traces of a visit: {', '.join(sorted(unseen))}")
    browser.locked.visited()
    browser.heeds()
    if promise.value == "cleared-on-exit" and browser.name == "chromium":
        promise.unsupported("Chromium clears nothing when a session ends with it, only when its last window is closed")
    closed = browser.locked.traces("closed", VISIT, beside=DOOMED if promise.value == "cleared-on-exit" else "")
    assert not closed, f"{browser.title}, closed as usual, has kept of a visit: {', '.join(closed)}"
    if promise.value == "never":
        killed = browser.locked.traces("killed", VISIT)
        assert not killed, f"{browser.title}, ended by force, has kept of a visit: {', '.join(killed)}"
    if browser.locked.traces("closed", VISIT):
        promise.unsupported("Firefox removes what sites have stored only when it is started the next time")
    ways = "ended by force and closed" if promise.value == "never" else "closed"
    promise.observed(f"{browser.title}: a visit with {len(VISIT)} kinds of trace, {ways}: none left")


@control("browser.saved-secrets")
def test_what_is_typed_is_not_kept(browser: Browser, promise: Promise) -> None:
    if promise.value == "ask":
        promise.observed("nothing is promised: the browser may offer to remember")
        return
    browser.heeds()
    if browser.name == "firefox":
        without, state = browser.found.found["state"], browser.locked.found["state"]
        browser.can_tell("password" in without["prompts"], "the offer to save a password")
        assert "password" not in state["prompts"], "Firefox offers to save a password"
        assert not state["offers"], "Firefox would save passwords"
        assert not state["forms"], "Firefox remembers what was typed into a form"
    else:
        browser.can_tell(browser.found.traces("left", ["typed"]), "what was typed into a form")
    assert browser.asked.requests("/sent"), "the form of the check was not sent"
    for when in ("killed", "closed") if browser.name == "firefox" else ("killed",):
        left = browser.asked.traces(when, TYPED, beside=WINDOWS if browser.name == "chromium" else "")
        assert not left, f"{browser.title} has kept what was typed: {', '.join(left)}"
    promise.observed(f"{browser.title}: a form and a password were typed and sent; nothing of them was offered or kept")


@control("browser.downloads")
def test_a_download_lands_where_it_is_erased(browser: Browser, promise: Promise) -> None:
    if promise.value == "anywhere":
        promise.observed("nothing is promised: downloads go where the browser is told")
        return
    browser.can_tell(browser.found.found["downloads"], "a download")
    browser.heeds()
    places = browser.locked.found["downloads"]
    assert places, f"{browser.title} has not saved a download that was asked for"
    strange = [place for place in places if not place.startswith(ERASED)]
    assert not strange, f"{browser.title} saves downloads in {len(strange)} places that outlive the session"
    promise.observed(f"{browser.title}: a download landed in a folder that goes with the session")
