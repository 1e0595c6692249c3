"""A site's machines come from its inventory and from nowhere else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from readingroom.errors import ReadingRoomError
from readingroom.fleet import load_site


@pytest.fixture
def inventory(tmp_path: Path):
    def write(text: str, name: str = "elm") -> Path:
        path = tmp_path / "inventories" / name / "hosts.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    return write


HOSTS = """
all:
  vars: {ansible_user: operator}
  children:
    public: {hosts: {"pc[1:2]": {}, kiosk: {ansible_host: 192.0.2.7, ansible_port: 2222}}}
    staff: {children: {desks: {hosts: {desk-1: {}}}}}
"""


def test_machines_have_the_class_of_their_group_ranges_and_subgroups_included(inventory) -> None:
    site = load_site("elm", inventory(HOSTS))
    assert {machine.name: machine.machine_class for machine in site.machines} == {
        "pc1": "public", "pc2": "public", "kiosk": "public", "desk-1": "staff",
    }  # fmt: skip


def test_the_ssh_configuration_says_what_the_inventory_says(inventory) -> None:
    site = load_site("elm", inventory(HOSTS))
    done = subprocess.run(["ssh", "-G", "-F", site.ssh_config, "kiosk"], capture_output=True, text=True, check=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (said["hostname"], said["port"], said["user"]) == ("192.0.2.7", "2222", "operator")
    assert said["batchmode"] == "yes"
    assert said["stricthostkeychecking"] not in ("no", "false")


def test_a_class_of_the_librarys_own_is_known_by_what_it_is_like(inventory) -> None:
    text = "all: {children: {children: {hosts: {kid-1: {}}}}}"
    (machine,) = load_site("elm", inventory(text), {"children": "public"}).machines
    assert (machine.machine_class, machine.kind) == ("children", "public")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("all: {hosts: {pc1: {}}}", "puts pc1 in no class", id="no class"),
        pytest.param(
            "all: {children: {public: {hosts: {a: {}}}, staff: {hosts: {a: {}}}}}", "in two classes", id="two"
        ),
        pytest.param("all: {children: {public: {}}}", "lists no machine", id="no machine"),
        pytest.param("all: [", "Ansible cannot read inventories/elm/hosts.yml", id="not an inventory"),
    ],
)
def test_an_inventory_that_cannot_be_used_is_explained(inventory, text: str, said: str) -> None:
    with pytest.raises(ReadingRoomError, match=said):
        load_site("elm", inventory(text))


def test_a_site_that_does_not_exist_is_not_guessed(inventory) -> None:
    root = inventory(HOSTS)
    with pytest.raises(ReadingRoomError, match="did you mean elm"):
        load_site("elms", root)
    with pytest.raises(ReadingRoomError, match="is not the name of a site"):
        load_site("../elm", root)


def test_the_controller_is_a_machine_only_when_it_is_listed(inventory) -> None:
    names = [machine.name for machine in load_site("elm", inventory(HOSTS)).machines]
    assert "localhost" not in names


def test_a_limit_names_machines_or_classes_and_nothing_else(inventory) -> None:
    site = load_site("elm", inventory(HOSTS))
    assert [machine.name for machine in site.limited_to(["staff", "pc1"])] == ["desk-1", "pc1"]
    with pytest.raises(ReadingRoomError, match="did you mean desk-1"):
        site.limited_to(["desk1"])


RINGED = """
all:
  vars: {ansible_user: operator, readingroom_rings: [canary, desks]}
  children:
    public: {hosts: {"pc[1:3]": {}}}
    staff: {children: {desks: {hosts: {desk-1: {}, desk-2: {}}}}}
    canary: {hosts: {pc1: {}, desk-1: {}}}
"""


def test_rings_are_groups_in_the_order_that_the_inventory_says_and_the_rest_comes_last(inventory) -> None:
    site = load_site("elm", inventory(RINGED))
    assert [(ring.name, ring.machines) for ring in site.rings] == [
        ("canary", ("desk-1", "pc1")), ("desks", ("desk-2",)), ("rest", ("pc2", "pc3")),
    ]  # fmt: skip
    assert [ring.machines for ring in site.rings_of(["pc1", "pc3"])] == [("pc1",), ("pc3",)]
    assert [ring.name for ring in site.rings_of(None, ["desks"])] == ["desks"]


def test_a_site_without_rings_is_one_ring(inventory) -> None:
    (ring,) = load_site("elm", inventory(HOSTS)).rings_of(None)
    assert ring.machines == ("desk-1", "kiosk", "pc1", "pc2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[canary, desks]", "[canari]", "did you mean canary?"),
        ("[canary, desks]", "canary", "one list of groups"),
        ("desk-2: {}", "desk-2: {readingroom_rings: [desks]}", "the same for every machine"),
    ],
)
def test_rings_that_make_no_sense_are_refused(inventory, old: str, new: str, said: str) -> None:
    with pytest.raises(ReadingRoomError, match=said):
        load_site("elm", inventory(RINGED.replace(old, new)))


def test_an_unknown_ring_is_refused_with_a_hint(inventory) -> None:
    with pytest.raises(ReadingRoomError, match="did you mean canary"):
        load_site("elm", inventory(RINGED)).rings_of(None, ["kanary"])
    with pytest.raises(ReadingRoomError, match="readingroom_rings"):
        load_site("elm", inventory(HOSTS)).rings_of(None, ["canary"])


def test_a_gateway_is_a_class_of_machines(inventory) -> None:
    site = load_site("elm", inventory("all: {children: {gateway: {hosts: {hub-1: {}}}, staff: {hosts: {desk-1: {}}}}}"))
    assert {machine.name: machine.kind for machine in site.machines} == {"desk-1": "staff", "hub-1": "gateway"}
