"""A library's policy file with everything it extends, found on disk and merged.

This module decides where a name in `extends` is looked for; it must not know roles, machines' connections or
compiled output.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from ..controls import Catalogue
from ..errors import Place, Problem, Problems, Refused, did_you_mean
from .effective import Policy, merge
from .layer import CLASSES, Layer, Section, read_layer

BASELINES = Path("policies", "baselines")


def load(
    path: Path,
    catalogue: Catalogue,
    *,
    root: Path,
    machines: Mapping[str, str] | None = None,
    today: dt.date | None = None,
) -> Policy:
    """The merged policy in `path`, for `machines` (name → class).

    `root` is the checkout, where shipped baselines lie. Raises `Refused` with every fault in all its files.
    """
    loader = _Loader(catalogue, root, today or dt.date.today())
    own = loader.layer(path)
    if own is not None and own.kind != "policy":
        mend = "make a policy of your own that extends it"
        loader.problems.add(own.place, f"this file is a {own.kind}, not a library's policy", "not-a-policy", mend=mend)
    loader.problems.refuse_if_any()
    assert own is not None
    extended = loader.extended(own)
    loader.problems.refuse_if_any()  # merging layers that did not read would only add noise
    policy = merge(own, extended, catalogue, machines or {}, loader.problems)
    loader.problems.refuse_if_any()
    return policy


def check(path: Path, catalogue: Catalogue, *, root: Path) -> Layer:
    """Read a file of any kind as strictly as `load` does; a library's own policy is merged as well."""
    problems = Problems()
    layer = read_layer(path, _shown(path, root), catalogue, dt.date.today(), problems)
    if layer.kind == "policy":
        load(path, catalogue, root=root)
    problems.refuse_if_any()
    return layer


def of_preset(path: Path, catalogue: Catalogue, *, root: Path) -> Policy:
    """What the preset in `path` promises by itself, as the policy of a library that says nothing else."""
    problems = Problems()
    preset = read_layer(path, _shown(path, root), catalogue, dt.date.today(), problems)
    every: dict[str, Section] = {kind: Section(preset.place, {}) for kind in CLASSES}
    silent = Layer(kind="policy", name=preset.name, path=path, place=preset.place, classes=every)
    merged = merge(silent, [preset], catalogue, {}, problems)
    problems.refuse_if_any()
    return merged


class _Loader:
    def __init__(self, catalogue: Catalogue, root: Path, today: dt.date) -> None:
        self.problems = Problems()
        self._catalogue, self._root, self._today = catalogue, root, today

    def layer(self, path: Path) -> Layer | None:
        try:
            return read_layer(path, _shown(path, self._root), self._catalogue, self._today, self.problems)
        except Refused as refused:
            self.problems.found.extend(refused.problems)
            return None

    def extended(self, own: Layer) -> list[Layer]:
        """Every layer that `own` builds on, each once, nearest first."""
        found: dict[Path, Layer] = {}
        self._follow(own, (own.path.resolve(),), found)
        return list(found.values())

    def _follow(self, layer: Layer, trail: tuple[Path, ...], found: dict[Path, Layer]) -> None:
        for name, place in layer.extends:
            path = self._find(name, layer.path)
            if path is None:
                shipped = [file.stem for file in (self._root / BASELINES).glob("*.yml")]
                mend = did_you_mean(name, shipped) or "name a shipped baseline, or a file relative to this one"
                self.problems.add(place, f"{name[:80]} cannot be found", "no-such-baseline", mend=mend)
            elif path in trail:
                chain = " → ".join(step.name for step in (*trail[trail.index(path) :], path))
                self.problems.add(
                    place,
                    f"these files extend each other in a circle: {chain}",
                    "circular-extends",
                    mend="take one of the `extends` out",
                )
            elif path not in found and (base := self.layer(path)) is not None:
                if base.kind == "policy":
                    mend = "extend a preset or a baseline"
                    self.problems.add(place, f"{name} is another library's policy", "extends-a-policy", mend=mend)
                    continue
                found[path] = base
                self._follow(base, (*trail, path), found)

    def _find(self, name: str, beside: Path) -> Path | None:
        if "\0" in name or len(name) > 200:
            return None
        candidates = [self._root / BASELINES / f"{name}.yml"] if "/" not in name else []
        candidates.append(beside.parent / name)
        return next((path.resolve() for path in candidates if path.is_file()), None)


def _shown(path: Path, root: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(path)


def unreadable(path: Path) -> Problem:
    """The problem of a policy file that is not there."""
    return Problem(
        Place(str(path)),
        "there is no such policy",
        "no-such-policy",
        mend="copy one of policies/examples/ and change it",
    )
