"""How one machine fared, from its events to the last words a person reads."""

from __future__ import annotations

import time
from dataclasses import replace

from readingroom.apply.model import Change, Event, MachineResult, Status
from readingroom.toolkit import typed

_OFF = "Is it switched on and on the network?"
_HINTS = (
    ("Host key", "Its key is not known here, or has changed. Log in once by hand and compare the key: {ssh}"),
    ("Permission denied", "It does not let the login of the inventory in: check its user name and key. Try: {ssh}"),
    ("sudo", "Check the password of the login that the inventory names, and that it may use sudo. Try: {ssh}"),
    ("resolve hostname", "Its name is not known to the network: check ansible_host in the inventory."),
)


class Outcome:
    """Gathers the events of one machine."""

    def __init__(self, site: str, machine: str, roles: tuple[str, ...], check: bool, verb: str = "harden") -> None:
        self.site, self.machine, self.roles, self.check = site, machine, roles, check
        self.verb = "plan" if check and verb == "harden" else verb
        self.options: dict[str, str] = {}  # what belongs to the command when it is typed again
        self.changes: list[Change] = []
        self.notes: list[str] = []
        self._announced: dict[tuple[str, str, str], str] = {}  # act, subject and detail → the role that came first
        self._packages: set[str] = set()
        self._done = self._begun = False
        self._failure: Event | None = None
        self._reached = -1
        self._current: Event | None = None
        self._start = time.monotonic()
        self._seconds = 0.0

    @property
    def ok(self) -> bool:
        """It went through to the end."""
        return self._done

    def take(self, event: Event) -> None:
        """Take in what happened."""
        self._begun = self._begun or event.kind in ("begin", "task")
        if event.role in self.roles:
            self._reached = max(self._reached, self.roles.index(event.role))
        if event.kind == "task":
            self._current = event
        elif event.kind == "changed":
            self._note_change(Change(event.role, event.what, event.detail, event.act, event.subject))
        elif event.kind == "note":
            self.notes.append(event.detail)
        elif event.kind in ("failed", "unreachable"):
            self._failure = event
        if event.kind in ("done", "failed", "unreachable"):
            self._done = event.kind == "done"
        self._seconds = time.monotonic() - self._start

    def _note_change(self, change: Change) -> None:
        """Keep a change; in a dry run, one that an earlier role has announced already would not be left to do."""
        if self.check and change.act == "install":
            fresh = [name for name in change.subject.split("\n") if name not in self._packages]
            self._packages.update(fresh)
            if not fresh:
                return
            change = replace(change, subject="\n".join(fresh))
        elif self.check and change.act in ("write", "directory", "remove"):
            key = (change.act, change.subject, change.detail)
            if self._announced.setdefault(key, change.role) != change.role:
                return
        self.changes.append(change)

    def engine_ended(self, complaints: str, interrupted: bool) -> None:
        """The engine is gone: a machine that it left without a verdict has failed, and here is what it said."""
        if self._done or (self._failure and not interrupted):
            return
        if interrupted:
            where = self._current.what if self._current else ""
            self._failure = Event("failed", self.machine, self._role_at_hand(), where, "stopped on request")
            return
        lines = [line for line in complaints.splitlines() if line.strip()]
        reason = "\n".join(lines[-8:]) or "the engine ended without a word"
        self._failure = Event("failed", self.machine, self._role_at_hand(), detail=reason)

    def _role_at_hand(self) -> str:
        return self._current.role if self._current else ""

    @property
    def undone(self) -> tuple[str, ...]:
        """The roles that were not finished, in order."""
        if self._done:
            return ()
        at_hand = self._failure.role if self._failure else ""
        return tuple(role for i, role in enumerate(self.roles) if i > self._reached or role == at_hand)

    def result(self, interrupted: bool) -> MachineResult:
        """The verdict, with words."""
        status: Status = "ok"
        if not self._done:
            unreachable = self._failure is not None and self._failure.kind == "unreachable"
            status = "unreachable" if unreachable else "failed"
        message = self._words(interrupted) if status != "ok" else self._words_when_ok()
        return MachineResult(
            status, tuple(self.changes), message, self.undone, round(self._seconds, 1), tuple(self.notes)
        )

    def _words_when_ok(self) -> str:
        count = len(self.changes)
        if not count:
            return f"Nothing to {'change: everything is as it should be' if self._applies else 'give back'}."
        if not self._applies:
            things = "1 thing" if count == 1 else f"{count} things"
            return f"{things} would be given back; nothing was touched." if self.check else f"{things} given back."
        changes = f"{count} change" + ("s" if count != 1 else "")
        return f"{changes} would be made; nothing was touched." if self.check else f"{changes} made."

    def _words(self, interrupted: bool) -> str:
        failure = self._failure or Event("failed", self.machine, detail="the run ended before this machine's turn")
        again = typed(self.verb, self.site, **self.options)
        if failure.kind == "unreachable" and not self._begun:
            hint = next((hint for sign, hint in _HINTS if sign in failure.detail), _OFF)
            hint = hint.format(ssh=f"ssh -F build/{self.site}/ssh_config {self.machine}")
            return f"Cannot be reached: {failure.detail}\nNothing was changed on it. {hint} Then: {again}"
        place = " ".join(part for part in (failure.role, f"“{failure.what}”" if failure.what else "") if part)
        if failure.kind == "unreachable":
            head = f"The connection was lost{f' in {place}' if place else ''}: {failure.detail}"
        elif interrupted:
            head = f"Stopped{f' at {place}' if place else ''}."
        else:
            head = f"Failed{f' at {place}' if place else ''}: {failure.detail}"
        return "\n".join([head, *self._state_of_things(), f"To go on, which is always safe: {again}"])

    @property
    def _applies(self) -> bool:
        """Is this a run that makes changes, and not one that takes them back?"""
        return self.verb in ("plan", "harden")

    def _state_of_things(self) -> list[str]:
        finished = [role for role in self.roles if role not in self.undone]
        lines = [f"Finished: {', '.join(finished)}."] if finished else []
        if self.undone:
            lines.append(f"Not finished: {', '.join(self.undone)}.")
        if self.check:
            lines.append("It was a dry run: nothing was changed.")
        elif not self.changes:
            lines.append("Nothing was changed on it.")
        else:
            lines.append(f"Changes made before that: {len(self.changes)}; they stay, and are sound by themselves.")
        return lines
