"""How the engines are started: nothing secret in sight, the same variables for both, one order of roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from readingroom import toolkit
from readingroom.apply.engines import (
    Request,
    command_for,
    handler_names,
    refuse_uncompiled,
    roles_in_order,
    variables_of,
)
from readingroom.apply.harden import harden
from readingroom.apply.model import Engine
from readingroom.errors import ReadingRoomError
from readingroom.fleet import Machine, Site

SECRET = "open sesame"  # noqa: S105
PLAYBOOK = "- hosts: all\n  roles:\n    - {role: accounts, tags: [accounts]}\n    - logs\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for folder in (
        "playbooks",
        "roles/accounts/handlers",
        "roles/logs",
        "build/inventory/group_vars",
        "build/inventory/host_vars",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "playbooks/harden.yml").write_text(PLAYBOOK)
    (tmp_path / "roles/accounts/handlers/main.yml").write_text("- name: Reload sshd\n- name: Restart x\n")
    inventory = tmp_path / "build/inventory"
    (inventory / "group_vars/all.yml").write_text("a: all\nb: all\nc: all\n")
    (inventory / "group_vars/public.yml").write_text("b: class\nc: class\n")
    (inventory / "host_vars/desk-3.yml").write_text("c: machine\n")
    machine = Machine("desk-3", "public", "public", {"ansible_become_password": SECRET})
    return Site(
        "elm", tmp_path, tmp_path / "hosts.yml", tmp_path / "build", tmp_path / "a folder/ssh_config", (machine,)
    )


def _request(site: Site, check: bool = False) -> Request:
    return Request(site, ("accounts",), site.machines, check, {"desk-3": SECRET}, SECRET, frozenset({"desk-3"}))


@pytest.mark.parametrize("engine", get_args(Engine))
def test_no_secret_is_on_a_command_line_or_in_the_environment(site: Site, engine: Engine) -> None:
    command = command_for(engine, _request(site))
    assert SECRET not in " ".join(command.argv)
    assert SECRET not in " ".join(command.environment.values())
    assert SECRET in command.stdin


@pytest.mark.parametrize("check", [True, False])
def test_a_dry_run_is_a_dry_run_with_both_engines(site: Site, check: bool) -> None:
    assert ("--check" in command_for("ansible", _request(site, check)).argv) is check
    (job,) = json.loads(command_for("pyinfra", _request(site, check)).stdin)["jobs"]
    assert job["check"] is check


def test_the_most_particular_variable_wins(site: Site) -> None:
    assert variables_of(site, site.machines[0]) == {"a": "all", "b": "class", "c": "machine"}


def test_a_class_that_names_its_roles_gets_no_other(site: Site) -> None:
    variables = site.build / "inventory" / "group_vars" / "public.yml"
    for named, roles in (("[logs]", []), ("[accounts, logs]", ["accounts"])):
        variables.write_text(f"readingroom_roles: {named}\n")
        (job,) = json.loads(command_for("pyinfra", _request(site)).stdin)["jobs"]
        assert job["roles"] == roles


def test_ansible_gets_the_ssh_configuration_and_the_handlers_of_an_unfinished_run(site: Site) -> None:
    argv = command_for("ansible", _request(site)).argv
    assert argv[argv.index("--ssh-common-args") + 1] == f"-F '{site.ssh_config}'"
    extra = json.loads(argv[argv.index("--extra-vars") + 1])
    assert extra == {
        "readingroom_unfinished": ["desk-3"],
        "readingroom_handlers": ["accounts : Reload sshd", "accounts : Restart x"],
    }


def test_the_playbook_says_the_order_of_the_roles(site: Site) -> None:
    assert roles_in_order(site.root) == ("accounts", "logs")


def test_the_playbook_names_every_role_there_is_and_each_by_its_own_tag() -> None:
    root = toolkit.root()
    assert sorted(roles_in_order(root)) == sorted(path.parent.name for path in root.glob("roles/*/deploy.py"))
    text = (root / "playbooks" / "harden.yml").read_text()
    for role in roles_in_order(root):
        assert f"{{role: {role}, tags: [{role}], when: " in text


def test_an_uncompiled_site_and_an_unknown_role_are_refused_with_the_mend(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ReadingRoomError, match="did you mean logs"):
        harden(site, roles=["log"])
    with pytest.raises(ReadingRoomError, match="no role called nothing"):
        refuse_uncompiled(site, ["nothing"])
    bare = Site("elm", site.root, site.inventory, tmp_path / "nowhere", site.ssh_config, site.machines)
    with pytest.raises(ReadingRoomError, match="readingroom compile elm"):
        harden(bare)


def test_a_role_without_handlers_has_none(site: Site) -> None:
    assert handler_names(site.root / "roles" / "logs") == []
