"""Bring a site's machines to what was compiled for them, with either engine, and say how each one fared.

The order of things: hold every machine (which also shows who cannot be reached and whether sudo wants a password),
start the engine as a child process for those that are held, gather its events, let go, and put the outcome into plain
words. One machine's trouble never stops another. This module must not know what a role does.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from readingroom.apply.child import Child, Lines
from readingroom.apply.engines import (
    EVENTS_FD,
    SIDE_BY_SIDE,
    Command,
    Request,
    command_for,
    refuse_uncompiled,
    roles_in_order,
)
from readingroom.apply.keeping import Keeper
from readingroom.apply.lock import MachineBusy, MachineLock
from readingroom.apply.model import ApplyResult, Engine, Event
from readingroom.apply.outcome import Outcome
from readingroom.apply.root_shell import CannotConnect, PasswordNeeded
from readingroom.errors import ReadingRoomError, did_you_mean
from readingroom.fleet import Machine, Site

OnEvent = Callable[[Event], None]
_PASSWORD_VARIABLES = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")


def harden(
    site: Site,
    *,
    engine: Engine = "ansible",
    roles: Sequence[str] | None = None,
    machines: Sequence[str] | None = None,
    check: bool = False,
    on_event: OnEvent = lambda event: None,
    ask_password: Callable[[str], str] | None = None,
) -> ApplyResult:
    """Apply the compiled policy of `site`, or with `check` only find out what that would change.

    `roles` and `machines` narrow the run (None: all); `on_event` hears of every event as it happens; `ask_password` is
    asked at most once, and only if sudo asks. Raises `ReadingRoomError` when nothing can be started at all.
    """
    chosen = choose_roles(site, roles)
    refuse_uncompiled(site, chosen)
    run = Run(site, engine, chosen, site.limited_to(machines), check, on_event)
    return run.carry_out(ask_password or on_terminal)


@contextlib.contextmanager
def _every_end_is_an_interruption() -> Iterator[None]:
    """A closed terminal or a shutdown stops a run as Ctrl-C does, in good order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def choose_roles(site: Site, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The roles called `wanted` (None: all) in their order; an unknown one is an error."""
    known = roles_in_order(site.root)
    for role in wanted or ():
        if role not in known:
            raise ReadingRoomError(f"there is no role called {role}\n  to mend  {did_you_mean(role, known)}")
    return tuple(role for role in known if wanted is None or role in wanted)


def on_terminal(prompt: str) -> str:
    """Ask the person at the terminal for a password; an error where there is nobody."""
    if not sys.stdin.isatty():
        raise ReadingRoomError(
            "sudo asks for a password, and there is nobody to ask\n"
            "  to mend  run it in a terminal, or give the automation login passwordless sudo"
        )
    return getpass.getpass(prompt)


def _configured_password(machine: Machine) -> str | None:
    values = (machine.hostvars.get(name) for name in _PASSWORD_VARIABLES)
    return next((str(value) for value in values if isinstance(value, str) and "{{" not in value), None)


class Run:
    """The state of one run."""

    def __init__(
        self,
        site: Site,
        engine: Engine,
        roles: tuple[str, ...],
        machines: Sequence[Machine],
        check: bool,
        tell: OnEvent,
        verb: str = "harden",
    ) -> None:
        self.site, self.engine, self.roles, self.check, self.tell = site, engine, roles, check, tell
        self.machines = {machine.name: machine for machine in machines}
        self.outcomes = {name: Outcome(site.name, name, roles, check, verb) for name in self.machines}
        self.locks: dict[str, MachineLock] = {}
        self.interrupted = False
        self.password: str | None = None

    def note(self, event: Event) -> None:
        """Take in an event and pass it on."""
        if event.machine in self.outcomes:
            self.outcomes[event.machine].take(event)
        self.tell(event)

    def carry_out(self, ask_password: Callable[[str], str]) -> ApplyResult:
        """Hold the machines, do the work, and let go of them, however it ends."""
        with _every_end_is_an_interruption():
            try:
                self.hold_all(ask_password)
                self.apply()
            except KeyboardInterrupt:
                self.interrupted = True
            finally:
                self.release_all()
        return self.result()

    def hold_all(self, ask: Callable[[str], str]) -> None:
        """Take every machine's lock, side by side; ask for a sudo password once if one is wanted."""
        refused = self._hold(self.machines)
        if refused:
            self.password = ask(f"sudo password for {', '.join(sorted(refused))}: ")
            for name, reason in self._hold(refused).items():
                self.note(Event("unreachable", name, detail=reason))

    def password_of(self, machine: Machine) -> str | None:
        """The sudo password of a machine, as far as one is known."""
        return _configured_password(machine) or self.password

    def _hold(self, names: Sequence[str] | dict[str, Machine] | dict[str, str]) -> dict[str, str]:
        """Try to hold `names`; those where sudo wants a password, with its words."""
        refused: dict[str, str] = {}

        def hold(name: str) -> Event | None:
            password = self.password_of(self.machines[name])
            try:
                self.locks[name] = MachineLock.over_ssh(
                    self.site.ssh_config, name, shared=self.check, password=password
                )
            except MachineBusy as error:
                return Event("failed", name, detail=str(error))
            except CannotConnect as error:
                return Event("unreachable", name, detail=str(error))
            except PasswordNeeded as error:
                refused[name] = str(error)
            return None

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for event in pool.map(hold, list(names)):
                if event:
                    self.note(event)
        return refused

    def apply(self) -> None:
        """Have every machine that is held record what is there, run the engine over them, and settle what it let go of."""
        keeper = Keeper(self.site, self.roles, self.password_of, self.note, self.beat)
        held = tuple(self.machines[name] for name in self.machines if name in self.locks)
        if not self.check:
            recorded = keeper.record(held)
            held = tuple(machine for machine in held if machine.name in recorded)
        if not held:
            return
        self._run_engine(held)
        if not self.interrupted:
            keeper.settle([machine for machine in held if self.outcomes[machine.name].ok], check=self.check)

    def _run_engine(self, held: tuple[Machine, ...]) -> None:
        passwords = {m.name: word for m in held if (word := _configured_password(m)) is not None}
        unfinished = frozenset(name for name, lock in self.locks.items() if lock.unfinished)
        request = Request(
            self.site, self.roles, held, self.check, passwords, self.password, unfinished
        )  # fmt: skip
        with tempfile.TemporaryFile() as complaints:
            try:
                self._follow(command_for(self.engine, request), complaints)
            finally:
                complaints.seek(0)
                said = complaints.read().decode(errors="replace")
                for machine in held:
                    self.outcomes[machine.name].engine_ended(said, self.interrupted)

    def _follow(self, command: Command, complaints: IO[bytes]) -> None:
        """Start the child, hear its events until it closes the pipe, keep the locks alive meanwhile."""
        reading, writing = os.pipe()
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=complaints,
            stderr=complaints,
            cwd=self.site.root,
            env={**command.environment, EVENTS_FD: str(writing)},
            pass_fds=(writing,),
            start_new_session=True,  # Ctrl-C reaches us, and we pass it on in our own words
        )
        os.close(writing)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(command.stdin.encode())
            process.stdin.close()
        # pyinfra ends its step at hand, which may install a package; Ansible drops its own at once.
        child = Child(process, 300.0, 300.0) if self.engine == "pyinfra" else Child(process, patience=20.0, deaf=5.0)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            lines = Lines(pipe)
            while not lines.ended:
                try:
                    talks = self._listen(lines)
                    if child.gone(talks=talks) and not talks:
                        break
                except KeyboardInterrupt:
                    self.interrupted = True
                    self.tell(Event("note", detail=child.stop()))
        process.wait()

    def _listen(self, lines: Lines) -> bool:
        """Take in what the engine says; False when it was silent for a while."""
        arrived = lines.arrived(timeout=2.0)
        for line in arrived:
            with contextlib.suppress(ValueError, TypeError):
                self.note(Event.from_json(json.loads(line)))
        self.beat()
        return bool(arrived)

    def beat(self) -> None:
        """Tell every machine that we are still here."""
        for lock in self.locks.values():
            lock.heartbeat()

    def release_all(self) -> None:
        """Let go of every machine; the mark of an unfinished run stays where something is left to do."""
        whole = set(self.roles) == set(roles_in_order(self.site.root))
        for name, lock in self.locks.items():
            finished = not self.check and self.outcomes[name].ok and (whole or not lock.unfinished)
            lock.release(finished=finished)

    def result(self) -> ApplyResult:
        """Everything, in words."""
        results = {name: outcome.result(self.interrupted) for name, outcome in self.outcomes.items()}
        return ApplyResult(self.engine, self.check, results, self.interrupted)
