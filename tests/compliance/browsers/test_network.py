"""What does a browser send, to whom, and in clear?"""

from __future__ import annotations

from testinfra.host import Host

from browsers.browser import Browser, Sight
from readingroom.verify import probe
from readingroom.verify.api import Promise, control

# Lists of what is revoked, dangerous or broken: they protect, say nothing of anybody, and no policy closes them.
SAFETY = {
    "firefox": {
        "firefox.settings.services.mozilla.com", "firefox-settings-attachments.cdn.mozilla.net",
        "content-signature-2.cdn.mozilla.net", "safebrowsing.googleapis.com",
    },
    "chromium": {"safebrowsing.googleapis.com"},
}  # fmt: skip
LOCATION = "www.googleapis.com"
# Where a profile's own home page, Firefox's own search engine and an add-on's updates lead: their promises tell of it.
ELSEWHERE = {
    "firefox": {"wished.example", "www.wished.example", "www.google.com", "versioncheck-bg.addons.mozilla.org"},
    "chromium": set(),
}  # fmt: skip
PROBES = {
    "detectportal.firefox.com", "connectivitycheck.gstatic.com", "www.gstatic.com", "ipv4only.arpa", "example.org",
}  # fmt: skip
RESOLVERS = {"mozilla.cloudflare-dns.com", "cloudflare-dns.com", "dns.google", "use-application-dns.net"}


@control("browser.trackers")
def test_a_third_party_does_not_know_somebody_again(browser: Browser, promise: Promise) -> None:
    if promise.value == "off":
        promise.observed("nothing is promised: trackers may follow")
        return
    browser.heeds()
    browser.can_tell(_known_again(browser.found, "second"), "that a third party knows somebody again")
    browser.locked.visited()
    assert browser.locked.requests("/second-done"), "the second site of the check was not shown"
    again = _known_again(browser.locked, "second")
    assert not again, f"a third party knew somebody again on a second site, by a cookie, in {browser.title}"
    if promise.value == "strict":
        set_ = _known_again(browser.locked, "first")
        assert not set_, f"a third party could set a cookie in {browser.title}"
    promise.observed(f"{browser.title}: a third party on two sites got no cookie back")


def _known_again(sight: Sight, page: str) -> bool:
    """Did the tracker that both sites embed get a cookie back on this one?"""
    return any(
        one["Cookie"] and one["Referer"] and sight.hosts[page] in one["Referer"]
        for path in ("/pixel", "/frame")
        for one in sight.requests(path, "tracker")
    )


@control("browser.trackers")
def test_a_listed_tracker_is_not_asked(browser: Browser, promise: Promise) -> None:
    if promise.value == "off":
        promise.observed("nothing is promised: trackers may follow")
        return
    if browser.name == "chromium":
        promise.unsupported("Chromium has no lists of trackers; it refuses their cookies, but loads them")
    browser.can_tell(browser.found.requests("/pixel", "listed"), "that a listed tracker is asked")
    browser.locked.visited()
    assert not browser.locked.requests("/pixel", "listed"), "Firefox loads from a tracker that is on its list"
    promise.observed("Firefox: nothing was loaded from a tracker on its list")


