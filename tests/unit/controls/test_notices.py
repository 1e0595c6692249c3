"""What patrons read: every language complete, and a language that is missing falls back where everybody sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from readingroom import controls
from readingroom.controls.notices import load_notices
from readingroom.errors import Problems

ROOT = Path(__file__).parents[3]
ENGLISH = 'session.warnings: {title: Are you there?, left: "Left: {time}"}\n'


def load(root: Path, **files: str) -> tuple[controls.notices.Notices, list[str]]:
    folder = root / "policies" / "notices"
    folder.mkdir(parents=True)
    for language, text in files.items():
        (folder / f"{language}.yml").write_text(text, encoding="utf-8")
    problems = Problems()
    notices = load_notices(root, ["session.warnings"], problems)
    return notices, [f"{one.place} {one.message}" for one in problems.found]


def test_the_shipped_languages_are_whole() -> None:
    notices = controls.load(ROOT, linked=False).notices
    assert set(notices.languages) >= {"en", "es"}


def test_a_language_without_a_wording_is_named_and_leaves_the_others_or_english(tmp_path: Path) -> None:
    notices, faults = load(tmp_path, en=ENGLISH, es=ENGLISH)
    assert faults == []
    assert list(notices.worded("session.warnings", ["es", "vi"])) == ["es"]
    assert list(notices.worded("session.warnings", ["vi"])) == ["en"]
    assert notices.unworded(["es", "vi"]) == ("vi",)


@pytest.mark.parametrize(
    "translation",
    [
        "session.warnings: {title: ¿Está?}",
        'session.warnings: {title: ¿Está?, left: "Queda: {tiempo}"}',
        'session.warnings: {title: " ", left: "Queda: {time}"}',
        'session.warnings: {title: ¿Está?, left: "Queda: {time}", more: x}',
        "{}",
    ],
)
def test_a_translation_that_lacks_a_text_or_a_place_is_refused(tmp_path: Path, translation: str) -> None:
    _, faults = load(tmp_path, en=ENGLISH, es=translation)
    assert len(faults) == 1
    assert faults[0].startswith("policies/notices/es.yml")


def test_a_promise_without_english_words_is_refused(tmp_path: Path) -> None:
    _, faults = load(tmp_path, en="{}")
    assert any("session.warnings has no wording" in fault for fault in faults)
