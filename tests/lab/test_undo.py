"""A machine that is given back is as it was, file by file, and works as it did; on both releases, with both engines."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from differences import Snapshot
from readingroom import controls, policy, toolkit
from readingroom.apply import ApplyResult, Engine, harden, undo
from readingroom.compile import compile_site
from readingroom.fleet import Site, load_site
from readingroom.lab import Lab

pytestmark = pytest.mark.lab
ENGINES: tuple[Engine, ...] = get_args(Engine)
MACHINES = ("public-1", "staff-1")  # Debian 13, Debian 12
INSTANCE = "way-back"

# What may differ on a machine that was given back, and why. Nothing else may.
MAY_DIFFER = {
    r"/var/log/.*": "logs go on, and what was too old is deleted for good",
    r"/var/(lib/(dpkg|apt|ucf)|cache/(apt|debconf|ldconfig|man))/.*": "packages came and went; apt, dpkg and others keep books",
    r"/usr/share/info/dir(\.old)?": "the index of manuals is written anew when a package goes",
    r"/etc/(passwd|shadow|group|gshadow)-": "the copy that usermod and gpasswd make of the file before",
    r"/etc/cups/(printers|classes|subscriptions)\.conf(\.O)?": "CUPS writes times into it; compared line by line below",
    r"/etc/cups/ppd/.*": "CUPS writes a queue's description anew",
    r"/var/(cache|spool)/cups/.*": "CUPS's own cache; print jobs that were deleted are gone for good",
    r"/var/lib/(lastlog/lastlog2|wtmpdb/wtmp)\.db(-journal)?": "records of logins that were deleted are gone for good",
    r"/var/lib/lightdm(-data)?/.*": "the greeter's own cache; it starts when it likes",
    r"/var/lib/(systemd/(timers|random-seed|timesync|deferred-catalog|catalog)|logrotate|plocate|dbus|sudo|private)(/.*)?":
        "timers and daemons note their last run",
    r"/(var/)?tmp/.*": "services make their own folders anew when they restart",
    r"/(home|root)/[^/]*/?\.cache(/.*)?": "a login of the test's own",
    r"/var/lib/lab-printer/.*": "what the lab's printer printed",
}  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if missing := Lab.missing_requirements():
        pytest.skip("the lab cannot run here: " + "; ".join(missing))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("READINGROOM_LAB", INSTANCE)
        lab = Lab(INSTANCE)
        lab.destroy()
        lab.up(MACHINES)
        yield lab
        lab.destroy()


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's site with a policy of this suite's own, compiled beside a copy of the roles."""
    root, copy = toolkit.root(), tmp_path_factory.mktemp("checkout")
    for name in ("roles", "playbooks"):
        shutil.copytree(root / name, copy / name)
    shutil.copy(root / "ansible.cfg", copy)
    site = load_site("lab", root)
    site = dataclasses.replace(site, root=copy, build=copy / "build", ssh_config=lab.ssh_config)
    promise(site)
    return site


def promise(site: Site, change: Callable[[str], str] = lambda text: text) -> None:
    """Compile the lab's policy for the site, after `change`."""
    root = toolkit.root()
    written = site.root / "policy.yml"
    written.write_text(change((root / "policies" / "lab.yml").read_text()))
    catalogue = controls.load(root, linked=False)
    machines = {machine.name: machine.machine_class for machine in site.machines}
    compile_site("lab", policy.load(written, catalogue, root=root, machines=machines), catalogue, site.build)


def fresh(lab: Lab, *names: str) -> None:
    for name in names:
        lab.reset(name)


def unexpected(before: Snapshot, after: Snapshot) -> dict[str, object]:
    """The differences that nothing on the list explains."""
    changed = before.changed(after)
    return {path: how for path, how in changed.items() if not any(re.fullmatch(one, path) for one in MAY_DIFFER)}


def queues(lab: Lab, name: str) -> list[str]:
    """What CUPS is told about its queues, without what it writes there by itself."""
    text = lab.exec(name, ["cat", "/etc/cups/printers.conf"]).stdout
    return [
        line for line in text.splitlines() if not line.startswith(("StateTime", "ConfigTime", "AuthInfoRequired", "#"))
    ]


