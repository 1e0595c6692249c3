"""Which promises have a check and a break scenario, found by reading the files and never by running them.

A break scenario is data (`tests/breaks/<role>.yml`): how a hardened machine loses exactly one promise. Must not import
pytest, testinfra or a test: the control loader asks this before anything may run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..document import Item, read
from ..errors import Place, Problems, Refused, did_you_mean


@dataclass(frozen=True, order=True, slots=True)
class Check:
    """A test function that is bound to a control by `@control("…")`."""

    control: str
    path: Path
    line: int
    test: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Shell lines, run as root, that break exactly `control` on machines of the classes `on` (none named: all)."""

    control: str
    why: str
    run: tuple[str, ...]
    on: tuple[str, ...]
    role: str
    place: Place


def bound_controls(tests_dir: Path) -> dict[str, Path]:
    """Every control that a test below `tests_dir` is bound to, with the (first) file that holds it."""
    found: dict[str, Path] = {}
    for check in bound_checks(tests_dir):
        found.setdefault(check.control, check.path)
    return found


def bound_checks(tests_dir: Path) -> tuple[Check, ...]:
    """Every test below `tests_dir` that is bound to a control, in the order of files and lines.

    A file that is not valid Python, or a `@control` whose id is not written out, raises `Refused`.
    """
    problems = Problems()
    checks: list[Check] = []
    for path in sorted(tests_dir.rglob("test_*.py")):
        checks.extend(_checks_of(path, problems))
    problems.refuse_if_any()
    return tuple(checks)


def _checks_of(path: Path, problems: Problems) -> Iterator[Check]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, UnicodeDecodeError) as fault:
        line = getattr(fault, "lineno", 0) or 0
        problems.add(Place(str(path), line), "this file is not valid Python", "bad-check", mend="mend the file")
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and _called(decorator) == "control":
                name = decorator.args[0] if len(decorator.args) == 1 else None
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield Check(name.value, path, node.lineno, node.name)
                else:
                    place = Place(str(path), decorator.lineno, decorator.col_offset + 1)
                    mend = 'write the id out, as in @control("print.unclaimed-jobs")'
                    problems.add(place, "a check must name its control in plain text", "bad-check", mend=mend)


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


_KEYS = ("control", "why", "on", "run")


def break_scenarios(breaks_dir: Path) -> tuple[Scenario, ...]:
    """Every break scenario in `breaks_dir`, by file and then as written; raises `Refused` with all that is wrong."""
    problems = Problems()
    found: list[Scenario] = []
    for path in sorted(breaks_dir.glob("*.yml")):
        try:
            items = read(path).items
        except Refused as refused:
            problems.found.extend(refused.problems)
            continue
        if items is None:
            problems.add(Place(str(path)), "this file must be a list of scenarios", "bad-scenario")
        found.extend(filter(None, (_scenario(path.stem, item, problems) for item in items or ())))
    problems.refuse_if_any()
    return tuple(found)


def _scenario(role: str, item: Item, problems: Problems) -> Scenario | None:
    entries = item.entries or {}
    for key in sorted(set(entries) - set(_KEYS)):
        problems.add(item.keys[key], f"{key} is not part of a scenario", "bad-scenario", mend=did_you_mean(key, _KEYS))
    texts = {key: entries[key].text for key in ("control", "why") if key in entries}
    lists = {key: _texts(entries[key]) for key in ("on", "run") if key in entries}
    control, why, run, on = texts.get("control"), texts.get("why"), lists.get("run"), lists.get("on", ())
    if control and why and run and on is not None:
        return Scenario(control, why, run, on, role, item.place)
    mend = "write `control: …`, `why: …`, `run: [shell lines]` and, where it matters, `on: [classes]`"
    problems.add(item.place, "this scenario is not whole", "bad-scenario", mend=mend)
    return None


def _texts(item: Item) -> tuple[str, ...] | None:
    """A list of texts; None when it is anything else."""
    texts = tuple(one.text for one in item.items or () if one.text is not None)
    return texts if item.items is not None and len(texts) == len(item.items) else None
