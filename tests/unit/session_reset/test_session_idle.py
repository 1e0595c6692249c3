"""When a forgotten session is warned, when it ends, and that nobody is thrown out unwarned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from session_idle import LAST_WORD, Keeper, Settings, Watch
from session_warn import Wording, clock, spoken

HOUR = 3600


def settings(*warnings: int, limit: int = 900) -> Settings:
    return Settings("patron", limit, warnings, ())


def lived(watch: Watch, idle_at: dict[int, float]) -> dict[int, int]:
    """What the watch says at each second of a clock, as far as it says something."""
    said = ((now, watch.due(idle, float(now))) for now, idle in idle_at.items())
    return {now: due for now, due in said if due is not None}


def test_each_warning_comes_once_in_its_time_and_then_the_end() -> None:
    said = lived(Watch(settings(600, 300, 60)), {now: now for now in range(901)})
    assert said == {300: 600, 600: 300, 840: 60, 900: 0}


def test_somebody_who_moves_the_mouse_is_left_alone_and_warned_anew_the_next_time() -> None:
    watch = Watch(settings(60))
    first = lived(watch, {now: now for now in range(880)})
    back = lived(watch, {880 + idle: idle for idle in range(901)})
    assert first == {840: 60}
    assert back == {1720: 60, 1780: 0}


def test_a_jump_of_the_clock_ends_nothing_without_a_last_word() -> None:
    watch = Watch(settings(600, 60))
    assert watch.due(8 * HOUR, 0) == LAST_WORD
    assert watch.due(8 * HOUR, LAST_WORD - 1) is None
    assert watch.due(8 * HOUR, LAST_WORD) == 0


def test_a_jump_of_the_clock_does_nothing_to_who_then_presses_a_key() -> None:
    watch = Watch(settings(600, 60))
    watch.due(8 * HOUR, 0)
    assert watch.due(0.5, 5) is None
    assert watch.due(3, LAST_WORD) is None


def test_without_warnings_a_session_ends_when_its_time_is_over() -> None:
    assert lived(Watch(settings()), {now: now for now in range(901)}) == {900: 0}


def test_it_sleeps_until_something_can_happen() -> None:
    watch = Watch(settings(600))
    assert watch.nap(100) == 200
    watch.due(300, 0)
    assert watch.nap(300) == 1


def test_a_warning_longer_than_the_limit_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"login": "patron", "idle_seconds": 600, "warnings": [60, 600, 300], "wording": []}))
    assert Settings.read(path).warnings == (300, 60)


@pytest.mark.parametrize(
    ("locale", "languages"),
    [("es_MX.UTF-8", ["es"]), ("zh_HANS", ["zh-Hans"]), ("C.UTF-8", ["en", "es", "zh-Hans"]), ("", ["en", "es", "zh-Hans"]),
     ("en", ["en"]), ("english", ["en", "es", "zh-Hans"])],
)  # fmt: skip
def test_a_warning_speaks_the_sessions_language_or_all(locale: str, languages: list[str]) -> None:
    wording = [Wording(name, {}) for name in ("en", "es", "zh-Hans")]
    assert [one.language for one in spoken(wording, locale)] == languages


def test_the_clock_needs_no_translation() -> None:
    assert (clock(600), clock(61), clock(9)) == ("10:00", "1:01", "0:09")


class _Session:
    id, kind, terminal, display = "7", "tty", "pts/7", ""

    def __init__(self, idle: float | None) -> None:
        self._idle = idle

    def idle_seconds(self) -> float | None:
        return self._idle


class _Warner:
    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []

    def warn(self, session: _Session, seconds: int) -> None:
        self.said.append(("warn", seconds))

    def withdraw(self, session_id: str) -> None:
        self.said.append(("withdraw", session_id))


def test_a_warning_goes_as_soon_as_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    warner = _Warner()
    keeper = Keeper(settings(600), warner)  # type: ignore[arg-type]
    for idle in (301.0, 2.0):
        monkeypatch.setattr("session_idle.open_sessions", lambda login, idle=idle: [_Session(idle)])
        keeper.look()
    assert warner.said == [("warn", 600), ("withdraw", "7")]


def test_a_session_that_nobody_can_touch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    warner = _Warner()
    monkeypatch.setattr("session_idle.open_sessions", lambda login: [_Session(None)])
    Keeper(settings(600), warner).look()  # type: ignore[arg-type]
    assert warner.said == []