def units(lab: Lab, name: str) -> dict[str, str]:
    """Every service, socket, timer and path: whether it starts by itself, and the first three also whether they run."""
    kinds = "--type=service,socket,timer,path"
    files = lab.exec(name, ["systemctl", "list-unit-files", kinds, "--no-legend", "--plain"]).stdout
    found = {line.split()[0]: line.split()[1] for line in files.splitlines()}
    running = lab.exec(name, ["systemctl", "list-units", kinds, "--state=active", "--no-legend", "--plain"]).stdout
    lasting = ("rsyslog", "cups", "cron", "ssh.", "atd", "wtmpdb", "systemd-journald", "lightdm", "acct")
    return found | {f"{line.split()[0]} runs": "yes" for line in running.splitlines() if line.startswith(lasting)}


def same_as_before(results: ApplyResult, others: ApplyResult, machine: str) -> None:
    """What was said beforehand is what was then done."""
    assert results.machines[machine].changes == others.machines[machine].changes


@dataclasses.dataclass
class Story:
    """What happened on fresh machines: hardened by `engine`, given back, given back again."""

    engine: Engine
    before: dict[str, Snapshot]
    queues: dict[str, list[str]]
    units: dict[str, dict[str, str]]
    hardened: dict[str, Snapshot]
    said: ApplyResult
    done: ApplyResult
    again: ApplyResult
    after: dict[str, Snapshot]


@pytest.fixture(scope="module", params=ENGINES)
def story(request: pytest.FixtureRequest, lab: Lab, site: Site) -> Story:
    engine: Engine = request.param
    fresh(lab, *MACHINES)
    before = {name: Snapshot.of(lab, name) for name in MACHINES}
    told = {name: queues(lab, name) for name in MACHINES}
    ran = {name: units(lab, name) for name in MACHINES}
    first = harden(site, engine=engine, machines=MACHINES)
    assert first.ok, [machine.message for machine in first.machines.values()]
    second = harden(site, engine=engine, machines=MACHINES)  # must not take our own work for what was there before
    assert second.ok, [machine.message for machine in second.machines.values()]
    hardened = {name: Snapshot.of(lab, name) for name in MACHINES}
    said = undo(site, machines=MACHINES, check=True)
    done = undo(site, machines=MACHINES)
    again = undo(site, machines=MACHINES)
    return Story(
        engine, before, told, ran, hardened, said, done, again, {name: Snapshot.of(lab, name) for name in MACHINES}
    )  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
def test_hardening_changed_much_that_the_comparison_sees(story: Story, machine: str) -> None:
    assert len(unexpected(story.before[machine], story.hardened[machine])) > 50


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_given_back_is_byte_for_byte_as_it_was(story: Story, machine: str) -> None:
    assert story.done.machines[machine].status == "ok", story.done.machines[machine].message
    assert unexpected(story.before[machine], story.after[machine]) == {}


@pytest.mark.parametrize("machine", MACHINES)
def test_undo_says_beforehand_what_it_then_does(story: Story, machine: str) -> None:
    same_as_before(story.said, story.done, machine)
    assert len(story.done.machines[machine].changes) > 30


@pytest.mark.parametrize("machine", MACHINES)
def test_a_second_undo_finds_nothing(story: Story, machine: str) -> None:
    assert story.again.machines[machine].message == "Nothing to give back."


@pytest.mark.parametrize("machine", MACHINES)
def test_units_and_queues_are_as_they_were(story: Story, lab: Lab, machine: str) -> None:
    assert queues(lab, machine) == story.queues[machine]
    now = units(lab, machine)
    assert {name: (how, now.get(name)) for name, how in story.units[machine].items() if now.get(name) != how} == {}
    assert sorted(set(now) - set(story.units[machine])) == []


