"""Ways back that are not the whole way: one role, one promise, runs that end in the middle, and leaving for good.

One engine and one machine will do. That a whole machine comes back as it was is `test_given_back.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from readingroom.apply import Engine, MachineResult, harden, undo
from readingroom.fleet import Site
from readingroom.lab import Lab

from .conftest import ENGINES, changes_of, promise
from .test_given_back import unexpected
from .witness import Snapshot, look

pytestmark = pytest.mark.lab
QUICK: Engine = "pyinfra"
MACHINE = "public-1"
LOGINS = ["shared_login_removal"]


@pytest.fixture(autouse=True)
def _own_policy(site: Site) -> Iterator[None]:
    """A site with the lab's own policy, whatever a test did."""
    yield
    promise(site)


@pytest.fixture
def as_found(lab: Lab) -> Snapshot:
    """The machine as it was found."""
    lab.up()
    lab.reset(MACHINE)
    return look(lab, MACHINE)


@pytest.fixture(scope="module")
def _hardened_once(lab: Lab, site: Site) -> Snapshot:
    lab.up()
    lab.reset(MACHINE)
    before = look(lab, MACHINE)
    lab.exec(MACHINE, ["sh", "-c", "echo CANARY >> /var/log/wtmp"])
    hardened(site)
    lab.snapshot(MACHINE)
    return before


@pytest.fixture
def as_hardened(lab: Lab, _hardened_once: Snapshot) -> Snapshot:
    """The machine with all roles applied; what it was before, to compare with."""
    lab.restore(MACHINE)
    return _hardened_once


def hardened(
    site: Site, roles: list[str] | None = None, engine: Engine = QUICK, *, check: bool = False
) -> MachineResult:
    result = harden(site, engine=engine, roles=roles, machines=[MACHINE], check=check).machines[MACHINE]
    assert result.status == "ok", result.message
    return result


def given_back(
    site: Site, roles: list[str] | None = None, *, check: bool = False, leave: bool = False
) -> MachineResult:
    return undo(site, roles=roles, machines=[MACHINE], check=check, leave=leave).machines[MACHINE]


@pytest.mark.usefixtures("as_hardened")
def test_the_record_is_for_root_alone_and_holds_no_record_of_use(lab: Lab, site: Site) -> None:
    place = "/var/lib/readingroom/prior"
    modes = lab.exec(MACHINE, ["find", place, "-printf", "%U %m\n"]).stdout.split("\n")
    assert {line for line in modes if line} == {"0 700", "0 600"}
    assert lab.exec(MACHINE, ["grep", "-rl", "CANARY", place], check=False).stdout == ""
    assert lab.exec(MACHINE, ["grep", "-rlF", "$y$", place], check=False).stdout == "", "a password's hash was recorded"
    assert not list(site.build.rglob("*prior*"))


@pytest.mark.usefixtures("as_hardened")
def test_undo_of_one_role_leaves_the_others_as_they_are(lab: Lab, site: Site) -> None:
    result = given_back(site, ["log_retention"])
    assert result.status == "ok", result.message
    assert hardened(site, ["print_queue_purge", "shared_login_removal"], check=True).changes == ()
    assert lab.exec(MACHINE, ["test", "-e", "/usr/local/lib/readingroom/log-purge"], check=False).returncode == 1
    assert lab.exec(MACHINE, ["test", "-e", "/usr/local/lib/readingroom/print_purge.py"]).returncode == 0


def test_what_the_policy_lets_go_of_comes_back_as_it_was(lab: Lab, site: Site, as_found: Snapshot) -> None:
    """Passwords may be any: the rules go, and so do the packages that came for them; a foreign file of that name returns."""

    def weakest(text: str) -> str:
        return text.replace("public:\n  accounts:\n", "public:\n  accounts:\n    passwords: any\n")

    hardened(site, LOGINS)
    assert "ii" in lab.exec(MACHINE, ["dpkg", "-l", "libpam-pwquality"]).stdout
    promise(site, weakest)
    announced = hardened(site, LOGINS, check=True)
    assert changes_of(hardened(site, LOGINS)) == changes_of(announced)
    assert hardened(site, LOGINS).changes == ()
    after = look(lab, MACHINE)
    let_go = {path for path in unexpected(as_found, after) if path.startswith(("/etc/security", "/etc/pam.d", "/usr"))}
    assert let_go == set()


