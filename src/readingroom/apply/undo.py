"""Give machines back as they were before us: one role, all of them, or every trace of the toolkit.

It works from the record on each machine, so it needs no engine and no compiled policy, and undoes also what a role did that
has changed since or is gone. The last role applied is the first given back. This module must not know what a record holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from readingroom.apply.engines import roles_in_order
from readingroom.apply.harden import OnEvent, Run, choose_roles, on_terminal
from readingroom.apply.keeping import Keeper
from readingroom.apply.model import ApplyResult, Event
from readingroom.apply.recorder import ask
from readingroom.apply.root_shell import RootShell
from readingroom.fleet import Machine, Site


def undo(
    site: Site,
    *,
    roles: Sequence[str] | None = None,
    machines: Sequence[str] | None = None,
    check: bool = False,
    leave: bool = False,
    on_event: OnEvent = lambda event: None,
    ask_password: Callable[[str], str] = on_terminal,
) -> ApplyResult:
    """Give back what `roles` changed (None: all), or with `check` only say what that would be.

    With `leave` what is left of the toolkit's own goes too. Raises `ReadingRoomError` when nothing can be started at all.
    """
    chosen = choose_roles(site, roles)[::-1]
    run = _Undo(site, chosen, site.limited_to(machines), check, on_event, whole=roles is None, leave=leave)
    return run.carry_out(ask_password)


class _Undo(Run):
    """The state of one way back."""

    def __init__(
        self,
        site: Site,
        roles: tuple[str, ...],
        machines: Sequence[Machine],
        check: bool,
        tell: OnEvent,
        *,
        whole: bool,
        leave: bool,
    ) -> None:
        super().__init__(site, "pyinfra", roles, machines, check, tell, verb="leave" if leave else "undo")
        self.whole, self.leave = whole, leave
        for outcome in self.outcomes.values() if not whole else ():
            outcome.options = {"role": " --role ".join(roles)}  # never more than was asked for

    def apply(self) -> None:
        """Give back on every machine that is held, side by side."""
        held = [self.machines[name] for name in self.machines if name in self.locks]
        keeper = Keeper(self.site, self.roles, self.password_of, self.note, self.beat)
        try:
            keeper.on_each(held, lambda machine, shell: self._machine(keeper, machine, shell))
        except KeyboardInterrupt:
            self.interrupted = True
        for machine in held:
            self.outcomes[machine.name].engine_ended("", self.interrupted)

    def _machine(self, keeper: Keeper, machine: Machine, shell: RootShell) -> None:
        self.note(Event("begin", machine.name))
        recorded = ask(shell, "facts").roles
        forgotten = [role for role in recorded if role not in roles_in_order(self.site.root)]
        roles = [role for role in (*(forgotten if self.whole else ()), *self.roles) if role in recorded]
        for number, role in enumerate(roles):
            if keeper.stopping:
                return
            self.note(Event("task", machine.name, role, "Give back"))
            answer = ask(shell, "undo", role=role, check=self.check, given_back=roles[:number], whole=self.whole)
            keeper.report(machine, role, answer.changes, answer.notes)
            if answer.problem:
                self.note(Event("failed", machine.name, role, "Give back", answer.problem))
                return
        if self.leave:
            answer = ask(shell, "sweep", check=self.check)
            keeper.report(machine, "", answer.changes, answer.notes)
        self.note(Event("done", machine.name))