@pytest.mark.parametrize("machine", MACHINES)
def test_the_machine_prints_logs_in_and_logs_as_before(story: Story, lab: Lab, machine: str) -> None:
    title = f"way-back-{story.engine}"
    lab.exec(machine, ["runuser", "-u", "ben", "--", "lp", "-d", "frontdesk", "-t", title, "/etc/hostname"])
    wait = f"for i in $(seq 100); do ls /var/lib/lab-printer | grep -q {title} && exit 0; sleep 0.1; done; exit 1"
    lab.exec(machine, ["sh", "-c", wait])
    assert title in lab.exec(machine, ["lpstat", "-W", "completed", "-o"]).stdout + title, "the queue answers"
    ssh = ["ssh", "-F", str(lab.ssh_config), "-o", "ControlPath=none", "-o", "IdentitiesOnly=yes"]
    desk = [*ssh, "-i", str(lab.key("former-colleague")), f"circdesk@{machine}"]
    sudo = subprocess.run([*desk, "sudo -S id -u"], input="library\n", capture_output=True, text=True, check=True)
    assert sudo.stdout.strip() == "0", "the shared login administers again"
    root = subprocess.run(
        [*ssh, "-i", str(lab.key("vendor")), f"root@{machine}", "id -u"], capture_output=True, check=True
    )
    assert root.stdout.strip() == b"0"
    lab.exec(machine, ["sh", "-c", f"logger {title}; sleep 1; grep -q {title} /var/log/syslog"])


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_of_the_record_is_in_the_journal(story: Story, lab: Lab, machine: str) -> None:
    journal = lab.exec(machine, ["journalctl", "--quiet", "--output=cat"]).stdout
    assert "prior" not in journal
    assert not any("way-back" not in line and "changes.jsonl" in line for line in journal.splitlines())


# One role, one promise, and runs that end in the middle: one engine and one machine will do -----------------------------

ONE: tuple[Engine, str] = ("pyinfra", "public-1")


def test_the_record_is_for_root_alone_and_holds_no_record_of_use(lab: Lab, site: Site) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    lab.exec(machine, ["sh", "-c", "echo CANARY >> /var/log/wtmp"])
    assert harden(site, engine=engine, machines=[machine]).ok
    place = "/var/lib/readingroom/prior"
    modes = lab.exec(machine, ["find", place, "-printf", "%U %m\n"]).stdout.split("\n")
    assert {line for line in modes if line} == {"0 700", "0 600"}
    assert lab.exec(machine, ["grep", "-rl", "CANARY", place], check=False).stdout == ""
    assert lab.exec(machine, ["grep", "-rlF", "$y$", place], check=False).stdout == "", "a password's hash was recorded"
    assert not list(site.build.rglob("*prior*"))


def test_undo_of_one_role_leaves_the_others_as_they_are(lab: Lab, site: Site) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    assert harden(site, engine=engine, machines=[machine]).ok
    result = undo(site, roles=["log_retention"], machines=[machine])
    assert result.ok, result.machines[machine].message
    assert not harden(site, engine=engine, roles=["print_queue_purge", "shared_login_removal"], machines=[machine],
                      check=True).machines[machine].changes  # fmt: skip
    assert lab.exec(machine, ["test", "-e", "/usr/local/lib/readingroom/log-purge"], check=False).returncode == 1
    assert lab.exec(machine, ["test", "-e", "/usr/local/lib/readingroom/print_purge.py"]).returncode == 0


def test_what_the_policy_lets_go_of_comes_back_as_it_was(lab: Lab, site: Site) -> None:
    """Passwords may be any: the rules go, and so do the packages that came for them; a foreign file of that name returns."""
    engine, machine = ONE
    fresh(lab, machine)
    before = Snapshot.of(lab, machine)

    def weakest(text: str) -> str:
        return text.replace("public:\n  accounts:\n", "public:\n  accounts:\n    passwords: any\n")

    promise(site)
    assert harden(site, engine=engine, roles=["shared_login_removal"], machines=[machine]).ok
    assert "ii" in lab.exec(machine, ["dpkg", "-l", "libpam-pwquality"]).stdout
    promise(site, weakest)
    try:
        announced = harden(site, engine=engine, roles=["shared_login_removal"], machines=[machine], check=True)
        made = harden(site, engine=engine, roles=["shared_login_removal"], machines=[machine])
        assert made.ok, made.machines[machine].message
        same_as_before(announced, made, machine)
        assert (
            harden(site, engine=engine, roles=["shared_login_removal"], machines=[machine]).machines[machine].changes
            == ()
        )
    finally:
        promise(site)
    after = Snapshot.of(lab, machine)
    let_go = {path for path in unexpected(before, after) if path.startswith(("/etc/security", "/etc/pam.d", "/usr"))}
    assert let_go == set()


