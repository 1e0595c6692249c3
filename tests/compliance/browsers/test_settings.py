"""Can somebody at the machine change what is promised, add an extension, or let a site listen?"""

from __future__ import annotations

from browsers.browser import Browser, Sight
from browsers.plays import Plays
from readingroom.verify.api import Promise, control

WATCHER = "watcher@reading-room.example"
HIDDEN = {"firefox": ("about:config",), "chromium": ("chrome://flags/",)}
TOOLS = {"firefox": ("about:debugging", "file:///etc/hostname"), "chromium": ("file:///etc/hostname",)}
ASKABLE = ("geolocation", "notifications", "camera", "microphone")


def closed(sight: Sight, address: str) -> bool:
    """Was another page shown in the place of what was asked for?"""
    shown = sight.found["shown"][address]["shown"]
    return bool(shown.startswith(("about:neterror?e=blockedByPolicy", "chrome-error:")))


@control("browser.settings")
def test_hidden_settings_and_tools_are_closed(browser: Browser, promise: Promise) -> None:
    if promise.value == "nothing":
        promise.observed("nothing is promised: anyone may change the browser's settings")
        return
    browser.heeds()
    asked_for = [*HIDDEN[browser.name], *(TOOLS[browser.name] if promise.value == "settings-and-tools" else ())]
    for address in asked_for:
        browser.can_tell(not closed(browser.found, address), f"that {address} is open")
        what = "files of the machine" if address.startswith("file:") else "a page of hidden settings or tools"
        assert closed(browser.asked, address), f"{browser.title} shows {what}"
    if promise.value == "settings-and-tools":
        if browser.name == "firefox":
            browser.can_tell(browser.found.found["tools"]["shortcut"], "the developer tools")
            assert not browser.locked.found["tools"]["shortcut"], "Firefox offers its developer tools"
        else:
            browser.can_tell(browser.found.found["driven"], "that it takes commands")
            assert not browser.locked.found["driven"], "Chromium can be driven and watched by another program"
    promise.observed(f"{browser.title}: {len(asked_for)} pages of settings and tools are closed")


@control("browser.extensions")
def test_an_extension_that_is_brought_along_does_not_run(browser: Browser, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed("nothing is promised: anyone may add extensions")
        return
    browser.heeds()
    if browser.name == "firefox":
        browser.can_tell(WATCHER in _running(browser.found), "an add-on that is brought along")
        running = _running(browser.locked)
        assert WATCHER not in running, "Firefox runs an add-on that was put into the profile"
        allowed = [] if promise.value == "none" else promise.inputs["browser.allowed_extensions"]
        strange = [one for one in running if one not in allowed]
        assert not strange, f"Firefox runs {len(strange)} add-ons that the library has not chosen"
        browser.can_tell(browser.found.found["state"]["mayAdd"], "that an add-on may be added")
        assert not browser.locked.found["state"]["mayAdd"], "Firefox would add an add-on that nobody has chosen"
    else:
        browser.can_tell(browser.found.requests("/watcher", "tracker"), "an extension that is brought along")
        assert not browser.locked.requests("/watcher", "tracker"), "Chromium runs an extension that was brought along"
    promise.observed(f"{browser.title}: an extension that was brought along did not run")


def _running(sight: Sight) -> list[str]:
    addons = sight.found["state"]["addons"]
    return [one["id"] for one in addons if one["active"] and one["type"] == "extension"]


@control("browser.permissions")
def test_sites_cannot_listen_look_or_interrupt(browser: Browser, promise: Promise) -> None:
    if promise.value == "ask":
        promise.observed("nothing is promised: sites may ask")
        return
    without, said = browser.found.visited(), browser.locked.visited()
    browser.heeds()
    for name in ASKABLE:
        browser.can_tell(without[name] in ("prompt", "granted"), f"that a site may ask for {name}")
        assert said[name] == "denied", f"a site may ask for {name} in {browser.title}"
    assert said["place"] != "granted", f"a site learns the location in {browser.title}"
    browser.can_tell(without["popup"] == "opened", "a window that a site opens unasked")
    assert said["popup"] == "refused", f"a site can open windows unasked in {browser.title}"
    promise.observed(f"{browser.title}: {len(ASKABLE)} permissions are denied, and no window opens unasked")


@control("browser.homepage")
def test_the_browser_opens_with_what_is_promised(browser: Browser, promise: Promise) -> None:
    browser.heeds()
    address = promise.value
    sight = browser.asked if browser.name == "chromium" else browser.locked
    if address == "about:blank":
        opened = sight.found["first"]
        assert set(opened) <= {"about:blank"}, f"{browser.title} does not open with an empty page"
    else:
        _, _, rest = address.partition("://")
        host, _, path = rest.partition("/")
        asked = sight.requests(f"/{path}", host)
        if not asked and browser.always_incognito():
            promise.unsupported(
                "Chromium, kept in its incognito mode, opens with an empty page and offers a home button"
            )
        assert asked, f"{browser.title} does not open with the page that is promised"
    promise.observed(f"{browser.title} opened with what is promised")


@control("browser.homepage")
def test_the_librarys_bookmarks_are_there(browser: Browser, promise: Promise) -> None:
    wanted = [one["url"] for one in promise.inputs["browser.bookmarks"]]
    if browser.name == "firefox":
        there = [one["url"] for one in browser.locked.found["state"]["bookmarks"]]
    else:
        value = browser.asked.found["policy"]["set"].get("ManagedBookmarks", {}).get("value", [])
        there = [one["url"] for one in value if "url" in one]
    missing = [url for url in wanted if url not in there]
    assert not missing, f"{len(missing)} of {len(wanted)} bookmarks of the library are missing in {browser.title}"
    promise.observed(f"{browser.title} shows {len(wanted)} bookmarks of the library")


@control("browser.search-engine")
def test_a_search_goes_to_the_engine_that_is_promised(browser: Browser, promise: Promise, tried: Plays) -> None:
    if promise.value == "default":
        promise.observed("nothing is promised: the browser searches with its maker's engine")
        return
    browser.heeds()
    host, path = tried.search_place()
    searched = [one for one in browser.locked.requests(path, host) if f"{browser.base}search" in one["query"]]
    assert searched, f"a search in {browser.title} does not go to the library's engine"
    if browser.name == "firefox":
        found = browser.locked.found["state"]["search"]
        others = [name for name in ("normal", "private") if host not in found[name]["url"]]
        assert not others, f"Firefox searches elsewhere in {others[0]} windows" if others else ""
    promise.observed(f"a search in {browser.title} went to the library's engine")
