"""What patrons read on screen, in each language: `policies/notices/<language>.yml`, texts by control id.

English is the measure: every other file must have the same texts with the same `{places}`. This module must not know
which languages a library speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..document import Item, read
from ..errors import Place, Problems, Refused, did_you_mean

NOTICES = Path("policies", "notices")
MEASURE = "en"
Texts = Mapping[str, str]


@dataclass(frozen=True)
class Notices:
    """The texts of every control that has some, by language tag."""

    languages: Mapping[str, Mapping[str, Texts]]

    def worded(self, control: str, languages: Iterable[str]) -> dict[str, Texts]:
        """The texts of a control in those of the languages that have a wording; in English when none has."""
        spoken = {name: self.languages[name][control] for name in languages if name in self.languages}
        return spoken or {MEASURE: self.languages[MEASURE][control]}

    def unworded(self, languages: Iterable[str]) -> tuple[str, ...]:
        """Those of the languages in which nobody has worded anything yet."""
        return tuple(name for name in languages if name not in self.languages)


def load_notices(root: Path, worded: Iterable[str], problems: Problems) -> Notices:
    """The notices of the checkout at `root`, for the controls in `worded`; faults go to `problems`."""
    found: dict[str, dict[str, dict[str, Item]]] = {}
    items: dict[str, Item] = {}
    for path in sorted((root / NOTICES).glob("*.yml")):
        try:
            items[path.stem] = read(path, str(path.relative_to(root)))
        except Refused as refused:
            problems.found.extend(refused.problems)
            continue
        blocks = items[path.stem].entries or {}
        found[path.stem] = {control: dict(block.entries or {}) for control, block in blocks.items()}
    measure = found.get(MEASURE, {})
    for control in sorted(set(worded) - set(measure)):
        problems.add(
            Place(str(NOTICES / f"{MEASURE}.yml")), f"{control} has no wording", "no-wording", mend="write its texts"
        )
    for control in sorted(set(measure) - set(worded)):
        mend = did_you_mean(control, worded) or "take it out"
        problems.add(items[MEASURE].keys[control], f"{control} shows patrons nothing", "unknown-key", mend=mend)
    for language, controls in found.items():
        _compare(items[language], controls, measure, problems)
    return Notices({name: {c: _plain(texts) for c, texts in controls.items()} for name, controls in found.items()})


def _compare(
    file: Item, controls: dict[str, dict[str, Item]], measure: dict[str, dict[str, Item]], problems: Problems
) -> None:
    for control in sorted(set(controls) ^ set(measure)):
        said = "is not in the English file" if control in controls else "is not translated"
        problems.add(file.keys.get(control, file.place), f"{control} {said}", "bad-wording", mend="compare with en.yml")
    for control in sorted(set(controls) & set(measure)):
        texts, originals = controls[control], measure[control]
        for name in sorted(set(texts) | set(originals)):
            text, original = texts.get(name), originals.get(name)
            if text is None or original is None or _places(text) != _places(original) or not (text.text or "").strip():
                place = (text or (file.entries or {})[control]).place
                mend = "it must be there, with the same {places} as in en.yml"
                problems.add(place, f"{control}: {name} does not fit the English text", "bad-wording", mend=mend)


def _places(item: Item) -> list[str]:
    return sorted(re.findall(r"\{[^}]*\}", item.text or ""))


def _plain(texts: dict[str, Item]) -> dict[str, str]:
    return {name: item.text or "" for name, item in texts.items()}