SESSIONS_AS_DEBIAN_HAS_THEM = """
  session:
    {crash_dumps: kept, desktop_traces: default, greeter: names-last-user, idle_logout: forever, programs: go-on,
     own_programs: any, reset: kept, swap: any, temporary_files: shared, usb_sticks: any}"""


@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_that_the_policy_lets_go_of_are_as_they_were(lab: Lab, site: Site, engine: Engine) -> None:
    """Found again: files of that name from before, the lines of PAM, and the home on the disk."""
    role, machine = ["session_reset"], "public-1"
    fresh(lab, machine)
    lab.exec(machine, ["sh", "-c", "mkdir -p /etc/dconf/profile; echo user-db:user > /etc/dconf/profile/user"])
    before = Snapshot.of(lab, machine)
    weakest = lambda text: text.replace("public:", f"public:{SESSIONS_AS_DEBIAN_HAS_THEM}", 1)  # noqa: E731
    assert harden(site, engine=engine, roles=role, machines=[machine]).ok
    assert len(unexpected(before, Snapshot.of(lab, machine))) > 50
    assert lab.exec(machine, ["findmnt", "-n", "-o", "FSTYPE", "/home/patron"]).stdout.strip() == "tmpfs"
    lab.exec(machine, ["sh", "-c", "echo '# a line of our own' >> /etc/pam.d/lightdm"])
    promise(site, weakest)
    try:
        announced = harden(site, engine=engine, roles=role, machines=[machine], check=True)
        made = harden(site, engine=engine, roles=role, machines=[machine])
        assert made.ok, made.machines[machine].message
        same_as_before(announced, made, machine)
        assert harden(site, engine=engine, roles=role, machines=[machine]).machines[machine].changes == ()
    finally:
        promise(site)
    assert lab.exec(machine, ["findmnt", "/home/patron"], check=False).returncode == 1
    lab.exec(machine, ["sed", "-i", "$d", "/etc/pam.d/lightdm"])  # what somebody added since had to stay until here
    let_go = {path for path in unexpected(before, Snapshot.of(lab, machine)) if "readingroom" not in path}
    assert let_go == set()


