"""What a new user sees: the lab from red to green, and a site of one's own over plain SSH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from readingroom import verify
from readingroom.lab import Lab

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
INSTANCE = "e2e"
MACHINES = ("public-1", "staff-1")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    lab = Lab(INSTANCE)
    lab.destroy()
    lab.up(MACHINES)
    yield lab
    lab.destroy()


@pytest.fixture(scope="module")
def home(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library's own checkout: our files, its inventory and its policy; the person's ssh configuration beside it."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("roles", "playbooks", "tests", "ansible.cfg"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "policies", folder / "policies")
    shutil.copy(folder / "policies" / "lab.yml", folder / "policies" / "elm.yml")
    inventory = folder / "inventories" / "elm" / "hosts.yml"
    inventory.parent.mkdir(parents=True)
    shutil.copy(ROOT / "inventories" / "lab" / "hosts.yml", inventory)
    (folder / ".ssh").mkdir(mode=0o700)
    shutil.copy(lab.ssh_config, folder / ".ssh" / "config")
    return folder


def readingroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HOME": str(home), "READINGROOM_HOME": str(home), "READINGROOM_LAB": INSTANCE, "COLUMNS": "160",
    }  # fmt: skip
    program = Path(sys.executable).with_name("readingroom")
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
    )


def not_kept(home: Path) -> str:
    """What an assertion says first: a whole report is cut in the middle by whoever shows it."""
    return "\n".join(
        f"{name}: {control} is {found['verdict']}: {found.get('reason') or found.get('observed')}"
        for name, one in evidence(home)["machines"].items()
        for control, found in one["controls"].items()
        if found["verdict"] in ("broken", "not-tested")
    )


def evidence(home: Path, part: str = "") -> dict:
    return json.loads((home / "build" / "elm" / f"evidence{part}.json").read_text())


def verdicts(home: Path, part: str = "") -> dict[tuple[str, str], str]:
    machines = evidence(home, part)["machines"]
    return {
        (name, control): found["verdict"]
        for name, one in machines.items()
        for control, found in one["controls"].items()
    }


# CUPS rewrites its own record of the queues whenever it likes.
LOOK = [
    "sh",
    "-c",
    "find /etc /usr/local /var/lib/readingroom ! -path '/etc/cups*' -printf '%p %m %u %T@ %s\\n' | sort",
]


def test_1_plan_changes_nothing(home: Path, lab: Lab) -> None:
    before = [lab.exec(name, LOOK, check=False).stdout for name in MACHINES]
    done = readingroom(home, "plan", "elm")
    assert done.returncode == 0, done.stderr
    assert "/etc/cups/cupsd.conf" in done.stdout
    assert before == [lab.exec(name, LOOK, check=False).stdout for name in MACHINES]


def test_2_harden_goes_from_red_to_green_and_says_so(home: Path) -> None:
    done = readingroom(home, "harden", "elm")
    assert done.returncode == 0, f"{not_kept(home)}\n{done.stderr}{done.stdout}"
    assert done.stdout.count("BROKEN → kept") > len(MACHINES) * 15
    assert set(verdicts(home).values()) <= {"kept", "not-applicable", "not-tested", "unsupported"}
    assert list(verdicts(home).values()).count("kept") >= 2 * 20
    jsonschema.validate(evidence(home), verify.schema())


def test_3_a_second_run_has_nothing_to_change(home: Path) -> None:
    done = readingroom(home, "harden", "elm", "--engine", "pyinfra")
    assert done.returncode == 0, f"{not_kept(home)}\n{done.stderr}{done.stdout}"
    for name in MACHINES:
        assert f"{name}: Nothing to change" in done.stdout
    assert "Verifying after" not in done.stdout, "what was verified before stands, since nothing was changed"


def test_4_a_broken_promise_is_exit_code_1(home: Path, lab: Lab, tmp_path: Path) -> None:
    lab.exec("public-1", ["systemctl", "disable", "--now", "readingroom-print-purge.timer"])
    junit = tmp_path / "report.xml"
    done = readingroom(home, "verify", "elm", "--control", "print.unclaimed-jobs", "--junit", str(junit))
    assert done.returncode == 1, done.stderr
    assert "<failure" in junit.read_text()


def test_5_a_machine_that_is_off_is_exit_code_3_and_the_others_are_verified(home: Path, lab: Lab) -> None:
    lab.down(["staff-1"])
    done = readingroom(home, "verify", "elm", "--role", "log_retention")
    assert done.returncode == 3
    assert "staff-1" in done.stderr
    found = verdicts(home, "-part")
    assert "kept" in {verdict for (machine, _), verdict in found.items() if machine == "public-1"}
    assert {verdict for (machine, _), verdict in found.items() if machine == "staff-1"} <= {
        "not-tested",
        "not-applicable",
    }
    assert not lab.is_running("staff-1"), "a site of one's own never boots the lab"
    lab.up(["staff-1"])


def test_6_no_name_of_a_person_stands_in_what_is_written(home: Path) -> None:
    text = json.dumps([one.get("observed", "") for machine in evidence(home)["machines"].values()
                       for one in machine["controls"].values()])  # fmt: skip
    for word in ("operator", "circdesk", "ben", "patron@", "/home/", "10.77."):
        assert word not in text


def test_7_an_unknown_machine_is_bad_input(home: Path) -> None:
    done = readingroom(home, "harden", "elm", "--limit", "publik-1")
    assert done.returncode == 2
    assert "did you mean public-1?" in done.stderr
