"""Policies of others are told before they lose, and when they win."""

from __future__ import annotations

import json
from pathlib import Path

import browser_look
import pytest


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any policy."""
    monkeypatch.setattr(browser_look, "FIREFOX", tmp_path / "policies.json")
    monkeypatch.setattr(browser_look, "FIREFOX_OTHERS", [tmp_path / "distribution.json"])
    monkeypatch.setattr(browser_look, "CHROMIUM", tmp_path / "managed" / "zz-readingroom.json")
    (tmp_path / "managed").mkdir()
    return tmp_path


def test_a_machine_with_our_files_alone_has_nothing_to_tell(machine: Path) -> None:
    (machine / "policies.json").write_text(json.dumps({"policies": {"Homepage": {}}}))
    (machine / "managed" / "zz-readingroom.json").write_text(json.dumps({"SyncDisabled": True}))
    assert list(browser_look.firefox({"Homepage"})) == []
    assert list(browser_look.chromium({"SyncDisabled"})) == []


def test_what_firefox_would_lose_is_named(machine: Path) -> None:
    (machine / "policies.json").write_text(json.dumps({"policies": {"Homepage": {}, "Proxy": {}, "Certificates": {}}}))
    (machine / "distribution.json").write_text(json.dumps({"policies": {"DisablePocket": True}}))
    lost, unread = browser_look.firefox({"Homepage"})
    assert "also sets Certificates, Proxy" in lost
    assert "sets DisablePocket" in unread


def test_a_later_file_has_the_last_word_in_chromium(machine: Path) -> None:
    (machine / "managed" / "zzz.json").write_text(json.dumps({"SyncDisabled": False}))
    (machine / "managed" / "aaa.json").write_text(json.dumps({"SyncDisabled": False, "ProxySettings": {}}))
    earlier, more, later = browser_look.chromium({"SyncDisabled"})
    assert "Reading Room has the last word" in earlier
    assert "also sets ProxySettings" in more
    assert "zzz.json has the last word on SyncDisabled" in later


def test_a_file_that_no_browser_can_read_sets_nothing(machine: Path) -> None:
    for text in ("{,}", "[]", '{"policies": []}', '{"other": {}}'):
        (machine / "policies.json").write_text(text)
        assert list(browser_look.firefox(set())) == []