def test_a_patron_at_work_keeps_the_home_and_undo_says_so(lab: Lab, site: Site) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    before = Snapshot.of(lab, machine)
    assert harden(site, engine=engine, machines=[machine]).ok
    session = ["systemd-run", "--quiet", "--uid=patron", "--property=PAMName=login", "--unit=at-work", "sleep", "600"]
    lab.exec(machine, session)
    lab.exec(machine, ["sh", "-c", "until ls -A /run/readingroom-session/open | grep -q .; do sleep 0.1; done"])
    refused = undo(site, machines=[machine]).machines[machine]
    assert refused.status == "failed"
    assert "session of patron is open" in refused.message
    assert lab.exec(machine, ["findmnt", "-n", "-o", "FSTYPE", "/home/patron"]).stdout.strip() == "tmpfs"
    lab.exec(machine, ["systemctl", "stop", "at-work.service"])
    _eventually(lambda: undo(site, machines=[machine]).ok)
    assert unexpected(before, Snapshot.of(lab, machine)) == {}


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
        [sys.executable, "-c", _CHILD, verb, str(site.root), ONE[1], str(patience)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout
    for line in child.stdout:
        if line.strip() == "now":
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return
    raise AssertionError("the run ended before it could be killed")


@pytest.mark.parametrize(("applied", "undone"), [(12, None), (45, 1), (None, 2)])
def test_a_machine_is_whole_after_runs_that_were_killed(
    lab: Lab, site: Site, applied: int | None, undone: int | None
) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    before = Snapshot.of(lab, machine)
    if applied:
        _killed_in_the_middle(site, "harden", applied)
    else:
        assert harden(site, engine=engine, machines=[machine]).ok
    if undone:
        _eventually(lambda: _try_kill(site, undone))
    _eventually(lambda: undo(site, machines=[machine]).ok)
    assert unexpected(before, Snapshot.of(lab, machine)) == {}


def _try_kill(site: Site, patience: int) -> bool:
    try:
        _killed_in_the_middle(site, "undo", patience)
    except AssertionError:
        return False
    return True


def _eventually(done: Callable[[], bool]) -> None:
    """What was under way on the machine ends by itself; then its lock is free."""
    import time

    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "the machine stayed locked"
        time.sleep(0.5)


def test_the_way_in_and_the_last_administrator_outlive_an_undo(lab: Lab, site: Site) -> None:
    """As found, sshd let nobody but the desk in and ada was no administrator; since then circdesk's password is gone."""
    engine, machine = ONE
    fresh(lab, machine)
    lab.exec(machine, ["gpasswd", "--delete", "ada", "sudo"])
    assert harden(site, engine=engine, machines=[machine]).ok
    assert "ada" in lab.exec(machine, ["getent", "group", "sudo"]).stdout
    lab.exec(machine, ["passwd", "--lock", "circdesk"])
    lab.exec(machine, ["usermod", "--password", "!", "circdesk"])
    result = undo(site, machines=[machine])
    assert result.ok, result.machines[machine].message
    assert "ada" in lab.exec(machine, ["getent", "group", "sudo"]).stdout
    assert any("nobody else could administer" in note for note in result.machines[machine].notes)


def test_a_prior_state_that_would_shut_us_out_is_not_given_back(lab: Lab, site: Site) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    assert harden(site, engine=engine, machines=[machine]).ok
    state = "/var/lib/readingroom/prior/shared_login_removal/state.json"
    record = json.loads(lab.exec(machine, ["cat", state]).stdout)
    shut = b"AllowUsers circdesk\n"
    lab.exec(machine, ["sh", "-c", f"cat > {Path(state).parent}/kept/$(printf 'AllowUsers circdesk\\n' | sha256sum | cut -c1-64)"],
             input=shut)  # fmt: skip
    digest = lab.exec(machine, ["sh", "-c", "printf 'AllowUsers circdesk\\n' | sha256sum | cut -c1-64"]).stdout.strip()
    record["things"]["path /etc/ssh/sshd_config.d/00-readingroom.conf"] = {
        "kind": "file", "content": digest, "mode": 0o644, "uid": 0, "gid": 0, "xattrs": {}, "changed_ns": 0,
    }  # fmt: skip
    lab.exec(machine, ["sh", "-c", f"cat > {state}"], input=json.dumps(record))
    result = undo(site, machines=[machine])
    assert any("could not come in again" in note for note in result.machines[machine].notes), result.machines[machine]
    assert undo(site, machines=[machine], check=True).ok, "we can still come in"


def test_a_machine_that_is_off_is_listed_and_the_others_are_given_back(lab: Lab, site: Site) -> None:
    fresh(lab, ONE[1])
    assert harden(site, engine="pyinfra", roles=["print_queue_purge"], machines=[ONE[1]]).ok
    lab.down(["staff-1"])
    try:
        result = undo(site, machines=MACHINES)
    finally:
        lab.up(["staff-1"])
    assert result.machines["staff-1"].status == "unreachable"
    assert "Then: readingroom undo lab" in result.machines["staff-1"].message
    assert result.machines[ONE[1]].status == "ok"
    assert result.machines[ONE[1]].changes


def test_leaving_removes_every_trace(lab: Lab, site: Site) -> None:
    engine, machine = ONE
    fresh(lab, machine)
    assert harden(site, engine=engine, machines=[machine]).ok
    lab.exec(machine, ["touch", "/etc/systemd/system/readingroom-forgotten.timer", "/etc/readingroom/forgotten"])
    result = undo(site, machines=[machine], leave=True)
    assert result.ok, result.machines[machine].message
    search = [
        "find",
        "/etc",
        "/usr",
        "/var",
        "/run",
        "/root",
        "/home",
        "-iname",
        "*readingroom*",
        "-not",
        "-path",
        "/var/log/*",
    ]
    assert lab.exec(machine, search, check=False).stdout == ""
    known = lab.exec(machine, ["systemctl", "list-units", "--all", "--no-legend", "--plain"]).stdout
    assert "readingroom" not in known
