"""The JSON Schema of a policy file, so that an editor completes and checks it while it is written."""

from __future__ import annotations

from typing import Any

from ..controls import Catalogue, Control, Key
from .layer import CLASSES

Json = dict[str, Any]
_TEXT: Json = {"type": "string", "minLength": 1}
_DATE: Json = {"type": "string", "format": "date"}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema(catalogue: Catalogue) -> Json:
    """The schema of `policy`, `preset` and `baseline` files."""
    section = {"$ref": "#/$defs/section"}
    own_class = {
        "allOf": [section, {"required": ["like"]}],
        "description": "A class of machines of the library's own; `like` says which class it tightens.",
    }
    waiver_fields = ("id", "control", "machines", "value", "reason", "owner", "approved_by", "until")
    return {
        "$schema": _DIALECT,
        "title": "Reading Room policy",
        "type": "object",
        "oneOf": [{"required": [kind]} for kind in ("policy", "preset", "baseline")],
        "properties": {
            **{
                kind: {"const": 1, "description": f"This file is a {kind}."}
                for kind in ("policy", "preset", "baseline")
            },
            "name": _TEXT,
            "version": _TEXT,
            "library": _object(name=_TEXT, languages=_list(_TEXT), hours=_TEXT, contact=_TEXT),
            "extends": {"anyOf": [_TEXT, _list(_TEXT)], "description": "Shipped baselines by name, or files."},
            "approved": _object(by=_TEXT, on=_DATE, review_by=_DATE),
            **dict.fromkeys(CLASSES, section),
            "machines": {"type": "object", "additionalProperties": section},
            "legal": _object(
                hold=_described(_of_scope(catalogue, "library")["hold"]),
                minimum={
                    "type": "object",
                    "additionalProperties": _TEXT,
                    "description": "Spans that the law demands at least, such as {logs.keep: 30d}.",
                },
            ),
            "waivers": _list(
                {
                    "type": "object",
                    "required": list(waiver_fields),
                    "additionalProperties": False,
                    "properties": {
                        **dict.fromkeys((*waiver_fields, "library"), _TEXT),
                        "control": {"enum": list(catalogue.controls)},
                        "machines": {"anyOf": [_TEXT, _list(_TEXT)]},
                        "value": True,
                        "until": _DATE,
                    },
                }
            ),
        },
        "additionalProperties": own_class,
        "$defs": {"section": _section(catalogue)},
    }


def _section(catalogue: Catalogue) -> Json:
    areas: dict[str, Json] = {}
    for name, key in catalogue.keys.items():
        if key.scope == "class":
            area, _, leaf = name.partition(".")
            properties = areas.setdefault(area, {"type": "object", "additionalProperties": False, "properties": {}})
            properties["properties"][leaf] = _described(key)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {"like": {"enum": list(CLASSES)}, **areas},
    }


def _of_scope(catalogue: Catalogue, scope: str) -> dict[str, Key]:
    return {name.partition(".")[2]: key for name, key in catalogue.keys.items() if key.scope == scope}


def _described(key: Key) -> Json:
    about = f"{key.title}. {key.why}" if isinstance(key, Control) else key.about
    return {"description": about, **key.type.schema()}


def _object(**properties: Json) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}
