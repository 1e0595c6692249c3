"""Real sites: sudo asks for a password. It is asked once, goes to sudo, and nowhere else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from readingroom.apply import Engine, harden
from readingroom.errors import ReadingRoomError
from readingroom.fleet import Site
from readingroom.lab import Lab

from .conftest import ENGINES, ROLES

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("engine", ENGINES)]

PASSWORD = "correct-horse-❦-'\"$(id)"  # noqa: S105
RULE = "/etc/sudoers.d/zz-test-asks"


@pytest.fixture(scope="module")
def asking(lab: Lab) -> Iterator[None]:
    """sudo on public-1 wants operator's password."""
    lab.up()
    lab.exec("public-1", ["chpasswd"], input=f"operator:{PASSWORD}\n")
    lab.exec("public-1", ["sh", "-c", f"echo 'operator ALL=(ALL) PASSWD: ALL' > {RULE}; chmod 440 {RULE}"])
    yield
    lab.exec("public-1", ["rm", RULE])
    lab.exec("public-1", ["usermod", "--lock", "operator"])


@pytest.mark.usefixtures("asking")
def test_the_password_is_asked_once_and_works(site: Site, engine: Engine) -> None:
    asked = []
    result = harden(
        site, engine=engine, check=True, roles=ROLES[-1:], ask_password=lambda prompt: asked.append(prompt) or PASSWORD
    )
    assert asked == ["sudo password for public-1: "]
    assert {name: machine.status for name, machine in result.machines.items()} == {"public-1": "ok", "staff-1": "ok"}


@pytest.mark.usefixtures("asking")
def test_a_password_of_the_inventory_is_not_asked_for(site: Site, engine: Engine, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    hosts = {"public-1": {"ansible_become_password": PASSWORD}}
    inventory.write_text(yaml.safe_dump({"public": {"hosts": hosts}}, allow_unicode=True), encoding="utf-8")
    machines = tuple(
        dataclasses.replace(machine, hostvars={"ansible_become_password": PASSWORD})
        for machine in site.machines
        if machine.name == "public-1"
    )
    own = dataclasses.replace(site, inventory=inventory, machines=machines)
    result = harden(
        own, engine=engine, check=True, roles=ROLES[-1:], ask_password=lambda prompt: pytest.fail("it asked")
    )
    assert result.ok, result.machines["public-1"].message


@pytest.mark.usefixtures("asking")
def test_a_wrong_password_is_said_so_without_a_second_try(lab: Lab, site: Site, engine: Engine) -> None:
    result = harden(
        site, engine=engine, check=True, roles=ROLES[-1:], machines=["public-1"], ask_password=lambda prompt: "wrong"
    )
    assert result.machines["public-1"].status == "unreachable"
    assert "sudo did not take the password" in result.machines["public-1"].message


@pytest.mark.usefixtures("asking")
def test_with_nobody_to_ask_it_says_what_to_do(site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(ReadingRoomError, match="passwordless sudo"):
        harden(site, engine=engine, check=True, roles=ROLES[-1:], machines=["public-1"])


@pytest.mark.usefixtures("asking")
def test_the_password_is_in_no_journal_of_the_machine(lab: Lab, site: Site, engine: Engine) -> None:
    harden(
        site, engine=engine, check=True, roles=ROLES[-1:], machines=["public-1"], ask_password=lambda prompt: PASSWORD
    )
    journal = lab.exec("public-1", ["journalctl", "--quiet", "--output=export"]).stdout
    assert PASSWORD not in journal
    assert "COMMAND=" in journal, "nothing was logged, so nothing is proved"