@control("browser.https")
def test_pages_are_not_sent_for_in_clear(browser: Browser, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed("nothing is promised: pages load as sites offer them")
        return
    browser.heeds()
    browser.can_tell(browser.found.requests("/plain", "plain", scheme="http"), "that a page is sent for in clear")
    browser.locked.visited()
    encrypted = [
        browser.locked.requests(page, "second", scheme="https")
        for page in (("/upgrade", "/slow") if browser.name == "firefox" else ("/upgrade",))
    ]
    # Chromium goes on in clear by itself when a site is slow: then it has tried before
    tried = encrypted[0] and browser.name == "chromium" and promise.value == "preferred"
    assert tried or not browser.locked.in_clear("second"), (
        f"{browser.title} sends something in clear although the site can encrypt"
    )
    assert all(encrypted), "the pages of the check were not sent for at all"
    sent = browser.locked.requests("/plain", "plain")
    if promise.value == "required":
        assert not sent, f"{browser.title} sends for a page in clear without asking"
    elif browser.name == "chromium":
        promise.unsupported("Chromium loads a page in clear when the site has not answered encrypted within 3 seconds")
    ways = "was not sent for" if promise.value == "required" else "was sent for only where the site cannot encrypt"
    promise.observed(f"{browser.title}: a page in clear {ways}")


@control("browser.https")
def test_listed_hosts_can_still_be_reached_in_clear(browser: Browser, promise: Promise) -> None:
    hosts = [host for host in promise.inputs["browser.http_allowed"] if "*" not in host]
    missing = [host for host in hosts if not browser.locked.requests("/allowed", host, scheme="http")]
    assert not missing, f"{len(missing)} of {len(hosts)} listed hosts cannot be reached any more in {browser.title}"
    promise.observed(f"{browser.title}: {len(hosts)} listed hosts can be reached in clear")


@control("browser.opt-out-signal")
def test_sites_are_told_not_to_sell(browser: Browser, promise: Promise) -> None:
    if promise.value is not True:
        promise.observed("nothing is promised: sites are told nothing")
        return
    if browser.name == "chromium":
        promise.unsupported("Chromium cannot send the Global Privacy Control")
    browser.heeds()
    said = browser.locked.visited()
    visits = browser.locked.requests("/visit", "first")
    told = [one for one in visits if one["Sec-GPC"] == "1"]
    assert len(told) == len(visits), f"{len(visits) - len(told)} of {len(visits)} visits did not carry the signal"
    assert said["signal"] is True, "a page that asks is not told"
    promise.observed(f"Firefox: {len(told)} of {len(visits)} visits carried the signal, though the profile forbade it")


@control("browser.telemetry")
def test_nobody_hears_of_a_browser_that_is_left_alone(browser: Browser, promise: Promise) -> None:
    if promise.value is not False:
        promise.observed("nothing is promised: the browser may report")
        return
    browser.heeds()
    browser.can_tell(_foreign(browser, browser.found), "that it turns to its maker")
    foreign = _foreign(browser, browser.locked)
    assert not foreign, f"{browser.title} turned to {len(foreign)} of its maker's servers: {_listed(foreign)}"
    packets = browser.locked.packets()
    assert not packets, f"{browser.title} sent {len(packets)} packets to addresses that nobody had named"
    seconds = browser.locked.found["seconds"]
    promise.observed(f"{browser.title}, {seconds:.0f} seconds: it turned to nobody but the sites that were visited")


def _foreign(browser: Browser, sight: Sight) -> list[str]:
    """The names that were asked for without need: neither ours, nor for safety, nor another promise's."""
    own = {*browser.served(), *SAFETY[browser.name], *ELSEWHERE[browser.name], *PROBES, *RESOLVERS}
    if sight.visited()["geolocation"] == "granted":
        own.add(LOCATION)  # the page asked where it is, and was allowed to
    return sorted(name for name in sight.names() - own if not name.endswith(".in-addr.arpa"))


def _listed(names: list[str]) -> str:
    # the makers' names, and not those of sites that somebody could have visited
    return ", ".join(names[:5])


@control("browser.captive-portal")
def test_the_network_is_not_probed(browser: Browser, promise: Promise) -> None:
    if promise.value is not False:
        promise.observed("nothing is promised: the browser may probe")
        return
    browser.heeds()
    if browser.name == "firefox":
        browser.can_tell(browser.found.names() & PROBES, "a probe of the network")
    probed = browser.locked.names() & PROBES
    assert not probed, f"{browser.title} asked {len(probed)} servers whether it is online"
    promise.observed(f"{browser.title} did not ask whether it is online")


@control("browser.dns")
def test_only_those_promised_are_asked_for_addresses(browser: Browser, promise: Promise) -> None:
    if promise.value == "browser-decides":
        promise.observed("nothing is promised: the browser decides whom it asks")
        return
    browser.heeds()
    sight = browser.locked
    sight.visited()
    own = {sight.hosts["first"], sight.hosts["second"], sight.hosts["tracker"]}
    if promise.value == "system":
        asked, others = own & sight.names("resolver"), sight.names() & RESOLVERS
        assert asked == own, f"{browser.title} did not ask the machine's resolver for all addresses"
        assert not others, f"{browser.title} turned to {len(others)} resolvers that nobody chose"
        promise.observed(f"{browser.title} asked the machine's own resolver, and nobody else")
        return
    assert own <= sight.names("https"), f"{browser.title} did not ask the library's resolver for all addresses"
    clear = own & sight.names("resolver")
    assert not clear, f"{browser.title} asked for {len(clear)} addresses in clear"
    promise.observed(f"{browser.title} asked the library's resolver for {len(own)} addresses, encrypted")


@control("browser.tor")
def test_tor_browser_can_be_started(host: Host, promise: Promise) -> None:
    if promise.value == "absent":
        promise.observed("nothing is promised: Tor Browser is not offered")
        return
    with probe.account(host, home=True) as login:
        started = probe.run_as(host, login, "timeout 20 torbrowser-launcher --help 2>&1")
        assert started[0] == 0, "Tor Browser cannot be started on this machine"
        menu = host.run("grep -lx 'Exec=.*torbrowser-launcher.*' /usr/share/applications/*.desktop | head -1").stdout
        assert menu.strip(), "Tor Browser is not in the menu"
    promise.observed("the launcher of Tor Browser starts, and is in the menu")
