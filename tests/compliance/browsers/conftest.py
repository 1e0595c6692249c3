"""The browsers of the machine, one after the other, as each test of this folder is given them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from browsers.browser import Browser
from browsers.plays import NAMES, Plays, plays
from readingroom.verify.api import Promise


@pytest.fixture(scope="session")
def tried(host: Host, expects: Callable[[str], Any]) -> Iterator[Plays]:
    """The plays of this machine; the account that stands in for a patron goes at the end."""
    with plays(host, expects) as made:
        yield made


@pytest.fixture(params=NAMES)
def browser(request: pytest.FixtureRequest, tried: Plays, promise: Promise) -> Browser:
    """One browser; where it is not installed, its part of the promise is about nothing."""
    if request.param not in tried.installed:
        promise.not_applicable(f"{NAMES[request.param]} is not installed")
    if tried.lacking:
        promise.not_tested("openssl, unshare or ip, with which a browser is tried, is not installed")
    return Browser(request.param, tried, promise)
