"""The recipe of the lab says what it must, and an image is named after all that goes into it."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from readingroom.lab import LabError, recipe

ROOT = Path(__file__).parents[3]
DATA = yaml.safe_load((recipe.HERE / "images.yml").read_text())


def digests(data: dict[str, Any], files: str = "files") -> list[str]:
    return [image.digest for image in recipe.parse(data, files).images.values()]


def test_every_machine_has_an_image_an_address_of_its_own_and_a_name_that_fits_a_network_card() -> None:
    known = recipe.load()
    assert len({machine.host for machine in known.machines.values()}) == len(known.machines)
    for machine in known.machines.values():
        assert machine.suite in known.images
        assert len(f"v-{machine.name}") <= 15
        assert machine.host < 254


def test_each_class_can_be_had_on_each_release() -> None:
    known = recipe.load()
    pairs = {(machine.machine_class, machine.suite) for machine in known.machines.values()}
    assert pairs >= {(cls, suite) for cls in ("public", "staff") for suite in known.images}


def test_the_inventory_lists_the_machines_that_start_by_themselves_under_their_class() -> None:
    inventory = yaml.safe_load((ROOT / "inventories/lab/hosts.yml").read_text())
    listed = {(group, name) for group, entry in inventory.items() for name in entry["hosts"]}
    known = recipe.load()
    assert listed == {(known.machine(name).machine_class, name) for name in known.start}


@pytest.mark.parametrize("key", ["packages", "offline_packages", "masked_units"])
def test_an_image_is_renamed_when_any_of_its_lists_changes(key: str) -> None:
    changed = deepcopy(DATA)
    changed[key] = [*changed[key], "one-more"]
    assert not set(digests(changed)) & set(digests(DATA))


def test_a_package_for_one_release_leaves_the_other_image_alone() -> None:
    changed = deepcopy(DATA)
    changed["suites"]["trixie"]["packages"] = []
    before, after = digests(DATA), digests(changed)
    assert [old == new for old, new in zip(before, after, strict=True)] == [
        suite != "trixie" for suite in DATA["suites"]
    ]


def test_order_and_machines_do_not_rename_an_image() -> None:
    changed = deepcopy(DATA)
    changed["packages"].reverse()
    changed["start"] = []
    assert digests(changed) == digests(DATA)


@pytest.mark.parametrize("file", ["seed/image", "seed/machine", "customize-image", "repository.py"])
def test_an_image_is_renamed_when_what_builds_it_changes(file: str, tmp_path: Path) -> None:
    copy = tmp_path / "lab"
    shutil.copytree(recipe.HERE, copy)
    assert recipe.files_digest(copy) == recipe.files_digest()
    (copy / file).write_text((copy / file).read_text() + "# changed\n")
    assert recipe.files_digest(copy) != recipe.files_digest()


def test_an_unknown_machine_is_answered_with_those_there_are() -> None:
    with pytest.raises(LabError, match="choose one of: public-1, staff-1"):
        recipe.load().machine("gateway-9")
