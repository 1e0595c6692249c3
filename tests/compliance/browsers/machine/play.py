"""One play: a browser is started, shown the small internet, killed, started again and closed; what was seen is JSON.

    unshare --net --mount --pid --ipc --fork --kill-child --mount-proc python3 plays.pyz <job >result

The plays: `locked` under the policy of the machine as it is; `found` without any policy, to prove that what `locked`
does not show would have been seen; `asked` (Chromium) under the policy less what closes the DevTools protocol, so that
Chromium can be asked what it believes. Must not know promises, values or verdicts.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import chromium
import firefox
import pages
from seat import Seat

# What somebody at the machine could have written into the profile, to get rid of what is promised.
FIREFOX_WISHES: dict[str, Any] = {
    "network.cookie.cookieBehavior": 0,
    "network.cookie.cookieBehavior.pbmode": 0,
    "privacy.trackingprotection.enabled": False,
    "privacy.trackingprotection.pbmode.enabled": False,
    "privacy.globalprivacycontrol.enabled": False,
    "privacy.globalprivacycontrol.pbmode.enabled": False,
    "dom.security.https_only_mode": False,
    "dom.security.https_only_mode_pbm": False,
    "dom.security.https_first": False,
    "dom.security.https_first_pbm": False,
    "dom.security.https_first_schemeless": False,
    "dom.disable_open_during_load": False,
    "browser.privatebrowsing.autostart": False,
    "privacy.sanitize.sanitizeOnShutdown": False,
    "signon.rememberSignons": True,
    "browser.formfill.enable": True,
    "network.trr.mode": 2,
    "network.captive-portal-service.enabled": True,
    "browser.startup.homepage": "https://wished.example/",
    "extensions.autoDisableScopes": 0,
    "extensions.startupScanScopes": 15,
    "xpinstall.signatures.required": False,
}
CHROMIUM_WISHES: dict[str, Any] = {
    "profile": {
        "cookie_controls_mode": 0, "block_third_party_cookies": False,
        "default_content_setting_values": {
            "popups": 1, "geolocation": 1, "notifications": 1, "media_stream_camera": 1, "media_stream_mic": 1,
        },
    },
    "https_only_mode_enabled": False,
    "credentials_enable_service": True,
}  # fmt: skip
# What keeps the DevTools protocol shut, or the page on which Chromium tells of its policy.
CLOSES = ("DeveloperToolsAvailability", "RemoteDebuggingAllowed")
LOOKED_AT = (
    "about:config",
    "about:debugging",
    "about:addons",
    "about:support",
    "about:profiles",
    "file:///etc/hostname",
)
LOOKED_AT_CHROMIUM = ("chrome://flags/", "file:///etc/hostname")


def main() -> None:
    """Do the job on standard input, within its time: this process is the first of its namespace and ends all others."""
    job = json.load(sys.stdin)
    timer = threading.Timer(job["seconds"], _over)
    timer.daemon = True
    timer.start()
    seat = Seat(job)
    try:
        said = PLAYS[job["browser"], job["play"]](seat, job)
        said |= seat.record.plain()
    except Exception:
        said = {"failed": traceback.format_exc()[-2000:] + seat.output()}
    print(json.dumps(said), flush=True)
    os._exit(0)


def _over() -> None:
    print(json.dumps({"failed": "the time of this play was over"}), flush=True)
    os._exit(1)


def _urls(seat: Seat, job: dict[str, Any]) -> dict[str, str]:
    hosts = pages.names(seat.base)
    return {
        "visit": f"https://{hosts['first']}/visit",
        "second": f"https://{hosts['second']}/second",
        "upgrade": f"http://{hosts['second']}/upgrade",
        "slow": f"http://{hosts['second']}/slow",
        "plain": f"http://{hosts['plain']}/plain",
        "form": f"https://{hosts['first']}/form",
        "note": f"https://{hosts['first']}/note",
        **{f"allowed-{place}": f"http://{host}/allowed" for place, host in enumerate(job["allowed"])},
    }


def _toured(seat: Seat, job: dict[str, Any], within: float = 90) -> None:
    """Wait until the pages have said all that they have to say; raises `TimeoutError`."""
    record = seat.record
    if not record.wait(lambda: record.asked("/second-done") and record.asked("/download"), within):
        raise TimeoutError("the pages of the check were not shown to their end")
    # A host that may not be reached is never heard of: then this takes its time.
    record.wait(lambda: len({one["host"] for one in record.asked("/allowed")}) == len(job["allowed"]), 20)


def _again(seat: Seat, before: int) -> None:
    """Wait for the visit of the second run, without which its end would leave nothing to find; raises `TimeoutError`."""
    if not seat.record.wait(lambda: len(seat.record.asked("/report")) > before, 60):
        raise TimeoutError("the page of the check was not shown a second time")


def _forms(seat: Seat) -> tuple[tuple[str, list[str]], ...]:
    """What is typed into which page."""
    return ("note", [seat.base + "typed"]), ("form", [seat.base + "typed", seat.base + "password"])


def _filled(seat: Seat, name: str, type_: Callable[[], Any]) -> None:
    """Once the page is there, type; until the form has been sent."""
    seat.record.wait(lambda: seat.record.asked(f"/{name}-ready"), 10)
    before = len(seat.record.asked("/sent"))
    type_()
    seat.record.wait(lambda: len(seat.record.asked("/sent")) > before, 5)


def _idle(seat: Seat, began: float, dwell: float) -> None:
    """Leave the browser to itself until it has been up for so long: the one thing that has no event to wait for."""
    seat.record.wait(lambda: False, max(0.0, began + dwell - time.monotonic()))


def _files(seat: Seat) -> list[str]:
    """Where downloads went, as the account sees it."""
    found = seat.sweep().get("body", [])
    return [path.replace(seat.home, "~") for path in found]


# Firefox --------------------------------------------------------------------------------------------------------------


def _firefox_tour(seat: Seat, job: dict[str, Any]) -> tuple[firefox.Firefox, dict[str, Any]]:
    browser = firefox.Firefox(seat, FIREFOX_WISHES, side_load=True)
    said: dict[str, Any] = {"first": browser.do("pages", within=120)}
    began = time.monotonic()
    for name, url in _urls(seat, job).items():
        if name not in ("form", "note"):
            browser.do("open", url=url)
    _toured(seat, job)
    said |= {"shown": browser.do("look", urls=list(LOOKED_AT)), "tools": browser.do("tools")}
    for name, words in _forms(seat):
        browser.do("open", url=_urls(seat, job)[name])
        _filled(seat, name, partial(browser.do, "type", words=words))
    said["state"] = browser.do("settled")
    _idle(seat, began, job["dwell"])
    said["downloads"] = _files(seat)
    said["seconds"] = round(time.monotonic() - began, 1)
    return browser, said


def firefox_locked(seat: Seat, job: dict[str, Any]) -> dict[str, Any]:
    firefox.install_driver(seat.work, seat.internet.authority())
    browser, said = _firefox_tour(seat, job)
    said |= {"file": firefox.policy_file(), "known": firefox.known_policies()}
    browser.kill()
    said["killed"] = seat.sweep()
    browser = firefox.Firefox(seat, FIREFOX_WISHES, "--search", seat.base + "search")
    browser.do("pages", within=120)
    # the search comes into the tab in front, whenever Firefox gets round to it; with another engine it is not heard of
    engine = urlsplit(job["search"]).hostname
    seat.record.wait(lambda: any(one["host"] == engine for one in seat.record.requests), 10)
    before = len(seat.record.asked("/report"))
    browser.do("open", url=_urls(seat, job)["visit"])
    _again(seat, before)
    browser.quit()
    said["closed"] = seat.sweep()
    return said


def firefox_found(seat: Seat, job: dict[str, Any]) -> dict[str, Any]:
    firefox.unlock()
    firefox.install_driver(seat.work, seat.internet.authority())
    browser, said = _firefox_tour(seat, job)
    browser.kill()
    said["left"] = seat.sweep()
    return said


# Chromium -------------------------------------------------------------------------------------------------------------


def _chromium_tour(seat: Seat, job: dict[str, Any]) -> tuple[chromium.Chromium, dict[str, Any]]:
    urls = [url for name, url in _urls(seat, job).items() if name not in ("form", "note", "upgrade", "slow", "plain")]
    # last, since each may be the end of the way: Chromium has 3 seconds of patience, which no setting gives it more of
    urls += [_urls(seat, job)[name] for name in ("upgrade", "plain")]
    _chain(seat, urls)
    browser = chromium.Chromium(seat, CHROMIUM_WISHES, urls[0], side_load=True)
    seat.record.wait(lambda: seat.record.asked("/visit"), 120)
    began = time.monotonic()
    _toured(seat, job)
    said: dict[str, Any] = {"driven": browser.answers()}
    _idle(seat, began, job["dwell"])
    said["downloads"] = _files(seat)
    said["seconds"] = round(time.monotonic() - began, 1)
    return browser, said


def _chain(seat: Seat, urls: list[str]) -> None:
    """Without a screen, Chromium opens one address; each page then goes on to the next."""
    for this, following in pairwise(urls):
        seat.internet.after[this.split("://")[1]] = following


def chromium_locked(seat: Seat, job: dict[str, Any]) -> dict[str, Any]:
    browser, said = _chromium_tour(seat, job)
    browser.kill()
    said["killed"] = seat.sweep()
    before = len(seat.record.asked("/report"))
    _chain(seat, [job["search"], _urls(seat, job)["visit"]])
    browser = chromium.Chromium(seat, CHROMIUM_WISHES, f"? {seat.base}search")
    _again(seat, before)
    browser.quit()
    said["closed"] = seat.sweep()
    return said


def chromium_found(seat: Seat, job: dict[str, Any]) -> dict[str, Any]:
    chromium.unlock()
    browser, said = _chromium_tour(seat, job)
    said |= _chromium_asked(seat, job, browser)
    browser.close()
    said["left"] = seat.sweep()
    return said


def chromium_asked(seat: Seat, job: dict[str, Any]) -> dict[str, Any]:
    files = chromium.managed()
    taken = chromium.without(CLOSES)
    browser = chromium.Chromium(seat, CHROMIUM_WISHES)
    said: dict[str, Any] = {"files": files, "taken": taken}
    seat.record.wait(lambda: seat.record.requests, 10)  # the first page, before another one takes its place
    said |= _chromium_asked(seat, job, browser)
    browser.kill()
    said["killed"] = seat.sweep()
    return said


def _chromium_asked(seat: Seat, job: dict[str, Any], browser: chromium.Chromium) -> dict[str, Any]:
    """What Chromium believes of its policy, what it shows, and what it does with a form that is typed into."""
    said: dict[str, Any] = {"version": browser.call("Browser.getVersion", within=120)["product"]}
    said["first"] = browser.pages()
    said["policy"] = browser.policy()
    said["shown"] = {url: browser.look(url) for url in LOOKED_AT_CHROMIUM}
    for name, words in _forms(seat):
        form = browser.tab(_urls(seat, job)[name])
        _filled(seat, name, partial(browser.type, form, words))
    return said


PLAYS = {
    ("firefox", "locked"): firefox_locked,
    ("firefox", "found"): firefox_found,
    ("chromium", "locked"): chromium_locked,
    ("chromium", "found"): chromium_found,
    ("chromium", "asked"): chromium_asked,
}

if __name__ == "__main__":
    main()
