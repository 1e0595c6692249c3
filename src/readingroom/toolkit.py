"""The toolkit as its user has it: where its files are, and how its commands are typed."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ReadingRoomError

MARKS = ("policies", "roles", "playbooks")


def root() -> Path:
    """The checkout: `READINGROOM_HOME`, else the nearest folder above this package or the current folder that is one.

    Raises `ReadingRoomError` when there is none.
    """
    named = os.environ.get("READINGROOM_HOME")
    starts = [Path(named)] if named else [Path(__file__).resolve().parent, Path.cwd()]
    for start in starts:
        for folder in (start, *start.parents):
            if all((folder / mark).is_dir() for mark in MARKS):
                return folder
    raise ReadingRoomError(
        "Reading Room's files (policies/, roles/, playbooks/) are not here.\n"
        "  to mend  run it inside its checkout, or set READINGROOM_HOME to the checkout"
    )


def typed(verb: str, site: str, **options: str | None) -> str:
    """What a person types to run a command, the way they came: through make, or `readingroom` itself.

    An option that is None is left out; one that is an empty text takes no value.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "MAKELEVEL" in os.environ:
        words = [f"SITE={site}", *(f"{name.upper()}={value or 'yes'}" for name, value in given.items())]
        return " ".join(["make", verb, *words])
    flags = [word for name, value in given.items() for word in (f"--{name}", value) if word]
    return " ".join(["readingroom", verb, site, *flags])