SESSIONS_AS_DEBIAN_HAS_THEM = """
  session:
    {crash_dumps: kept, desktop_traces: default, greeter: names-last-user, idle_logout: forever, programs: go-on,
     own_programs: any, reset: kept, swap: any, temporary_files: shared, usb_sticks: any}"""


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_that_the_policy_lets_go_of_are_as_they_were(lab: Lab, site: Site, engine: Engine) -> None:
    """Found again: files of that name from before, the lines of PAM, and the home on the disk."""
    sessions = ["session_reset"]
    lab.exec(MACHINE, ["sh", "-c", "mkdir -p /etc/dconf/profile; echo user-db:user > /etc/dconf/profile/user"])
    before = look(lab, MACHINE)
    weakest = lambda text: text.replace("public:", f"public:{SESSIONS_AS_DEBIAN_HAS_THEM}", 1)  # noqa: E731
    hardened(site, sessions, engine)
    assert len(unexpected(before, look(lab, MACHINE))) > 50
    assert lab.exec(MACHINE, ["findmnt", "-n", "-o", "FSTYPE", "/home/patron"]).stdout.strip() == "tmpfs"
    lab.exec(MACHINE, ["sh", "-c", "echo '# a line of our own' >> /etc/pam.d/lightdm"])
    promise(site, weakest)
    announced = hardened(site, sessions, engine, check=True)
    assert changes_of(hardened(site, sessions, engine)) == changes_of(announced)
    assert hardened(site, sessions, engine).changes == ()
    assert lab.exec(MACHINE, ["findmnt", "/home/patron"], check=False).returncode == 1
    lab.exec(MACHINE, ["sed", "-i", "$d", "/etc/pam.d/lightdm"])  # what somebody added since had to stay until here
    left = unexpected(before, look(lab, MACHINE))
    # ours and Ansible's own go with a whole undo
    let_go = {path for path in left if "readingroom" not in path and "/.ansible" not in path}
    assert let_go == set()


def test_a_patron_at_work_keeps_the_home_and_undo_says_so(lab: Lab, site: Site, as_hardened: Snapshot) -> None:
    session = ["systemd-run", "--quiet", "--uid=patron", "--property=PAMName=login", "--unit=at-work", "sleep", "600"]
    lab.exec(MACHINE, session)
    lab.exec(MACHINE, ["sh", "-c", "until ls -A /run/readingroom-session/open | grep -q .; do sleep 0.1; done"])
    refused = given_back(site)
    assert refused.status == "failed"
    assert "session of patron is open" in refused.message
    assert lab.exec(MACHINE, ["findmnt", "-n", "-o", "FSTYPE", "/home/patron"]).stdout.strip() == "tmpfs"
    lab.exec(MACHINE, ["systemctl", "stop", "at-work.service"])
    _eventually(lambda: given_back(site).status == "ok")
    assert unexpected(as_hardened, look(lab, MACHINE)) == {}


_CHILD = """
import dataclasses, sys
from pathlib import Path
from readingroom import toolkit
from readingroom.apply import harden, undo
from readingroom.fleet import load_site

verb, root, machine, patience = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
site = dataclasses.replace(load_site("lab", toolkit.root()), root=root, build=root / "build")
seen = 0
def heard(event):
    global seen
    seen += event.kind in ("changed", "task")
    print(event.kind, flush=True)
    if seen == patience:
        print("now", flush=True)
if verb == "harden":
    harden(site, engine="pyinfra", machines=[machine], on_event=heard)
else:
    undo(site, machines=[machine], on_event=heard)
"""


