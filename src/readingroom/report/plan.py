"""A plan in words: for each machine what would be done, by promise; on a terminal in colour, elsewhere the same text.

What does not change is not mentioned. Must not know how the plan came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from ..apply.planned import MachinePlan, Plan, PlannedChange

_SHOWN_LINES = 40
_MARKS: Mapping[str, tuple[str, str]] = {
    "write": ("change", "write"),
    "directory": ("correct folder", "make folder"),
    "remove": ("DELETE", "DELETE"),
    "install": ("install", "install"),
    "unit": ("service", "service"),
    "restart": ("restart", "restart"),
    "step": ("do", "do"),
}
_STYLES = {"remove": "red", "restart": "yellow", "install": "cyan", "unit": "cyan"}
_WIDTH = max(len(mark) for marks in _MARKS.values() for mark in marks) + 2


def plan_text(plan: Plan, titles: Mapping[str, str], *, full: bool = False) -> Iterator[Text]:
    """The lines of `plan`; `titles` are the controls' short names; `full` shows new files and long diffs, too."""
    for name, machine in plan.machines.items():
        yield Text(f"{name}: {machine.message.splitlines()[0]}", style="bold")
        yield from (Text(f"  {line}") for line in machine.message.splitlines()[1:])
        yield from _machine(machine, titles, full)
        yield Text()


def _machine(machine: MachinePlan, titles: Mapping[str, str], full: bool) -> Iterator[Text]:
    for waiver in machine.waivers:
        words = f"waived here: {titles.get(waiver.control, waiver.control)} ({waiver.control})"
        yield Text(f"  {words}: {waiver.value} until {waiver.until}, waiver {waiver.id}", style="yellow")
    yield from (Text(f"  note: {note}", style="yellow") for note in machine.notes)
    for head, changes in _grouped(machine.changes, titles):
        yield Text(f"  {head}", style="underline")
        for change in changes:
            yield from _change(change, full)
    if machine.changes:
        yield from _ending(machine, full)


def _grouped(
    changes: Sequence[PlannedChange], titles: Mapping[str, str]
) -> Iterator[tuple[str, Sequence[PlannedChange]]]:
    """The changes by what they serve, in the order in which the first of each group would be made."""
    groups: dict[tuple[str, tuple[str, ...] | None], list[PlannedChange]] = {}
    for change in changes:
        key = (change.role, None) if change.whole_role else ("", change.controls)
        groups.setdefault(key, []).append(change)
    for (role, controls), members in groups.items():
        yield _head(role, controls, titles), members


def _head(role: str, controls: tuple[str, ...] | None, titles: Mapping[str, str]) -> str:
    if controls is None:
        return f"For every promise of {role}" if role else "For no promise in particular"
    if not controls:
        return "For promises that are not made for this machine"
    if len(controls) == 1:
        return f"{titles.get(controls[0], controls[0])} ({controls[0]})"
    return "; ".join(titles.get(control, control) for control in controls)


def _change(change: PlannedChange, full: bool) -> Iterator[Text]:
    mark = _MARKS[change.act][change.new]
    yield Text.assemble("    ", (f"{mark:<{_WIDTH}}", _STYLES.get(change.act, "")), _subject(change))
    if change.act == "directory" and (change.new or not full):
        return
    lines = change.diff.splitlines()
    if change.new and not full:
        return
    body = [line for line in lines if not line.startswith(("--- ", "+++ "))]
    shown = body if full else body[:_SHOWN_LINES]
    for line in shown:
        yield Text(f"        {line}", style={"+": "green", "-": "red", "@": "dim"}.get(line[:1], ""))
    if len(shown) < len(body):
        yield Text(f"        … {len(body) - len(shown)} more lines: --full shows them", style="dim")


def _subject(change: PlannedChange) -> str:
    if change.act == "install":
        return ", ".join(change.packages)
    if change.act in ("unit", "restart"):
        return change.what if change.subject in change.what and ": " not in change.what else change.subject
    if change.act == "step":
        return change.what
    lines = sum(line.startswith("+") and not line.startswith("+++ ") for line in change.diff.splitlines())
    return change.subject + (f"  ({lines} lines)" if change.new and lines and change.act == "write" else "")


def _ending(machine: MachinePlan, full: bool) -> Iterator[Text]:
    if machine.edits and full:
        yield Text("  Further files that these steps may change", style="underline")
        yield from (Text(f"    {edit.what}") for edit in machine.edits)
    if machine.lost:
        yield Text("  Deleted for good, now and from then on; undo cannot give it back", style="underline red")
        yield from (Text(f"    {lost.what}") for lost in machine.lost)
    yield Text("  Would a person at the machine notice?", style="underline")
    for words in machine.noticed:
        yield Text(f"    {words}")
    for role in machine.unsure:
        yield Text(f"    {role} does not say: better not while somebody works at it.")
    if not machine.noticed and not machine.unsure:
        yield Text("    No.")
