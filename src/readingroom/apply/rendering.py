"""Render a role's templates and variables as Ansible would, without Ansible.

One place that knows how Ansible sets up Jinja, so that both engines write the same bytes. It must not know
pyinfra, a machine or a connection: text and plain data in, text and plain data out. Only core Jinja is there;
a template that wants an Ansible filter fails here, and that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, Undefined, meta

from readingroom.errors import ReadingRoomError

_ONE_EXPRESSION = re.compile(r"\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*", re.DOTALL)


class RenderError(ReadingRoomError):
    """A template or a role variable that cannot be worked out."""


def environment(templates: Path | None = None) -> Environment:
    """Jinja as Ansible's `template` module sets it up: the newline after a block goes, and nothing is an empty text."""
    loader = FileSystemLoader(templates) if templates else None
    return Environment(  # noqa: S701  (configuration files, not HTML)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=False,
        keep_trailing_newline=False,
        finalize=lambda value: "" if value is None else value,
        loader=loader,
    )


def render_file(template: Path, values: Mapping[str, Any]) -> str:
    """The text of `template` with `values`; includes are looked up beside it."""
    try:
        # Read afresh each time: an engine's own cache is keyed by file name and forgets the settings.
        text = environment(template.parent).get_template(template.name).render(values)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        place = f"{template}:{line}" if line else str(template)
        raise RenderError(f"{place}: cannot render this template: {error}") from error
    source = template.read_text(encoding="utf-8")
    # Ansible lets Jinja drop the newline at the end and then restores as many as the template has.
    missing = _newlines_at_end(source) - _newlines_at_end(text) if text else 0
    return text + "\n" * missing


def _newlines_at_end(text: str) -> int:
    return len(text) - len(text.rstrip("\n"))


def read_role_variables(role: Path) -> dict[str, Any]:
    """The plain content of a role's `vars/main.yml`, or of the files in `vars/main/`, as Ansible reads them."""
    found: dict[str, Any] = {}
    for path in [role / "vars" / "main.yml", *sorted((role / "vars" / "main").glob("*.yml"))]:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        if not isinstance(content, dict | None):
            raise RenderError(f"{path}: role variables must be a mapping")
        found |= content or {}
    return found


def resolve(values: Mapping[str, Any]) -> dict[str, Any]:
    """Work out every `{{ … }}` inside `values`, each in terms of the others, as Ansible does on use.

    What cannot be worked out becomes an undefined value that says why, and is an error only for who uses it.

    >>> resolve({"hours": "{{ seconds // 3600 }}", "seconds": 7200, "text": "{{ hours }} h"})
    {'hours': 2, 'seconds': 7200, 'text': '2 h'}
    """
    return _Resolver(values).all()


def defined(value: Any) -> Any:
    """`value`, or an error if it could not be worked out."""
    if isinstance(value, Undefined):
        raise RenderError(value._undefined_message)
    return value


class _Resolver:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._raw = values
        self._done: dict[str, Any] = {}
        self._busy: list[str] = []
        self._env = environment()

    def all(self) -> dict[str, Any]:
        for name in self._raw:
            try:
                self._get(name)
            except RenderError as error:
                self._done[name] = StrictUndefined(hint=str(error))
        return {name: self._done[name] for name in self._raw}

    def _get(self, name: str) -> Any:
        if name in self._done:
            return defined(self._done[name])
        if name in self._busy:
            raise RenderError(f"role variable {name} is defined by way of itself: {' → '.join(self._busy)}")
        self._busy.append(name)
        try:
            self._done[name] = self._work_out(self._raw[name], name)
        finally:
            self._busy.pop()
        return self._done[name]

    def _work_out(self, value: Any, name: str) -> Any:
        if isinstance(value, list):
            return [self._work_out(item, name) for item in value]
        if isinstance(value, dict):
            return {key: self._work_out(item, name) for key, item in value.items()}
        if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
            return value
        try:
            needed = meta.find_undeclared_variables(self._env.parse(value))
            context = {other: self._get(other) for other in sorted(needed) if other in self._raw}
            only = _ONE_EXPRESSION.fullmatch(value)
            if only:
                return defined(self._env.compile_expression(only[1], undefined_to_none=False)(**context))
            return self._env.from_string(value).render(context)
        except (TemplateError, RenderError) as error:
            raise RenderError(f"role variable {name} cannot be worked out: {error}") from error


def holds(condition: str | bool, values: Mapping[str, Any]) -> bool:
    """Whether a `when` holds: the name of a variable, or an expression in core Jinja.

    >>> holds("bounded and major >= 13", {"bounded": True, "major": 13})
    True
    """
    if isinstance(condition, bool):
        return condition
    try:
        return bool(environment().compile_expression(condition, undefined_to_none=False)(**values))
    except TemplateError as error:
        raise RenderError(f"cannot decide “{condition}”: {error}") from error
