"""The table of browsers and the files that are written from it."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from readingroom import controls, policy
from readingroom.apply.rendering import read_role_variables, render_file, resolve
from readingroom.compile import variables
from readingroom.controls import Catalogue
from readingroom.controls.values import ChoiceType, FreeType, PinnedType, SwitchType, show

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "browser_lockdown"
TABLE: dict[str, dict[str, Any]] = read_role_variables(ROLE)["__browser_lockdown_browsers"]
CATALOGUE = controls.load(ROOT, linked=False)
KINDS = ("policies", "preferences", "files")


def written(browser: str, **said: Any) -> dict[str, Any]:
    """The policy file of a browser where the policy is strict, but for what is `said`."""
    values = {f"browser_lockdown_{name}": value for name, value in said.items()}
    strict = variables(_strict(CATALOGUE), CATALOGUE)
    resolved = resolve({**strict, **values, **read_role_variables(ROLE)})
    text = render_file(ROLE / "templates" / "policies.json.j2", {**resolved, "item": {"browser": browser}})
    found: dict[str, Any] = json.loads(text)
    return found["policies"] if browser == "firefox" else found


def _strict(catalogue: Catalogue) -> policy.Holder:
    return policy.of_preset(ROOT / "policies" / "baselines" / "strict.yml", catalogue, root=ROOT).classes["public"]


@pytest.mark.parametrize("browser", ["firefox", "chromium"])
def test_a_key_belongs_to_one_promise_only(browser: str) -> None:
    owned = {
        name: {key for row in rows.values() for kind in KINDS for key in row.get(browser, {}).get(kind, {})}
        for name, rows in TABLE.items()
    }
    for one, other in combinations(owned, 2):
        assert not owned[one] & owned[other], f"{one} and {other}"


def test_the_table_speaks_the_words_of_the_policy() -> None:
    for name, rows in TABLE.items():
        declared = CATALOGUE.keys[f"browser.{name}"].type
        match declared:
            case ChoiceType(options=options):
                assert list(rows) == list(options[1:]), name
            case SwitchType(safe=safe):
                assert list(rows) == [show(safe)], name
            case FreeType() | PinnedType():
                assert rows, name


def test_every_choice_but_the_launcher_of_tor_is_in_the_table() -> None:
    keys = {control.key for control in CATALOGUE.of_role("browser_lockdown")}
    assert {f"browser.{name}" for name in TABLE} - {"browser.bookmarks"} == keys - {"browser.tor"}


@pytest.mark.parametrize("browser", ["firefox", "chromium"])
def test_nothing_of_the_table_stays_unfilled(browser: str) -> None:
    engine = {"name": "Search", "url": "https://s.example/?q={searchTerms}"}
    text = json.dumps(
        written(
            browser, extensions="listed", allowed_extensions=["a@b"], dns="https://d.example/", search_engine=engine
        )
    )
    assert "{browser." not in text
    assert "{searchTerms}" in text


def test_a_list_of_the_policy_stands_entry_by_entry() -> None:
    marks = [{"title": "A & B", "url": "https://a.example/"}, {"title": "ü", "url": "https://b.example/"}]
    found = written("firefox", bookmarks=marks, http_allowed=["one.example", "two.example"])
    assert found["ManagedBookmarks"][1:] == [{"name": mark["title"], "url": mark["url"]} for mark in marks]
    assert found["HttpAllowlist"] == ["http://one.example", "http://two.example"]
    assert written("firefox", http_allowed=[])["HttpAllowlist"] == []
    assert "ManagedBookmarks" not in written("chromium", bookmarks=[])


def test_each_browser_is_told_of_its_own_extensions() -> None:
    ids = ["uBlock0@raymondhill.net", "{d10d0bf8-f5b5-c8b4-a8b2-2b9879e08c5d}", "cjpalhdlnbpafiamejdnhcphjbkeiagm"]
    fox, chrome = (
        written(browser, extensions="listed", allowed_extensions=ids)["ExtensionSettings"]
        for browser in ("firefox", "chromium")
    )
    assert set(fox) == {"*", *ids[:2]}
    assert set(chrome) == {"*", ids[2]}
    assert set(written("firefox", extensions="none", allowed_extensions=ids)["ExtensionSettings"]) == {"*"}


def test_the_weakest_policy_sets_the_first_page_and_nothing_else() -> None:
    weakest = {
        "history": "keep", "locked": "nothing", "save_secrets": "ask", "tracking_protection": "off", "https": "any",
        "opt_out_signal": False, "telemetry": True, "extensions": "any", "downloads": "anywhere", "search": "default",
        "permissions": "ask", "captive_portal": True, "dns": "browser-decides", "bookmarks": [],
    }  # fmt: skip
    for browser in ("firefox", "chromium"):
        found = set(written(browser, homepage="https://a.example/", **weakest))
        assert found == set(TABLE["homepage"]["otherwise"][browser]["policies"])
