"""The argument spec of a role, derived from the controls it keeps: Ansible validates the role's variables with it.

`readingroom generate` writes it into `roles/<role>/meta/argument_specs.yml`, so a role can be used alone.
"""

from __future__ import annotations

from typing import Any

from ..controls import Catalogue, Control, Key
from ..controls.model import role_of
from ..controls.values import ChoiceType, FreeType, ListType, SwitchType

Json = dict[str, Any]


def argument_specs(catalogue: Catalogue, role: str) -> Json:
    """The spec of every variable that a control sets for `role`."""
    options: dict[str, Json] = {}
    for control in catalogue.controls.values():
        for key in control.keys:
            for variable, how in key.sets.items():
                if role_of(variable, catalogue.roles) == role:
                    options[variable] = _option(control, key, how)
        if control.worded and control.role == role:
            options[control.worded] = _wording(control)
    promises = [control.title for control in catalogue.of_role(role)]
    return {
        "argument_specs": {
            "main": {
                "short_description": "Keeps: " + "; ".join(promises) + ".",
                "options": dict(sorted(options.items())),
            }
        }
    }


def _wording(control: Control) -> Json:
    fields = {
        "language": {"type": "str", "required": True, "description": "The language's tag, such as es or zh-Hans."},
        "texts": {"type": "dict", "required": True, "description": "The texts by their names."},
    }
    about = f"{control.title} ({control.id}): what patrons read, in each language of the library."
    return {"required": True, "description": about, "type": "list", "elements": "dict", "options": fields}


def _option(control: Control, key: Key, how: Any) -> Json:
    about = key.about or f"{control.title} ({control.id})."
    option: Json = {"required": True, "description": about}
    if how == "seconds" and isinstance(key.type, ListType):
        return option | {"type": "list", "elements": "int", "description": f"{about} In seconds."}
    if how == "seconds":
        return option | {"type": "int", "description": f"{about} In seconds; 0 keeps nothing, -1 keeps for ever."}
    if how != "value":
        (test, word), *_ = dict(how).items()
        return option | {
            "type": "bool",
            "description": f"{about} Whether the policy {'says' if test == 'is' else 'lists'} {word}.",
        }
    match key.type:
        case ChoiceType(options=options):
            return option | {"type": "str", "choices": list(options)}
        case SwitchType():
            return option | {"type": "bool"}
        case ListType():
            return option | {"type": "list", "elements": "str"}
        case FreeType():
            return option | _argument(key.type.schema())
    return option | {"type": "str"}


def _argument(schema: Json) -> Json:
    """The part of an argument spec that says what a JSON Schema of a free value says."""
    if schema["type"] == "array":
        inner = _argument(schema["items"])
        return {"type": "list", "elements": inner.pop("type"), **inner}
    if schema["type"] != "object":
        return {"type": "str"}
    fields = {
        name: {
            **_argument(field),
            "required": name in schema["required"],
            "description": field["description"],
            # Ansible takes whatever is called a key for a secret
            **({"no_log": False} if "key" in name else {}),
        }
        for name, field in schema["properties"].items()
    }
    return {"type": "dict", "options": fields}
