"""Has browsers tried on a machine, once for all tests, and gives each test what was seen.

The plays begin at the first question and go on beside the tests; a test waits for what it needs. Must not know promises.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from testinfra.host import Host

from readingroom.verify import probe

PROGRAMS = Path(__file__).parent / "machine"
LISTED_TRACKER = "trackertest.org"
NAMES = {"firefox": "Firefox", "chromium": "Chromium"}
PLAYS = (
    ("firefox", "locked"), ("chromium", "locked"), ("firefox", "found"), ("chromium", "found"), ("chromium", "asked"),
)  # fmt: skip
# How long a browser is left to itself, counted from when it is up. Without a policy, both have asked for their makers'
# servers by then, or the check says that it can tell nothing; `make bench` leaves them alone for longer.
DWELL_SECONDS = 12
# A play that takes longer hangs; on a busy computer it takes its time.
LONGEST_SECONDS = 360

_INSTALLED = """
for f in /usr/lib/firefox-esr /usr/lib/firefox; do [ -e $f/application.ini ] && echo firefox && break; done
[ -e /usr/bin/chromium ] && echo chromium
command -v openssl unshare ip >/dev/null || echo missing
true
"""


class Plays:
    """What was seen of the browsers of one machine."""

    def __init__(
        self, host: Host, expects: Callable[[str], Any], folder: str, login: str, dwell: int = DWELL_SECONDS
    ) -> None:
        """`login` is the account that stands in for a patron; nothing begins before the first question."""
        self._dwell = dwell
        self.base = probe.canary()
        self._host, self._expects, self._folder, self._login = host, expects, folder, login
        found = probe.run(host, _INSTALLED).split()
        self.installed = tuple(name for name in NAMES if name in found)
        self.lacking = "missing" in found
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}
        self._begun = ""

    def seen(self, browser: str, play: str) -> dict[str, Any]:
        """What a play brought to light; waits until it is over, and raises `RuntimeError` when it did not work."""
        if (browser, play) not in self._seen:
            self._begin()
            place = f"{self._folder}/{browser}-{play}.json"
            look = f"for i in $(seq 100); do test -e {place} && exec cat {place}; sleep 0.2; done; exit 1"
            with probe.time_out():  # each play has a limit of its own, and ends with an answer
                while (done := self._host.run(look)).rc:
                    alive = self._host.run(f"kill -0 {self._begun}").rc == 0
                    if not alive:
                        raise RuntimeError(f"{browser} {play}: the plays ended without an answer")
            self._seen[browser, play] = json.loads(done.stdout)
        found = self._seen[browser, play]
        if "failed" in found:
            raise RuntimeError(f"{browser} {play}: {found['failed']}")
        return found

    def end(self) -> None:
        """Stop what still runs."""
        if self._begun:
            self._host.run(f"kill {self._begun}; while kill -0 {self._begun}; do sleep 0.05; done")

    def _begin(self) -> None:
        if self._begun:
            return
        jobs = [self._job(browser, play) for browser, play in PLAYS if browser in self.installed]
        packed = base64.b64encode(_packed()).decode()
        self._begun = probe.run(
            self._host,
            f"cd {self._folder}\necho {shlex.quote(json.dumps(jobs))} >jobs.json\n"
            f"base64 -d <<'END' | tar -xzf -\n{packed}\nEND\n"
            f"setsid python3 {self._folder}/machine/launch.py {self._folder} </dev/null >launch.log 2>&1 & echo $!",
        ).strip()

    def _job(self, browser: str, play: str) -> dict[str, Any]:
        uid, gid = (int(probe.run(self._host, f"id {option} {self._login}")) for option in ("-u", "-g"))
        allowed = self._allowed()
        return {
            "browser": browser, "play": play, "login": self._login, "uid": uid, "gid": gid, "base": self.base,
            "secure": self._secure(), "insecure": [f"{self.base}plain.com", *allowed], "allowed": allowed,
            "doh": urlsplit(self.resolver()).path, "search": "https://" + "".join(self.search_place()),
            "dwell": self._dwell, "seconds": LONGEST_SECONDS,
        }  # fmt: skip

    def _allowed(self) -> list[str]:
        return [host for host in self._expects("browser.http_allowed") if "*" not in host]

    def _secure(self) -> list[str]:
        own = {f"{self.base}{name}" for name in ("host.com", "second.net", "tracker.org")} | {LISTED_TRACKER}
        asked_for = (self._expects("browser.homepage"), self.search_url(), self.resolver())
        return sorted(own | {host for url in asked_for if (host := urlsplit(url).hostname)})

    def served(self) -> set[str]:
        """The names that the play's own internet answers for."""
        return {*self._secure(), *self._allowed(), f"{self.base}plain.com"}

    def search_url(self) -> str:
        """The library's search engine, or the one that both browsers ship as theirs."""
        if self._expects("browser.search") == "private":
            return str(self._expects("browser.search_engine")["url"])
        return "https://www.google.com/search?q={searchTerms}"

    def search_place(self) -> tuple[str, str]:
        """The host and the path where a search arrives."""
        found = urlsplit(self.search_url())
        return found.hostname or "", found.path or "/"

    def resolver(self) -> str:
        """The address of the library's own resolver over https; empty when the policy names none."""
        word = str(self._expects("browser.dns"))
        return word if word.startswith("https://") else ""


@contextmanager
def plays(host: Host, expects: Callable[[str], Any], dwell: int = DWELL_SECONDS) -> Iterator[Plays]:
    """Everything is taken away at the end: what ran, the account, the folder."""
    with probe.account(host) as login, probe.folder(host) as folder:
        made = Plays(host, expects, folder, login, dwell)
        try:
            yield made
        finally:
            made.end()


def _packed() -> bytes:
    """The programs, as they are sent."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(PROGRAMS.iterdir()):
            if path.suffix in (".py", ".js"):
                archive.add(path, f"machine/{path.name}")
    return buffer.getvalue()
