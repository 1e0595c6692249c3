"""Which lines of others are switched off, and what the program prints of them."""

from __future__ import annotations

import json
from pathlib import Path

import apt_sources
import pytest
from apt_sources import main, overruling, trusting

OURS = ["APT::Periodic::Enable", "Unattended-Upgrade::Package-Blacklist", "APT::Get::AllowUnauthenticated"]

LISTS = {
    "deb http://one ./": [],
    "deb [trusted=yes] http://one ./": [0],
    "deb-src [ arch=amd64 Trusted=TRUE ] http://one ./": [0],
    "deb [allow-insecure=yes] http://one ./": [0],
    "deb [trusted=no] http://one ./": [],
    "deb [signed-by=/trusted=yes.gpg] http://one ./": [],
    "# deb [trusted=yes] http://one ./": [],
    "#readingroom# deb [trusted=yes] http://one ./": [],
    "deb http://one/?[trusted=yes] ./": [],
}
STANZAS = {
    "Types: deb\nURIs: http://one\nSuites: ./\n": [],
    "Types: deb\nTrusted: yes\n# why\nSuites: ./\n": [0, 1, 3],
    "Types: deb\nSigned-By: x\n\nTypes: deb\nallow-insecure: yes\n": [3, 4],
    "Types: deb\nTrusted: yes\nEnabled: no\n": [],
}
SETTINGS = {
    'APT::Periodic::Enable "0";': [0],
    'apt::periodic::enable "0";': [0],
    'APT::Periodic::Enabled-Elsewhere "0";': [],
    'APT::Periodic {\n Enable "0"; // or "x" {\n Verbose "1";\n};': [1],
    'APT\n{\n Periodic\n {\n  Enable "0";\n };\n};': [4],
    'APT { Periodic { Enable "0"; }; };': [0],
    'Unattended-Upgrade::Package-Blacklist {\n "a";\n "b";\n};\nDPkg::Options "x";': [0, 1, 2, 3],
    'Unattended-Upgrade::Package-Blacklist:: "a";': [0],
    "#clear APT::Periodic;": [0],
    '# APT::Periodic::Enable "0";\n//APT::Periodic::Enable "0";': [],
}
HALF_A_BLOCK = ['APT { Periodic { Enable "0";\n};\n};']


@pytest.mark.parametrize("text", LISTS)
def test_a_line_that_trusts_an_archive_is_found(text: str) -> None:
    assert trusting("x.list", text.split("\n")) == LISTS[text]


@pytest.mark.parametrize("text", STANZAS)
def test_a_stanza_that_trusts_an_archive_is_found_whole(text: str) -> None:
    assert trusting("x.sources", text.split("\n")) == STANZAS[text]


@pytest.mark.parametrize("text", SETTINGS)
def test_a_later_setting_is_found_and_an_earlier_one_is_not(text: str) -> None:
    assert overruling("zzz", text.split("\n"), OURS) == SETTINGS[text]
    assert overruling("apt.conf", text.split("\n"), OURS) == SETTINGS[text]
    assert overruling("50unattended-upgrades", text.split("\n"), OURS) == []


def test_a_setting_for_one_program_wins_wherever_it_stands() -> None:
    assert overruling("10x", ['Binary::apt::APT::Get::AllowUnauthenticated "true";'], OURS) == [0]


def test_a_list_may_grow_but_not_be_cleared() -> None:
    lines = ["#clear Demo::Origins;", 'Demo::Origins:: "one";']
    assert overruling("zzz", lines, OURS, ["Demo::Origins"]) == [0]


@pytest.mark.parametrize("text", HALF_A_BLOCK)
def test_half_a_block_is_never_left_behind(text: str) -> None:
    assert overruling("zzz", text.split("\n"), OURS) == []


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "apt.conf.d").mkdir()
    monkeypatch.setattr(apt_sources, "APT", tmp_path)
    return tmp_path


def test_one_file_is_changed_at_a_time_and_keeps_its_rights(etc: Path) -> None:
    text = "# from a leaflet\ndeb [trusted=yes] http://me:secret@one ./\n\ndeb http://two ./"
    both = [etc / "sources.list", etc / "sources.list.d" / "copier.list"]
    for path in both:
        path.write_text(text)
        path.chmod(0o640)
    asked = {"sources": True, "settings": [], "lists": [], "switch_off": ""}
    assert main(asked)["sources"] == list(map(str, both))
    found = main({**asked, "switch_off": str(both[1])})
    assert "secret" not in json.dumps(found)
    assert both[0].read_text() == text
    assert both[1].read_text() == text.replace("deb [", "#readingroom# deb [")
    assert both[1].stat().st_mode & 0o777 == 0o640
    assert main(asked)["sources"] == [str(both[0])]


def test_what_the_policy_does_not_ask_for_is_not_looked_at(etc: Path) -> None:
    (etc / "sources.list").write_text("deb [trusted=yes] http://one ./\n")
    (etc / "apt.conf").write_text('APT::Periodic::Enable "0";\n')
    assert main({"sources": False, "settings": [], "lists": [], "switch_off": ""}) == {"sources": [], "settings": []}
    assert main({"sources": False, "settings": OURS, "lists": [], "switch_off": ""})["settings"] == [
        str(etc / "apt.conf")
    ]


def test_our_own_files_and_what_apt_does_not_read_stay(etc: Path) -> None:
    for name in ("zz-readingroom-updates.conf", "zzz.bak", "zzz.dpkg-old"):
        (etc / "apt.conf.d" / name).write_text('APT::Periodic::Enable "0";\n')
    (etc / "sources.list.d" / "a.save").write_text("deb [trusted=yes] http://one ./\n")
    assert main({"sources": True, "settings": OURS, "lists": [], "switch_off": ""}) == {"sources": [], "settings": []}


def test_bytes_that_are_no_text_survive(etc: Path) -> None:
    path = etc / "sources.list"
    path.write_bytes(b"# caf\xe9\ndeb [trusted=yes] http://one ./\n")
    main({"sources": True, "settings": [], "lists": [], "switch_off": str(path)})
    assert path.read_bytes() == b"# caf\xe9\n#readingroom# deb [trusted=yes] http://one ./\n"
