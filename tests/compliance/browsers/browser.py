"""What tests ask of one browser: what was seen of it, put as facts. Must not know which value was promised."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from browsers import health
from browsers.plays import LISTED_TRACKER, NAMES, Plays
from readingroom.verify.api import Promise


class Sight:
    """What one play of a browser brought to light."""

    def __init__(self, found: dict[str, Any], base: str) -> None:
        self.found = found
        self.hosts = {
            name: f"{base}{name}{end}" for name, end in (("second", ".net"), ("tracker", ".org"), ("plain", ".com"))
        } | {"first": f"{base}host.com", "listed": LISTED_TRACKER}

    def requests(self, path: str, host: str = "", **wanted: str) -> list[dict[str, Any]]:
        """The requests for a path; `host` is one of the play's own or a full name."""
        name = self.hosts.get(host, host)
        return [
            one
            for one in self.found["requests"]
            if one["path"] == path
            and (not name or one["host"] == name)
            and all(one[key] == value for key, value in wanted.items())
        ]

    def in_clear(self, host: str) -> int:
        """How many requests of any kind a host got unencrypted."""
        return sum(one["host"] == self.hosts[host] and one["scheme"] == "http" for one in self.found["requests"])

    def visited(self) -> dict[str, Any]:
        """What the page said of the browser; raises when the visit was not to be seen."""
        reports = self.requests("/report", "first")
        if not reports:
            raise RuntimeError("the page of the check was not shown, so nothing can be told")
        said: dict[str, Any] = json.loads(reports[0]["body"])
        return said

    def names(self, way: str = "") -> set[str]:
        """The names that were asked for, by one way (`resolver`, `https`) or any."""
        return {one["name"] for one in self.found["questions"] if way in ("", one["way"])}

    def packets(self) -> list[dict[str, Any]]:
        """What was sent to addresses outside."""
        packets: list[dict[str, Any]] = self.found["packets"]
        return packets

    def traces(self, when: str, kinds: Iterable[str], beside: str = "") -> list[str]:
        """Of these kinds of trace, those that were left (`killed`, `closed`, or `left` without a policy), `beside` a folder."""
        left = self.found[when]
        return sorted(
            kind for kind in set(kinds) & set(left) if not beside or any(beside not in path for path in left[kind])
        )


class Browser:
    """One browser of the machine under test, for the promise at hand."""

    def __init__(self, name: str, tried: Plays, promise: Promise) -> None:
        self.name, self.title = name, NAMES[name]
        self.base = tried.base
        self._tried, self._promise = tried, promise

    def seen(self, play: str) -> Sight:
        """What a play brought to light."""
        return Sight(self._tried.seen(self.name, play), self.base)

    @property
    def locked(self) -> Sight:
        """Under the machine's own policy, untouched."""
        return self.seen("locked")

    @property
    def found(self) -> Sight:
        """Without any policy: what can be seen at all."""
        return self.seen("found")

    @property
    def asked(self) -> Sight:
        """Chromium under the policy less what keeps it from being asked; Firefox can be asked under all of it."""
        return self.seen("asked" if self.name == "chromium" else "locked")

    def always_incognito(self) -> bool:
        """Is this Chromium, and does it say that every window of it is incognito?"""
        if self.name != "chromium":
            return False
        return bool(self.asked.found["policy"]["set"].get("IncognitoModeAvailability", {}).get("value") == 2)

    def served(self) -> set[str]:
        """The names that the play's own internet answers for."""
        return self._tried.served()

    def can_tell(self, seen: object, what: str) -> None:
        """The positive control: where the thing cannot be seen without a policy, not seeing it under one says nothing."""
        if not seen:
            raise RuntimeError(f"even without a policy, the check does not see {what} in {self.title}")

    def heeds(self) -> None:
        """The browser takes every setting of the promise at hand as it stands in the policy."""
        faults = health.faults(self.name, self.asked.found, self._promise.control)
        assert not faults, f"{self.title}: {faults[0]}" + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
