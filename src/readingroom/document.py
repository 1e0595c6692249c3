"""YAML files as trees of `Item`s: each value with its place, and nothing YAML can be abused for.

Scalars keep the text that was written, so `off` stays `off` and `1:30` is no number; whoever reads a value
decides what it means. Refused: duplicate keys, aliases and merges, tags, keys that are not text, files that are
too large, too deep or not UTF-8. This module must not know what a policy or a control is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import Place, Problem, Problems, Refused

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml: slower, same result
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

LARGEST_BYTES = 1_000_000
DEEPEST = 50
_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _CORE + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)


@dataclass(frozen=True, slots=True)
class Item:
    """A value in a file. Exactly one of `text`, `items` and `entries` is not None; all None is an empty value."""

    place: Place
    text: str | None = None
    items: tuple[Item, ...] | None = None
    entries: dict[str, Item] | None = None
    keys: dict[str, Place] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """The value as a person would name it in a message."""
        if self.entries is not None:
            return "a block of keys"
        if self.items is not None:
            return "a list"
        if self.text is None:
            return "nothing"
        return self.text if len(self.text) <= 60 else self.text[:57] + "…"

    def plain(self) -> object:
        """The tree as dictionaries, lists and strings."""
        if self.entries is not None:
            return {key: item.plain() for key, item in self.entries.items()}
        if self.items is not None:
            return [item.plain() for item in self.items]
        return self.text


def read(path: Path, shown_as: str | None = None) -> Item:
    """The one document in `path` as a tree; its places name the file `shown_as`.

    Raises `Refused` with every fault found; an empty file is one.
    """
    shown = shown_as or str(path)
    whole = Place(shown)
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise Refused([Problem(whole, f"this file cannot be read: {reason}", "cannot-read")]) from None
    return parse(raw, shown)


def parse(raw: bytes, shown: str) -> Item:
    """The one document in `raw` as a tree; see `read`."""
    whole = Place(shown)
    if len(raw) > LARGEST_BYTES:
        mend = f"a policy has at most {LARGEST_BYTES:,} bytes; is this the right file?"
        raise Refused([Problem(whole, f"this file is too large ({len(raw):,} bytes)", "file-too-large", mend=mend)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        mend = "save it as UTF-8 (in most editors: Save as…, Encoding)"
        raise Refused([Problem(Place(shown, line, column), "this file is not UTF-8", "not-utf-8", mend=mend)]) from None
    try:
        _refuse_too_deep(text, whole)
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise Refused([_syntax_problem(error, text, whole)]) from None
    if node is None:
        mend = "start with `policy: 1`; policies/examples/ has whole policies to copy"
        raise Refused([Problem(whole, "this file is empty", "empty-file", mend=mend)])
    problems = Problems()
    item = _Walk(shown, problems).item(node)
    problems.refuse_if_any()
    return item


def _refuse_too_deep(text: str, whole: Place) -> None:
    """Composing recurses in C, so depth is counted on the flat event stream first, where it could be great at all."""
    if max(text.count("["), text.count("{"), text.count("- -"), text.count("? ?"), text.count("\n")) <= DEEPEST:
        return
    if not _could_be_deep(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                mend = "a policy needs three levels; look for a stray bracket"
                place = _at(event.start_mark, whole)
                raise Refused([Problem(place, f"nested more than {DEEPEST} deep", "too-deep", mend=mend)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _at(mark: Any, whole: Place) -> Place:
    return Place(whole.path, mark.line + 1, mark.column + 1) if mark is not None else whole


def _could_be_deep(text: str) -> bool:
    if max(text.count("["), text.count("{"), text.count("- -"), text.count("? ?")) > DEEPEST:
        return True
    return any(len(line) - len(line.lstrip(" ")) > DEEPEST for line in text.splitlines())


def _syntax_problem(error: yaml.YAMLError, text: str, whole: Place) -> Problem:
    mark = getattr(error, "problem_mark", None)
    place = _at(mark, whole)
    line = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark is not None else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem(place, "a tab indents this line", "tab", mend="indent with spaces; YAML does not allow tabs")
    if isinstance(error, yaml.reader.ReaderError):
        return Problem(place, "a character that YAML does not allow", "bad-character", mend="retype the line")
    if isinstance(error, yaml.composer.ComposerError) and "alias" in str(error.problem):
        return _alias_problem(place)
    if isinstance(error, yaml.composer.ComposerError):
        return Problem(place, "a second document starts here", "second-document", mend="one file, one document")
    what = getattr(error, "problem", None) or "this is not YAML"
    mend = "compare the indent and the colons with the lines around it"
    return Problem(place, f"this is not YAML: {what}", "not-yaml", mend=mend)


def _alias_problem(place: Place) -> Problem:
    mend = "write the value out; a policy is read by people who do not know this notation"
    return Problem(place, "anchors and aliases (& and *) are not used here", "alias", mend=mend)


class _Walk:
    """One pass over the composed nodes: values, places, and the abuses that the parser lets through."""

    def __init__(self, shown: str, problems: Problems) -> None:
        self._shown = shown
        self._problems = problems
        self._seen: set[int] = set()

    def item(self, node: yaml.Node) -> Item:
        mark = node.start_mark
        place = Place(self._shown, mark.line + 1, mark.column + 1)
        if id(node) in self._seen:  # an alias gives the same node again
            self._problems.found.append(_alias_problem(place))
            return Item(place)
        self._seen.add(id(node))
        if node.tag not in _PLAIN_TAGS:
            self._problems.add(place, "tags (!) are not used here", "tag", mend="write the plain value")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return Item(place, items=tuple(self.item(child) for child in node.value))
        empty = node.tag == _CORE + "null" and node.value in ("", "~", "null", "Null", "NULL")
        return Item(place, text=None if empty else node.value)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Item:
        entries: dict[str, Item] = {}
        keys: dict[str, Place] = {}
        for key, name, at in self._keys(node):
            value = self.item(key)
            if name in entries:
                self._problems.add(
                    at,
                    f"{name} is given twice",
                    "duplicate-key",
                    facts=[("first at", keys[name].short)],
                    mend="keep one of them",
                )
                continue
            entries[name], keys[name] = value, at
        return Item(place, entries=entries, keys=keys)

    def _keys(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, str, Place]]:
        for key, value in node.value:
            mark = key.start_mark
            at = Place(self._shown, mark.line + 1, mark.column + 1)
            if id(key) in self._seen:
                self._problems.found.append(_alias_problem(at))
            elif not isinstance(key, yaml.ScalarNode):
                self._problems.add(at, "a key must be plain text", "key-not-text", mend="write `key: value`")
            elif key.tag == _CORE + "merge":
                self._problems.add(
                    at, "merging (<<) is not used here", "merge", mend="write the keys out, or extend a file"
                )
            else:
                self._seen.add(id(key))
                yield value, key.value, at
