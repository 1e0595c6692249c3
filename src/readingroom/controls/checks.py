"""Which promises have a check and a break scenario, found by reading the files and never by running them.

Must not import pytest, testinfra or a test: the control loader asks this before anything may run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import Place, Problems


@dataclass(frozen=True, order=True, slots=True)
class Check:
    """A test function that is bound to a control by `@control("…")`."""

    control: str
    path: Path
    line: int
    test: str


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
