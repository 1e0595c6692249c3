"""Before a machine is changed: have it record what is there. Afterwards: have it give back what the policy let go of.

The same for both engines, because neither takes part. A machine that cannot record is not changed. This module must not
know a role, nor how the record looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from readingroom.apply.engines import SIDE_BY_SIDE, roles_for, variables_of
from readingroom.apply.managed import managed
from readingroom.apply.model import Event
from readingroom.apply.recorder import ask
from readingroom.apply.root_shell import RootShell
from readingroom.errors import ReadingRoomError
from readingroom.fleet import Machine, Site

OnEvent = Callable[[Event], None]
Password = Callable[[Machine], str | None]


class Keeper:
    """What the record of prior states needs from one run."""

    def __init__(
        self, site: Site, roles: Sequence[str], password: Password, tell: OnEvent, beat: Callable[[], None]
    ) -> None:
        self.site, self.roles, self.password, self.tell, self.beat = site, roles, password, tell, beat
        self.stopping = False

    def on_each(self, machines: Iterable[Machine], work: Callable[[Machine, RootShell], None]) -> set[str]:
        """Do `work` on every machine, side by side; the names of those where it went through.

        Ctrl-C sets `stopping`, lets each machine end the step at hand, and is passed on.
        """

        def one(machine: Machine) -> str | None:
            try:
                shell = RootShell.over_ssh(self.site.ssh_config, machine.name, self.password(machine))
                try:
                    work(machine, shell)
                finally:
                    shell.close()
            except ReadingRoomError as error:
                self.tell(Event("failed", machine.name, detail=str(error)))
                return None
            return machine.name

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            try:
                waiting = jobs = {pool.submit(one, machine) for machine in machines}
                while waiting:
                    waiting = wait(waiting, timeout=2.0).not_done
                    self.beat()
            except KeyboardInterrupt:
                self.stopping = True
                self.tell(Event("note", detail="Stopping after the step at hand."))
                raise
        return {name for job in jobs if (name := job.result())}

    def record(self, machines: Iterable[Machine]) -> set[str]:
        """Record what is there, wherever it is not recorded yet; the machines that may be changed now."""

        def work(machine: Machine, shell: RootShell) -> None:
            for role, given in self._managed(machine, shell):
                answer = ask(shell, "record", role=role, managed=given)
                if answer.problem:
                    raise ReadingRoomError(f"what is there cannot be recorded, so nothing is changed: {answer.problem}")

        return self.on_each(machines, work)

    def settle(self, machines: Iterable[Machine], *, check: bool) -> None:
        """Give back what the policy does not ask for any more."""

        def work(machine: Machine, shell: RootShell) -> None:
            for role, given in self._managed(machine, shell):
                answer = ask(shell, "settle", role=role, managed=given, check=check)
                self.report(machine, role, answer.changes, answer.notes)
                if answer.problem:
                    self.tell(Event("failed", machine.name, role, "Give back", answer.problem))
                    return

        self.on_each(machines, work)

    def _managed(self, machine: Machine, shell: RootShell) -> Iterator[tuple[str, dict[str, Any]]]:
        """What each role manages there, as the machine is when it is the role's turn."""
        facts, variables = ask(shell, "facts").facts, variables_of(self.site, machine)
        for role in roles_for(self.roles, variables):
            folder = self.site.root / "roles" / role
            yield role, managed(folder, variables, facts, machine.name, lambda script: shell.run(script).stdout)

    def report(self, machine: Machine, role: str, changes: Iterable[str], notes: Iterable[str]) -> None:
        """Pass on what a machine did, or would do."""
        for what in changes:
            self.tell(Event("changed", machine.name, role, what))
        for text in notes:
            self.tell(Event("note", machine.name, role, detail=text))
