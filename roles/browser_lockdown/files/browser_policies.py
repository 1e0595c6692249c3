#!/usr/bin/python3
"""Looks at a browser's policy file before it takes its place: browser_policies.py firefox|chromium FILE

A browser that cannot read its policies follows none of them, and drops a word it does not know without saying so. Here
either is an error. Firefox brings the schema of its policies along, so its file is held against the Firefox that is
installed, if one is. Must not know which policies we want.
"""

import json
import re
import sys
import zipfile
from pathlib import Path

FIREFOXES = (Path("/usr/lib/firefox-esr"), Path("/usr/lib/firefox"))
TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int,
    "null": type(None),
}  # fmt: skip
# In the schema, and without effect or on the way out; Firefox says so nowhere but in its source.
OUTDATED = {
    "DisableFirefoxAccounts": "DisableAccounts",
    "GenerativeAI": "AIControls",
    "Cookies/Default": "Cookies/Behavior",
    "Cookies/AcceptThirdParty": "Cookies/Behavior",
    "Cookies/RejectTracker": "Cookies/Behavior",
    "Cookies/ExpireAtSessionEnd": "SanitizeOnShutdown",
    "SanitizeOnShutdown/Downloads": "SanitizeOnShutdown/History",
    "SanitizeOnShutdown/OfflineApps": "SanitizeOnShutdown/Cookies",
    "FirefoxHome/Pocket": "FirefoxHome/Stories",
    "FirefoxHome/SponsoredPocket": "FirefoxHome/SponsoredStories",
    "FirefoxHome/Snippets": "nothing",
    "FirefoxSuggest/ImproveSuggest": "FirefoxSuggest/OnlineEnabled",
    "UserMessaging/WhatsNew": "nothing",
}


def main(arguments):
    """Print what is wrong, a line each; the exit status says whether anything is."""
    browser, path = arguments
    try:
        policies = read(Path(path).read_text(encoding="utf-8"))
        faults = firefox(policies) if browser == "firefox" else []
    except ValueError as error:
        faults = [str(error)]
    for fault in faults:
        print(f"{browser}: {fault}", file=sys.stderr)
    return 1 if faults else 0


def read(text):
    """The object in `text`; `ValueError` for what any browser might read otherwise than it was meant."""
    found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError("this is not an object")
    return found


def _once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is there twice")
    return dict(pairs)


def _refuse(word):
    raise ValueError(f"{word} is not JSON")


def firefox(document):
    """What every installed Firefox would refuse, ignore or drop in a policy file."""
    if set(document) != {"policies"} or not isinstance(document["policies"], dict):
        return ["the file must hold one object, called policies"]
    return [
        f"{folder.name}: {fault}"
        for folder in FIREFOXES
        if (folder / "browser" / "omni.ja").is_file()
        for fault in Firefox(folder).faults(document["policies"])
    ]


class Firefox:
    """An installed Firefox: its schema of policies, which of them it implements, and which preferences it takes."""

    def __init__(self, folder):
        try:
            with zipfile.ZipFile(folder / "browser" / "omni.ja") as archive:
                self.schema = json.loads(archive.read("modules/policies/policies-schema.json"))
                source = archive.read("modules/policies/Policies.sys.mjs").decode()
        except (KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{folder.name} no longer says which policies it knows: {error}") from None
        self.implemented = set(re.findall(r'^  "?(\w+)"?: \{', source, re.MULTILINE))
        self.prefixes = tuple(_texts(source, "allowedPrefixes"))
        self.security = frozenset(_texts(source, "allowedSecurityPrefs"))
        self.blocked = frozenset(_texts(source, "blockedPrefs"))

    def faults(self, policies):
        """Everything in `policies` that this Firefox would not do as it is written."""
        faults = [*misfits(policies, self.schema, self.schema)]
        known = [name for name in policies if name in self.schema["properties"]]
        faults += [f"{name} is known, but nothing is done about it" for name in known if name not in self.implemented]
        faults += [f"{name} is outdated: use {instead}" for name, instead in OUTDATED.items() if _there(policies, name)]
        preferences = policies.get("Preferences", {})
        return faults + [
            f"Preferences/{name} is not taken from a policy" for name in preferences if not self.takes(name)
        ]

    def takes(self, preference):
        """Whether the policy `Preferences` may set `preference`."""
        if preference in self.blocked:
            return False
        if preference.startswith("security."):
            return preference in self.security
        return preference.startswith(self.prefixes)


def _texts(source, name):
    """The texts in a list of Firefox's source; `ValueError` if it is no longer there, for then we know nothing."""
    found = re.search(rf"\b{name} = \[(.*?)\];", source, re.DOTALL)
    if not found:
        raise ValueError(f"this Firefox no longer says its {name}")
    return re.findall(r'"([^"]+)"', found[1])


def _there(policies, name):
    policy, _, member = name.partition("/")
    found = policies.get(policy)
    return policy in policies and (not member or (isinstance(found, dict) and member in found))


def misfits(value, schema, root, at=""):
    """Where `value` does not fit a JSON Schema; a member that an object does not list does not fit."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        either, schema = schema["anyOf"], {name: said for name, said in schema.items() if name != "anyOf"}
        if all(any(misfits(value, one, root, at)) for one in either):
            yield f"{at} is none of the things it may be"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, type_) for type_ in types):
        yield f"{at or 'this'} must be {' or '.join(types)}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at} must be one of {', '.join(map(str, schema['enum']))}"
    elif isinstance(value, dict):
        yield from _members(value, schema, root, at)
    elif isinstance(value, list) and "items" in schema:
        for number, part in enumerate(value):
            yield from misfits(part, schema["items"], root, f"{at}[{number}]")
    elif isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at} does not look as it should"


def _is(value, type_):
    # for Python a boolean is a number; for JSON it is not
    return isinstance(value, TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool))


def _members(value, schema, root, at):
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at or 'this'} lacks {name}"
    listed, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    closed = bool(listed or patterns) or schema.get("additionalProperties") is False
    for name, inner in value.items():
        where = f"{at}/{name}" if at else name
        fitting = [listed[name]] if name in listed else [one for key, one in patterns.items() if re.search(key, name)]
        if not fitting and closed:
            yield f"{where} is not known"
        for one in fitting:
            yield from misfits(inner, one, root, where)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
