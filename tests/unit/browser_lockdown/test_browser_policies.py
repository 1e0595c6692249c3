"""What is refused before it becomes a browser's policy file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import browser_policies
import pytest

SCHEMA = {
    "definitions": {"url": {"type": "string", "pattern": "^https?:"}},
    "type": "object",
    "properties": {
        "Homepage": {"type": "object", "properties": {"URL": {"$ref": "#/definitions/url"}}},
        "Level": {"type": "number", "enum": [0, 1, 2]},
        "Toolbar": {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["always"]}]},
        "Marks": {
            "type": "array",
            "items": {"type": "object", "required": ["Name"], "properties": {"Name": {"type": "string"}}},
        },
        "Preferences": {"type": "object", "patternProperties": {"^.*$": {"type": ["object", "boolean"]}}},
        "DisablePocket": {"type": "boolean"},
        "Cookies": {"type": "object", "properties": {"RejectTracker": {"type": "boolean"}}},
    },
}
SOURCE = """
export var Policies = {
  Homepage: {
  Level: {
  Toolbar: {
  Marks: {
  Cookies: {
  Preferences: {
      let allowedPrefixes = ["browser.", "privacy.globalprivacycontrol.enabled"];
      const allowedSecurityPrefs = ["security.OCSP.enabled"];
      const blockedPrefs = ["browser.vpn_promo.disallowed_regions"];
"""


@pytest.fixture
def firefox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Firefox with few policies."""
    folder = tmp_path / "firefox-esr"
    (folder / "browser").mkdir(parents=True)
    with zipfile.ZipFile(folder / "browser" / "omni.ja", "w") as archive:
        archive.writestr("modules/policies/policies-schema.json", json.dumps(SCHEMA))
        archive.writestr("modules/policies/Policies.sys.mjs", SOURCE)
    monkeypatch.setattr(browser_policies, "FIREFOXES", (folder,))
    return folder


@pytest.mark.usefixtures("firefox")
def test_what_firefox_would_do_as_written_is_taken() -> None:
    good = {
        "Homepage": {"URL": "https://a.example/"}, "Level": 2, "Toolbar": "always", "Marks": [{"Name": "A"}],
        "Preferences": {"browser.cache.disk.enable": {"Value": False}, "security.OCSP.enabled": True},
    }  # fmt: skip
    assert browser_policies.firefox({"policies": good}) == []


@pytest.mark.usefixtures("firefox")
@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ({"Homepag": {}}, "Homepag is not known"),
        ({"Homepage": {"Url": "https://a.example/"}}, "Homepage/Url is not known"),
        ({"Homepage": {"URL": "ftp:"}}, "Homepage/URL does not look as it should"),
        ({"Homepage": []}, "Homepage must be object"),
        ({"Level": 3}, "Level must be one of"),
        ({"Level": True}, "Level must be number"),
        ({"Toolbar": "never"}, "Toolbar is none of the things"),
        ({"Marks": [{}]}, r"Marks[0] lacks Name"),
        ({"DisablePocket": True}, "DisablePocket is known, but nothing is done about it"),
        ({"Cookies": {"RejectTracker": True}}, "Cookies/RejectTracker is outdated"),
        ({"Preferences": {"toolkit.coverage.opt-out": True}}, "toolkit.coverage.opt-out is not taken"),
        ({"Preferences": {"security.tls.version.max": True}}, "security.tls.version.max is not taken"),
        ({"Preferences": {"browser.vpn_promo.disallowed_regions": True}}, "is not taken"),
    ],
)
def test_what_firefox_would_drop_in_silence_is_refused(policies: dict[str, Any], said: str) -> None:
    (fault,) = browser_policies.firefox({"policies": policies})
    assert said in fault


@pytest.mark.parametrize(
    "text", ['{"a": 1,}', '{"a": 1, "a": 2}', '{"a": NaN}', "[]", "", '{"a": 1} x'],
)  # fmt: skip
@pytest.mark.parametrize("browser", ["firefox", "chromium"])
def test_what_is_not_plain_json_is_refused(tmp_path: Path, browser: str, text: str) -> None:
    (tmp_path / "policies.json").write_text(text)
    assert browser_policies.main([browser, str(tmp_path / "policies.json")]) == 1


def test_without_firefox_the_form_alone_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(browser_policies, "FIREFOXES", (tmp_path,))
    assert browser_policies.firefox({"policies": {"Anything": 1}}) == []
    assert browser_policies.firefox({"polices": {}}) != []


def test_a_firefox_that_hides_its_policies_is_no_reason_to_believe_anything(firefox: Path) -> None:
    with zipfile.ZipFile(firefox / "browser" / "omni.ja", "w") as archive:
        archive.writestr("other", "")
    with pytest.raises(ValueError, match="no longer says which policies it knows"):
        browser_policies.firefox({"policies": {}})