def _killed_in_the_middle(site: Site, verb: str, patience: int) -> None:
    """Start a run and kill the controller when so many things have happened."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, verb, str(site.root), MACHINE, str(patience)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout
    for line in child.stdout:
        if line.strip() == "now":
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return
    raise AssertionError("the run ended before it could be killed")


@pytest.mark.parametrize(("applied", "undone"), [(12, None), (45, 1)])
def test_a_machine_is_whole_after_a_harden_that_was_killed(
    lab: Lab, site: Site, as_found: Snapshot, applied: int, undone: int | None
) -> None:
    _killed_in_the_middle(site, "harden", applied)
    if undone:
        _eventually(lambda: _try_kill(site, undone))
    _eventually(lambda: given_back(site).status == "ok")
    assert unexpected(as_found, look(lab, MACHINE)) == {}


def test_a_machine_is_whole_after_an_undo_that_was_killed(lab: Lab, site: Site, as_hardened: Snapshot) -> None:
    _eventually(lambda: _try_kill(site, 2))
    _eventually(lambda: given_back(site).status == "ok")
    assert unexpected(as_hardened, look(lab, MACHINE)) == {}


def _try_kill(site: Site, patience: int) -> bool:
    try:
        _killed_in_the_middle(site, "undo", patience)
    except AssertionError:
        return False
    return True


def _eventually(done: Callable[[], bool]) -> None:
    """What was under way on the machine ends by itself; then its lock is free."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "the machine stayed locked"
        time.sleep(0.5)


@pytest.mark.usefixtures("as_found")
def test_the_way_in_and_the_last_administrator_outlive_an_undo(lab: Lab, site: Site) -> None:
    """As found, sshd let nobody but the desk in and ada was no administrator; since then circdesk's password is gone."""
    lab.exec(MACHINE, ["gpasswd", "--delete", "ada", "sudo"])
    hardened(site, LOGINS)
    assert "ada" in lab.exec(MACHINE, ["getent", "group", "sudo"]).stdout
    lab.exec(MACHINE, ["passwd", "--lock", "circdesk"])
    lab.exec(MACHINE, ["usermod", "--password", "!", "circdesk"])
    result = given_back(site)
    assert result.status == "ok", result.message
    assert "ada" in lab.exec(MACHINE, ["getent", "group", "sudo"]).stdout
    assert any("nobody else could administer" in note for note in result.notes)


@pytest.mark.usefixtures("as_hardened")
def test_a_prior_state_that_would_shut_us_out_is_not_given_back(lab: Lab, site: Site) -> None:
    state = "/var/lib/readingroom/prior/shared_login_removal/state.json"
    record = json.loads(lab.exec(MACHINE, ["cat", state]).stdout)
    shut = "AllowUsers circdesk\n"
    digest = hashlib.sha256(shut.encode()).hexdigest()
    lab.exec(MACHINE, ["sh", "-c", f"cat > {Path(state).parent}/kept/{digest}"], input=shut)
    record["things"]["path /etc/ssh/sshd_config.d/00-readingroom.conf"] = {
        "kind": "file", "content": digest, "mode": 0o644, "uid": 0, "gid": 0, "xattrs": {}, "changed_ns": 0,
    }  # fmt: skip
    lab.exec(MACHINE, ["sh", "-c", f"cat > {state}"], input=json.dumps(record))
    result = given_back(site)
    assert any("could not come in again" in note for note in result.notes), result
    assert given_back(site, check=True).status == "ok", "we can still come in"


@pytest.mark.usefixtures("as_found")
def test_a_machine_that_is_off_is_listed_and_the_others_are_given_back(lab: Lab, site: Site) -> None:
    hardened(site, ["print_queue_purge"])
    lab.down(["staff-1"])
    try:
        result = undo(site)
    finally:
        lab.up(["staff-1"])
    assert result.machines["staff-1"].status == "unreachable"
    assert "Then: readingroom undo lab" in result.machines["staff-1"].message
    assert result.machines[MACHINE].status == "ok"
    assert result.machines[MACHINE].changes


@pytest.mark.usefixtures("as_hardened")
def test_leaving_removes_every_trace(lab: Lab, site: Site) -> None:
    lab.exec(MACHINE, ["touch", "/etc/systemd/system/readingroom-forgotten.timer", "/etc/readingroom/forgotten"])
    result = given_back(site, leave=True)
    assert result.status == "ok", result.message
    places = ["/etc", "/usr", "/var", "/run", "/root", "/home"]
    search = ["find", *places, "-iname", "*readingroom*", "-not", "-path", "/var/log/*"]
    assert lab.exec(MACHINE, search, check=False).stdout == ""
    known = lab.exec(MACHINE, ["systemctl", "list-units", "--all", "--no-legend", "--plain"]).stdout
    assert "readingroom" not in known
