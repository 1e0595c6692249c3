"""The parts of the lab that need no machine: names, locks, the supervisor, ssh_config, the offline repository."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from readingroom.lab import LabError, places, progress, recipe, repository, ssh
from readingroom.lab.locks import locked
from readingroom.lab.places import Places

SUPERVISOR = [sys.executable, "-I", str(recipe.HERE / "supervisor.py")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """An instance whose state lies in a temporary directory."""
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    monkeypatch.setattr(places, "RUN", tmp_path / "run")
    return Places("test")


@pytest.mark.parametrize("name", ["", "Print", "-x", "a/b", "..", "x" * 17, "ü", "1st", "a b"])
def test_a_name_that_could_not_be_part_of_a_path_or_a_card_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="READINGROOM_LAB"):
        Places(name)


def test_the_longest_names_still_fit_a_control_socket() -> None:
    # ssh adds a dot and 16 letters while it sets a connection up; a socket's path may have 107 bytes
    longest = max(recipe.load().machines, key=len)
    path = str(Places("x" * 16).control / f"{'l' * 20}@{longest}") + "." + "x" * 16
    assert len(path) <= 107


def test_who_waits_for_a_lock_is_told_who_holds_it(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        locked(tmp_path / "lock", "the lab", said.append),
        pytest.raises(LabError, match="has been at work on the lab"),
        locked(tmp_path / "lock", "the lab", said.append, patience=0.1),
    ):
        pass
    assert len(said) == 1
    assert "is at work on the lab" in said[0]
    with locked(tmp_path / "lock", "the lab", said.append):
        assert len(said) == 1


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", "the lab", lambda _: order.append("waits")):
            order.append("has it")

    with locked(tmp_path / "lock", "the lab", order.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("lets go")
    thread.join()
    assert order == ["waits", "lets go", "has it"]


def test_a_reboot_starts_the_machine_again_and_any_other_end_is_the_end(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("")
    # the first two times it asks for a reboot as nspawn does, then it is switched off
    program = f"echo x >> {count}; [ $(wc -l < {count}) -ge 3 ] && exit 0; exit 133"
    run = subprocess.run(
        [*SUPERVISOR, "--", "sh", "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert run.returncode == 0
    assert len(count.read_text().split()) == 3


def test_term_switches_the_machine_off_even_when_it_calls_that_a_reboot(tmp_path: Path) -> None:
    program = f"trap 'exit 133' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    process = subprocess.Popen([*SUPERVISOR, "--", "sh", "-c", program], stdout=subprocess.DEVNULL)
    while not (tmp_path / "up").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 133


def test_the_machine_is_told_to_end_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    program = f"trap 'touch {tmp_path}/told; exit' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    process = subprocess.Popen([*SUPERVISOR, "--", "sh", "-c", program], stdout=subprocess.DEVNULL)
    while not (tmp_path / "up").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while not (tmp_path / "told").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ssh_config_leads_to_every_machine_and_trusts_only_its_own_key(here: Places) -> None:
    machines = [recipe.load().machine(name) for name in ("public-1", "staff-1")]
    ssh.make_keys(here)
    for machine in machines:
        ssh.make_key(here.machine_state(machine.name) / "host_key", machine.name)
    ssh.write_config(here, machines)
    shown = subprocess.run(
        ["ssh", "-G", "-F", str(here.ssh_config), "staff-1"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in (
        "user operator",
        "hostname 10.77.0.12",
        "stricthostkeychecking true",
        f"identityfile {here.keys / 'operator'}",
        f"userknownhostsfile {here.known_hosts}",
        f"controlpath {here.control}/operator@staff-1",
        "proxycommand nsenter --net=/run/netns/rr.test nc 10.77.0.12 22",
    ):
        assert line in shown or line.replace("10.77.0.12 22", "%h %p") in shown
    assert here.known_hosts.read_text().startswith("public-1,10.77.0.11,fd77::11 ssh-ed25519 ")
    assert (here.keys / "operator").stat().st_mode & 0o777 == 0o600


def test_keys_are_made_once_and_the_shared_login_holds_two_peoples(here: Places) -> None:
    ssh.make_keys(here)
    first = ssh.authorized_keys(here, "circdesk")
    ssh.make_keys(here)
    assert ssh.authorized_keys(here, "circdesk") == first
    assert len(first.splitlines()) == 2


def test_the_offline_repository_lists_every_package_with_its_sum(tmp_path: Path) -> None:
    control = tmp_path / "package/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example>\nDescription: tiny\n")
    control.parent.chmod(0o755)
    repo = tmp_path / "repo"
    repo.mkdir()
    built = repo / "tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tmp_path / "package"), str(built)], check=True, capture_output=True)
    assert repository.write_index(repo) == 1
    index = (repo / "Packages").read_text()
    assert "Package: tiny\n" in index
    assert "Filename: ./tiny_1_all.deb\n" in index
    assert hashlib.sha256(built.read_bytes()).hexdigest() in index
    assert hashlib.sha256(index.encode()).hexdigest() in (repo / "Release").read_text()


def test_progress_in_a_pipe_is_one_line_a_stage_without_colours() -> None:
    stream = io.StringIO()
    report = progress.reporter(Console(file=stream, force_terminal=False))
    with report.working():
        for done in (0.1, 0.2):
            report.stage("Debian 13", "unpacking", done)
        report.stage("Debian 13", "built", 1.0)
    lines = stream.getvalue().splitlines()
    assert [line.split(" s  ", 1)[1] for line in lines] == ["Debian 13: unpacking", "Debian 13: built"]
    assert "\x1b" not in stream.getvalue()


def test_a_lab_error_says_what_and_how_to_mend_it() -> None:
    error = LabError("the lab is full", "make room", "line one\nline two")
    assert str(error) == "the lab is full\n  | line one\n  | line two\n  to mend  make room"
