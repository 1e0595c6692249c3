#!/usr/bin/python3 -B
"""End sessions of the patron account that nobody touches any more, after warnings in the patron's language.

Started by readingroom-session-idle.service. Reads /etc/readingroom/session-idle.json and nothing else about the
policy. A session is idle when nobody touches its keyboard or mouse: X tells for graphical sessions, the terminal for
text sessions. Says that it ended a session, never whose or what was in it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from session_list import Session, end, open_sessions
from session_warn import Warner, Wording

SETTINGS = Path("/etc/readingroom/session-idle.json")
NEWCOMERS = 5.0  # seconds until a new session is noticed
LATE = 15.0  # … that a warning may be late and still gets the whole time it speaks of
LAST_WORD = 10.0  # … that the last warning has before the end, however long nobody was there
WATCHFUL = 1.0  # … between looks while a warning is up


@dataclass(frozen=True)
class Settings:
    """What the policy says; `warnings` are seconds before the end, longest first."""

    login: str
    idle_seconds: int
    warnings: tuple[int, ...]
    wording: tuple[Wording, ...]

    @staticmethod
    def read(path: Path = SETTINGS) -> Settings:
        """The settings in `path`; warnings that could only come before the last key was pressed are left out."""
        said = json.loads(path.read_text(encoding="utf-8"))
        limit = int(said["idle_seconds"])
        warnings = sorted({int(span) for span in said["warnings"] if span < limit}, reverse=True)
        wording = tuple(Wording(one["language"], one["texts"]) for one in said["wording"])
        return Settings(said["login"], limit, tuple(warnings), wording)


@dataclass
class Watch:
    """One session's way to its end. Times come from a clock that nobody can set."""

    settings: Settings
    given: set[int] = field(default_factory=set)
    ends: float = 0.0

    def due(self, idle: float, now: float) -> int | None:
        """The seconds that a warning must announce now, 0 when the session is over, None when there is nothing to do.

        However long the session seems to have been idle (the machine slept, a clock was set), a last word comes first.
        """
        left = self.settings.idle_seconds - idle
        reached = {span for span in self.settings.warnings if left <= span}
        if not reached and (self.settings.warnings or left > 0):
            self.given.clear()
            return None
        new = reached - self.given
        if new:
            span = min(reached)
            self.ends = now + (span if span - left <= LATE else max(left, LAST_WORD))
            self.given |= new
        elif not self.settings.warnings or now >= self.ends:
            return 0
        return round(self.ends - now) if new else None

    def nap(self, idle: float) -> float:
        """Seconds in which nothing can happen to this session."""
        if self.given:
            return WATCHFUL
        first = max(self.settings.warnings, default=0)
        return max(WATCHFUL, self.settings.idle_seconds - first - idle)


class Keeper:
    """Watches all sessions of the account."""

    def __init__(self, settings: Settings, warner: Warner) -> None:
        self.settings, self.warner = settings, warner
        self._watches: dict[str, Watch] = {}

    def look(self) -> float:
        """Look at every session once, warn and end what is due; returns how long to sleep."""
        sessions = {session.id: session for session in open_sessions(self.settings.login)}
        for gone in set(self._watches) - set(sessions):
            self.warner.withdraw(gone)
            del self._watches[gone]
        return min((self._look_at(session) for session in sessions.values()), default=NEWCOMERS)

    def _look_at(self, session: Session) -> float:
        watch = self._watches.setdefault(session.id, Watch(self.settings))
        idle = session.idle_seconds()
        if idle is None:  # nobody can touch it: no screen, no terminal
            return NEWCOMERS
        warned = bool(watch.given)
        due = watch.due(idle, time.monotonic())
        if warned and not watch.given:
            self.warner.withdraw(session.id)
        if due == 0:
            self.warner.withdraw(session.id)
            print("ended a session that nobody had touched", flush=True)
            end(session)
        elif due is not None:
            self.warner.warn(session, due)
        return min(NEWCOMERS, watch.nap(idle))


def main() -> None:
    """Watch for ever."""
    settings = Settings.read()
    keeper = Keeper(settings, Warner(settings.wording))
    while True:
        time.sleep(keeper.look())


if __name__ == "__main__":
    main()
