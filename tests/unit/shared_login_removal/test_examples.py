"""The examples in the role's program say what is so."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["autologin", "hints", "keys", "machine", "passwords", "sshd", "sudoers"])
def test_the_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"logins.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
