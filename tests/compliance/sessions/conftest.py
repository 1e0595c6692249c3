"""The patron account and a throw-away one, as the tests of this folder are given them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Alone, Promise
from sessions import leftovers
from sessions.session import Session, opened, require_nobody


@pytest.fixture
def patron(host: Host, promise: Promise, alone: Alone) -> Iterator[str]:
    """The patron account's login, when nobody uses it; what a broken machine keeps of ours is taken away after."""
    login = promise.expects("accounts.patron_login")
    with alone("patron"):
        uid = require_nobody(host, promise, login)
        yield login
        leftovers.tidy(host, login, uid)


@pytest.fixture
def somebody(host: Host) -> Iterator[Session]:
    """An open session of a throw-away account."""
    with probe.account(host, home=True) as login, opened(host, login) as session:
        yield session
