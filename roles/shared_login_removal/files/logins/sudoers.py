"""Reads sudo's rules and takes out of them whoever may not administer the machine.

Text in, text out: it must not know files, the policy or the machine. A rule is narrowed, never widened: a group or
`ALL` becomes those of its logins that are allowed, and a rule that is left for nobody goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

_WHO = r'!*(?:"[^"]*"|(?:\\.|[^\s,!=\\"])+)'
_RULE = re.compile(rf"\s*(?P<who>{_WHO}(?:\s*,\s*{_WHO})*)\s+(?P<rest>[^=]*=.*)", re.DOTALL)
_ALIASES = re.compile(r"\s*User_Alias\s+(?P<definitions>.*)", re.DOTALL)
_NO_RULE = re.compile(r"\s*($|Defaults\b|(User|Runas|Host|Cmnd|Cmd)_Alias\b|[@#]include(dir)?\b|#(?!\d+\s))", re.DOTALL)
_INCLUDE = re.compile(r'[@#]include(?P<folder>dir)?\s+"?(?P<path>[^"]+?)"?\s*')

LoginsOf = Callable[[str], set[str]]


@dataclass(frozen=True)
class Narrowed:
    """A file's text without the rules for others; `rules` says how many rules changed or went."""

    text: str
    rules: int

    @property
    def says_nothing(self) -> bool:
        """Is there nothing but comments left?"""
        return all(not line.strip() or line.strip().startswith("#") for line in self.text.splitlines())


def lines(text: str) -> Iterator[str]:
    """The lines as sudo counts them: one that ends in a backslash goes on in the next."""
    whole = ""
    for line in text.splitlines(keepends=True):
        whole += line
        if not line.rstrip("\n").endswith("\\"):
            yield whole
            whole = ""
    if whole:
        yield whole


def includes(text: str) -> list[tuple[bool, str]]:
    """What else sudo reads: pairs of whether it is a folder, and the path as it is written.

    >>> includes('@includedir /etc/sudoers.d\\n#include "/etc/sudoers local"\\n# include me not')
    [(True, '/etc/sudoers.d'), (False, '/etc/sudoers local')]
    """
    found = (_INCLUDE.fullmatch(_joined(line)) for line in lines(text))
    return [(bool(match["folder"]), match["path"]) for match in found if match]


def _joined(line: str) -> str:
    return line.replace("\\\n", " ").rstrip("\n")


def _split(who: str) -> list[str]:
    return [word.strip() for word in re.findall(rf"{_WHO}", who)]


def aliases(text: str) -> dict[str, list[str]]:
    """The groups of users that the rules themselves define.

    >>> aliases("User_Alias DESK = circdesk, ann : IT = ada")
    {'DESK': ['circdesk', 'ann'], 'IT': ['ada']}
    """
    found = {}
    for line in lines(text):
        match = _ALIASES.match(_joined(line))
        for definition in match["definitions"].split(":") if match else ():
            name, equals, members = definition.partition("=")
            if equals:
                found[name.strip()] = _split(members)
    return found


def subjects(text: str) -> list[list[str]]:
    """Who each rule is for, as it is written.

    >>> subjects("ada, %desk ALL=(ALL) ALL")
    [['ada', '%desk']]
    """
    rules = (_RULE.match(_joined(line)) for line in lines(text) if not _NO_RULE.match(line))
    return [_split(rule["who"]) for rule in rules if rule]


def reached(
    words: list[str], defined: Mapping[str, list[str]], logins_of: LoginsOf, seen: frozenset[str] = frozenset()
) -> set[str]:
    """The logins that such words of a rule stand for; a word with `!` before it takes some away again."""
    found: set[str] = set()
    for word in words:
        name = word.lstrip("!")
        if name in defined and name not in seen:
            logins = reached(defined[name], defined, logins_of, seen | {name})
        else:
            logins = logins_of(name.strip('"'))
        found = found - logins if (len(word) - len(name)) % 2 else found | logins
    return found


def narrow(
    text: str,
    defined: Mapping[str, list[str]],
    allowed: Collection[str],
    untouched: Collection[str],
    logins_of: LoginsOf,
) -> Narrowed:
    """Leave of every rule what is for the logins `allowed`, and whatever names one of `untouched` outright.

    `untouched` holds names as sudo writes them (`root`, `%sudo`); `logins_of` says which logins a name stands for.

    >>> narrow("ada, circdesk ALL=(ALL) ALL\\n", {}, {"ada"}, {"root"}, lambda name: {name}).text
    'ada ALL=(ALL) ALL\\n'
    """

    kept, changed = [], 0
    for line in lines(text):
        rule = None if _NO_RULE.match(line) else _RULE.match(_joined(line))
        if rule is None:
            kept.append(line)
            continue
        who = _split(rule["who"])
        left: list[str] = []
        for word in who:
            if word.startswith("!") or word in allowed or word in untouched:
                left.append(word)
            else:
                # a group may have other members tomorrow: name those it may stay for
                left += sorted(reached([word], defined, logins_of) & set(allowed))
        if left == who:
            kept.append(line)
            continue
        changed += 1
        if any(not word.startswith("!") for word in left):
            kept.append(f"{', '.join(dict.fromkeys(left))} {rule['rest']}\n")
    return Narrowed("".join(kept), changed)
