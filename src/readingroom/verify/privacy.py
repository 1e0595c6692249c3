"""Keeps names, addresses, paths in homes and canaries out of everything that verification writes down.

The last line of defence: authors of tests are asked to write counts only, and this module does not rely on it.
Must not know what a control is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

LONGEST = 300

# Names that say nothing about a person. A login called like this stays readable, or every sentence would be holes.
IMPERSONAL = frozenset(
    ("admin", "administrator", "backup", "desk", "games", "guest", "kiosk", "library", "list", "localhost", "lp",
     "mail", "news", "nobody", "patron", "print", "proxy", "public", "root", "staff", "sync", "user")
)  # fmt: skip

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PATTERNS = (
    (re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+"), "[address]"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.I), "[address]"),
    (re.compile(r"/(?:var/)?(?:home|mail|run/user)/[^\s'\",;:)]+"), "[private path]"),
    (re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)(?:/\d{1,2})?"), "[address]"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?!:?\w)", re.I), "[address]"),
    (re.compile(r"(?<![\w:.])(?=[0-9a-f:]*::|(?:[0-9a-f]+:){7})[0-9a-f:]{3,}(?:%\w+)?(?![\w:])", re.I), "[address]"),
    # A canary, a key, a digest: long, and of letters and digits together.
    (re.compile(r"(?<![\w/+=-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{20,}"), "[token]"),
    (re.compile(r"\brrcheck[0-9a-z-]+\b", re.I), "[token]"),
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Cleans one machine's words; `people` and `places` are its login names and its own names and addresses."""

    people: frozenset[str] = field(default_factory=frozenset)
    places: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, people: Iterable[str], places: Iterable[str]) -> Filter:
        """A filter for these names; impersonal ones (`patron`, `root`) and single letters are left out."""
        kept = [{word.strip().lower() for word in words if len(word.strip()) > 1} for words in (people, places)]
        return cls(frozenset(kept[0] - IMPERSONAL), frozenset(kept[1] - IMPERSONAL))

    def clean(self, words: object) -> str:
        """The first line of `words` in at most 300 characters, with everything private replaced by what kind it is."""
        lines = [line for line in _COLOURS.sub("", str(words)).splitlines() if line.strip()]
        text = "".join(sign if sign.isprintable() else " " for sign in lines[0]) if lines else ""
        for pattern, kind in _PATTERNS:
            text = pattern.sub(kind, text)
        text = _without(self.people, text, "[login]")
        text = _without(self.places, text, "[machine]")
        text = " ".join(text.split())
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _without(names: frozenset[str], text: str, kind: str) -> str:
    if not names:
        return text
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w-])(?:{either})(?![\w-])", kind, text, flags=re.I)


# Asked once at the start: who has an account, a home, a mailbox or a session here, and what the machine calls itself.
ASK_NAMES = r"""
. /etc/os-release; echo "os:$PRETTY_NAME"
getent passwd | awk -F: '$3 >= 1000 && $3 != 65534 {
  print "person:" $1; n = $5; sub(/,.*/, "", n); if (n) print "person:" n }'
for p in /home/* /var/mail/*; do [ -e "$p" ] && echo "person:${p##*/}"; done
who 2>/dev/null | awk '{print "person:" $1}' | sort -u
for n in $(cat /etc/hostname; sed 's/#.*//' /etc/hosts); do echo "place:$n"; done
for n in $(hostname -I 2>/dev/null); do echo "place:$n"; done
"""


def names_in(answer: str) -> tuple[str, Filter]:
    """The operating system's name and the filter, read from what `ASK_NAMES` printed."""
    found: dict[str, list[str]] = {"os": [], "person": [], "place": []}
    for line in answer.splitlines():
        kind, _, word = line.partition(":")
        if kind in found:
            found[kind].append(word)
    return (found["os"] or [""])[0], Filter.of(found["person"], found["place"])
