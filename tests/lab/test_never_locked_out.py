"""Nobody is ever locked out: faults while new rules of the firewall, or new settings of sshd, are tried on a live machine.

After each fault the machine lets a new connection in, is as it was or as it was to be and nothing between, and the next run
brings it there. Old and new differ by one word of the policy. What is tried stands in the table that is printed at the end, with
a gateway that is gone (test_on_the_wire.py), which takes a tunnel.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import faults
from checkout import fresh_lab
from readingroom import controls, policy, toolkit
from readingroom.apply import ApplyResult, Engine, harden
from readingroom.apply.child import descendants
from readingroom.compile import compile_site
from readingroom.fleet import Site, load_site
from readingroom.lab import Lab

pytestmark = pytest.mark.lab
MACHINE = "public-1"
RULES, TABLE = "/etc/readingroom/firewall.nft", "inet readingroom"
SECONDS = 15  # instead of two minutes, in this suite's copy of the role

_CHILD = """
import dataclasses, sys
from pathlib import Path
from readingroom import toolkit
from readingroom.apply import harden
from readingroom.fleet import load_site

root = Path(sys.argv[2])
site = dataclasses.replace(load_site("lab", toolkit.root()), root=root, build=root / "build", ssh_config=root / "ssh_config")
told = lambda event: print(event.kind, event.role, event.what, flush=True)
result = harden(site, engine=sys.argv[1], roles=[sys.argv[4]], machines=[sys.argv[3]], on_event=told).machines[sys.argv[3]]
print("ended", result.status, result.message, flush=True)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with fresh_lab("locked-out", [MACHINE]) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setenv("READINGROOM_LAB", lab.places.instance)
        yield lab


@dataclasses.dataclass
class Bench(ABC):
    """The machine, the site with a copy of the roles, and a role whose change could cut the connection."""

    lab: Lab
    site: Site
    old: str
    new: str
    begun: bool = False

    role: ClassVar[str]
    trial: ClassVar[str]
    trials: ClassVar[str] = "/run/readingroom-trial"

    @property
    def hold(self) -> Path:
        """While this is there, every new connection waits."""
        return self.site.root / "hold"

    def promise(self, word: str, more: str = "") -> None:
        """Compile the lab's policy with `word` on public machines."""
        root, written = toolkit.root(), self.site.root / "policy.yml"
        text = (root / "policies" / "lab.yml").read_text()
        found, instead = self.wording(word)
        assert found in text
        written.write_text(text.replace(found, instead + more, 1))
        catalogue = controls.load(root, linked=False)
        machines = {machine.name: machine.machine_class for machine in self.site.machines}
        compile_site("lab", policy.load(written, catalogue, root=root, machines=machines), catalogue, self.site.build)

    def edit(self, path: str, old: str, new: str) -> None:
        """Change the suite's copy of the role."""
        file = self.site.root / "roles" / self.role / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def renew_role(self) -> None:
        """The role as it is, with a shorter timer."""
        shutil.rmtree(self.site.root / "roles" / self.role)
        shutil.copytree(toolkit.root() / "roles" / self.role, self.site.root / "roles" / self.role)
        self.edit("vars/main.yml", "seconds: 120", f"seconds: {SECONDS}")

    def harden(self) -> ApplyResult:
        return harden(self.site, engine="pyinfra", roles=[self.role], machines=[MACHINE])

    def run(self, script: str) -> str:
        return self.lab.exec(MACHINE, ["sh", "-c", script]).stdout.strip()

    def gets_in(self, login: str, person: str) -> bool:
        """Does a new connection get in, shared with nobody?"""
        alone = ["-o", "ControlPath=none", "-o", "ControlMaster=no", "-o", f"IdentityFile={self.lab.key(person)}"]
        argv = ["ssh", "-F", str(self.lab.ssh_config), *alone, "-l", login, MACHINE, "sudo -n true"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0

    def reachable(self) -> bool:
        return self.gets_in("operator", "operator")

    def armed(self) -> bool:
        argv = ["test", "-e", f"{self.trials}/{self.trial}/armed"]
        return self.lab.exec(MACHINE, argv, check=False).returncode == 0

    def in_trial(self) -> bool:
        """Are the new settings at work, and not kept yet?"""
        return self.armed() and self.at_work() == self.new

    def state(self) -> str:
        """`old` or `new`, if what is at work and what the next start would bring agree; else what is wrong."""
        at_work, next_start = self.at_work(), self.next_start()
        if at_work != next_start:
            return f"between: {at_work} is at work, the next start would bring {next_start}"
        return {self.old: "old", self.new: "new"}.get(at_work, "neither")

    @abstractmethod
    def wording(self, word: str) -> tuple[str, str]:
        """What stands in the lab's policy, and what stands there instead for `word`."""

    @abstractmethod
    def at_work(self) -> str:
        """The word of the policy that the running system follows."""

    @abstractmethod
    def next_start(self) -> str:
        """The word of the policy that the system would follow after a restart."""


class Firewall(Bench):
    """Old and new differ by a port that is let in."""

    role = trial = "firewall"

    def wording(self, word: str) -> tuple[str, str]:
        return "incoming_ports: [tcp/5900]", f"incoming_ports: [tcp/{word}]"

    def at_work(self) -> str:
        return _port(self.run(f"nft -s list table {TABLE} 2>/dev/null || true"))

    def next_start(self) -> str:
        return _port(self.run(f"unshare --net sh -c 'nft -f {RULES} && nft -s list table {TABLE}' 2>/dev/null || true"))


def _port(rules: str) -> str:
    found = re.search(r"set incoming_tcp \{[^}]*elements = \{ (\d+) \}", rules)
    return found[1] if found and rules.count("dport") > 4 else "no rules"


class Sshd(Bench):
    """Old and new differ by whether root may come in with a key; somebody who has one tries."""

    role, trial = "shared_login_removal", "sshd"

    def wording(self, word: str) -> tuple[str, str]:
        listed = "    people: [{login: ada}]\n"
        return listed, f"{listed}    remote_root: {word}\n"

    def at_work(self) -> str:
        return "key" if self.gets_in("root", "vendor") else "off"

    def next_start(self) -> str:
        said = self.run("sshd -T -C user=root,host=x,addr=10.77.0.254 | grep -i ^permitrootlogin")
        return {"no": "off", "without-password": "key", "prohibit-password": "key"}.get(said.split()[1], said)


class Logins(Bench):
    """Old and new differ by who administers; what is tried lasts, and the next start would give it back."""

    role, trial, trials = "shared_login_removal", "logins", "/var/lib/readingroom/trial"

    def wording(self, word: str) -> tuple[str, str]:
        return "    administrators: [ada]\n", f"    administrators: [{word}]\n"

    def at_work(self) -> str:
        return _administrators(self.run("cat /etc/group"))

    def next_start(self) -> str:
        before = f"{self.trials}/{self.trial}/before.tar"
        return _administrators(self.run(f"tar -xOf {before} etc/group 2>/dev/null || cat /etc/group"))


def _administrators(groups: str) -> str:
    members = next(line.split(":")[3] for line in groups.splitlines() if line.startswith("sudo:"))
    return ", ".join(name for name in ("ada", "ben") if name in members.split(","))


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's site with a copy of the roles, and a way to have new connections wait."""
    root, copy = toolkit.root(), tmp_path_factory.mktemp("checkout")
    for name in ("roles", "playbooks"):
        shutil.copytree(root / name, copy / name)
    shutil.copy(root / "ansible.cfg", copy)
    held = re.sub(
        r"ProxyCommand (.*)",
        rf"ProxyCommand sh -c 'while [ -e {copy}/hold ]; do sleep 0.1; done; exec \1'",
        lab.ssh_config.read_text(),
    )
    (copy / "ssh_config").write_text(held)
    return dataclasses.replace(load_site("lab", root), root=copy, build=copy / "build", ssh_config=copy / "ssh_config")


@pytest.fixture(scope="module")
def firewall(lab: Lab, site: Site) -> Bench:
    return Firewall(lab, site, old="5900", new="5999")


@pytest.fixture(scope="module")
def sshd(lab: Lab, site: Site) -> Bench:
    return Sshd(lab, site, old="key", new="off")


@pytest.fixture(scope="module")
def logins(lab: Lab, site: Site) -> Bench:
    return Logins(lab, site, old="ada, ben", new="ada")


class Running:
    """A run of our own in a process of its own, and what it says."""

    def __init__(self, bench: Bench, engine: Engine) -> None:
        argv = [sys.executable, "-c", _CHILD, engine, str(bench.site.root), MACHINE, bench.role]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.strip())
                self._news.notify_all()

    def says(self, begin: str) -> None:
        """Wait until it says so."""
        with self._news:
            heard = self._news.wait_for(lambda: any(line.startswith(begin) for line in self.lines), timeout=120)
        assert heard, self.lines

    def kill(self) -> None:
        """End it and everything it started, at once."""
        for pid in [*descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.end()

    def end(self) -> str:
        """Wait for its end; its last words."""
        self.process.wait(timeout=180)
        self._reader.join()
        return "\n".join(
            self.lines[next((i for i, one in enumerate(self.lines) if one.startswith("ended ")), len(self.lines)) :]
        )


def eventually(look: Callable[[], bool], otherwise: str, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


# The faults: each gets the bench and a run that has just been started, makes trouble, and returns the run's last words.

Fault = Callable[[Bench, Engine], str]


def a_ruleset_that_shuts_ssh_out(bench: Bench, engine: Engine) -> str:
    bench.edit("templates/firewall.nft.j2", "ip saddr @admins4 tcp dport", "ip saddr 203.0.113.1 tcp dport")
    bench.edit("templates/firewall.nft.j2", "ip daddr @admins4 tcp sport", "ip daddr 203.0.113.1 tcp sport")
    return Running(bench, engine).end()


def a_drop_in_that_lets_nobody_in(bench: Bench, engine: Engine) -> str:
    bench.edit("templates/sshd.conf.j2", "{% if root %}\nPermit", "AllowUsers nobody-at-all\n{% if root %}\nPermit")
    return Running(bench, engine).end()


def a_change_that_takes_sudo_away(bench: Bench, engine: Engine) -> str:
    """Something that nobody foresaw: the program's last step hits the login that we come in with."""
    bench.edit("files/logins/main.py", "            step.do(record)\n",
               '            step.do(record)\n        run("rm", "/etc/sudoers.d/operator")\n')  # fmt: skip
    bench.edit("files/logins/main.py", "import Machine, Problem, names\n", "import Machine, Problem, names, run\n")
    return Running(bench, engine).end()


def a_change_that_ends_in_the_middle(bench: Bench, engine: Engine) -> str:
    bench.edit("files/logins/main.py", "            step.do(record)\n",
               '            step.do(record)\n        raise Problem("the disk is gone")\n')  # fmt: skip
    return Running(bench, engine).end()


def a_ruleset_that_does_not_parse(bench: Bench, engine: Engine) -> str:
    bench.edit("templates/firewall.nft.j2", "chain input {", "chain input { tcp dprt 22 accept")
    return Running(bench, engine).end()


def the_wrong_networks_to_administer_from(bench: Bench, engine: Engine) -> str:
    bench.promise(bench.new, "\n    administered_from: [203.0.113.0/24]")
    return Running(bench, engine).end()


def those_and_no_way_to_see_who_came_in(bench: Bench, engine: Engine) -> str:
    bench.edit("files/firewall_look.py", "network.came_in() or (None, None)", "(None, None)")
    return the_wrong_networks_to_administer_from(bench, engine)


def _held_in_trial(bench: Bench, engine: Engine) -> Running:
    """A run whose new rules are at work, and whose new connection does not come about."""
    run = Running(bench, engine)
    run.says(f"task {bench.role}")
    bench.hold.touch()
    eventually(bench.in_trial, "the new rules were not tried")
    return run


def the_controller_killed_in_the_trial(bench: Bench, engine: Engine) -> str:
    _held_in_trial(bench, engine).kill()
    assert bench.armed(), "it was over before the controller was killed"
    return "killed; the timer is still armed"


def the_controller_killed_in_the_trial_and_nobody_comes_back(bench: Bench, engine: Engine) -> str:
    _held_in_trial(bench, engine).kill()
    eventually(lambda: not bench.armed(), "the timer did not take the rules back")
    return "killed; the timer did its work"


def the_controller_killed_when_it_is_kept(bench: Bench, engine: Engine) -> str:
    run = Running(bench, engine)
    run.says(f"changed {bench.role} Write")
    run.kill()
    return "killed"


def a_way_that_is_too_slow(bench: Bench, engine: Engine) -> str:
    """The new connection comes about when the timer was there before: nothing may be kept then."""
    bench.edit("vars/main.yml", f"seconds: {SECONDS}", "seconds: 3")
    run = _held_in_trial(bench, engine)
    eventually(lambda: not bench.armed(), "the timer did not take the rules back")
    bench.hold.unlink()
    return run.end()


def the_network_cut_in_the_trial(bench: Bench, engine: Engine) -> str:
    run = _held_in_trial(bench, engine)
    cable = ["ip", "-n", bench.lab.places.switch, "link", "set", f"v-{MACHINE}"]
    subprocess.run([*cable, "down"], check=True)
    bench.hold.unlink()
    eventually(lambda: not bench.armed(), "the timer did not take the rules back")
    subprocess.run([*cable, "up"], check=True)
    return run.end()


def a_full_disk(bench: Bench, engine: Engine) -> str:
    place = "/etc/readingroom"
    bench.run(
        f"cp -a {place} /run/aside; mount -t tmpfs -o size=32k,mode=0755 full {place}\n"
        f"cp -a /run/aside/. {place}; rm -r /run/aside\n"
        f"dd if=/dev/zero of={place}/filler bs=1k 2>/dev/null; true"
    )
    try:
        return Running(bench, engine).end()
    finally:
        bench.run(f"umount {place}")


def a_package_that_does_not_install(bench: Bench, engine: Engine) -> str:
    bench.edit("vars/main.yml", "packages: [nftables,", "packages: [no-such-package-anywhere, nftables,")
    return Running(bench, engine).end()


def a_second_controller_in_the_trial(bench: Bench, engine: Engine) -> str:
    run = _held_in_trial(bench, engine)
    # the second comes in by the bench's other way, on which nothing waits
    second = harden(dataclasses.replace(bench.site, ssh_config=bench.lab.ssh_config), engine=engine, roles=[bench.role],
                    machines=[MACHINE]).machines[MACHINE]  # fmt: skip
    assert "another run of Reading Room is at work" in second.message
    bench.hold.unlink()
    return run.end()


def a_power_cut_in_the_trial(bench: Bench, engine: Engine) -> str:
    run = _held_in_trial(bench, engine)
    bench.lab.hard_kill(MACHINE)
    bench.hold.unlink()
    bench.lab.up([MACHINE])
    return run.end()


def a_power_cut_when_it_is_kept(bench: Bench, engine: Engine) -> str:
    run = Running(bench, engine)
    run.says(f"changed {bench.role} Write")
    bench.lab.hard_kill(MACHINE)
    words = run.end()
    bench.lab.up([MACHINE])
    return words


# (what, fault, engine, the state it must leave, words that the run must end with)
FAULTS: list[tuple[str, Fault, Engine, str, str]] = [
    ("firewall", a_ruleset_that_shuts_ssh_out, "pyinfra", "old", "the former ones are back"),
    ("firewall", a_ruleset_that_shuts_ssh_out, "ansible", "old", "the former ones are back"),
    ("firewall", a_ruleset_that_does_not_parse, "pyinfra", "old", "the step “check” failed"),
    ("firewall", the_wrong_networks_to_administer_from, "pyinfra", "new", "ended ok"),
    ("firewall", those_and_no_way_to_see_who_came_in, "pyinfra", "old", "the former ones are back"),
    ("firewall", the_controller_killed_in_the_trial, "pyinfra", "trial", ""),
    ("firewall", the_controller_killed_in_the_trial_and_nobody_comes_back, "pyinfra", "old", ""),
    ("firewall", the_controller_killed_when_it_is_kept, "pyinfra", "new", ""),
    ("firewall", a_way_that_is_too_slow, "pyinfra", "old", "so the machine has taken them back"),
    ("firewall", the_network_cut_in_the_trial, "pyinfra", "old", " back"),
    ("firewall", a_full_disk, "pyinfra", "old", "could not be written"),
    ("firewall", a_package_that_does_not_install, "pyinfra", "old", "no-such-package-anywhere"),
    ("firewall", a_package_that_does_not_install, "ansible", "old", "no-such-package-anywhere"),
    ("firewall", a_second_controller_in_the_trial, "pyinfra", "new", "ended ok"),
    ("firewall", a_power_cut_in_the_trial, "pyinfra", "old", "Nothing was changed on it."),
    ("firewall", a_power_cut_when_it_is_kept, "pyinfra", "new", "ended"),
    ("sshd", a_drop_in_that_lets_nobody_in, "pyinfra", "old", "the former ones are back"),
    ("sshd", a_power_cut_in_the_trial, "pyinfra", "old", "Nothing was changed on it."),
    ("logins", a_change_that_takes_sudo_away, "pyinfra", "old", "the former ones are back"),
    ("logins", a_change_that_takes_sudo_away, "ansible", "old", "the former ones are back"),
    ("logins", a_change_that_ends_in_the_middle, "pyinfra", "old", "the disk is gone"),
    ("logins", a_change_that_ends_in_the_middle, "ansible", "old", "the disk is gone"),
    ("logins", the_controller_killed_in_the_trial, "pyinfra", "trial", ""),
    ("logins", the_controller_killed_in_the_trial_and_nobody_comes_back, "pyinfra", "old", ""),
    ("logins", a_power_cut_in_the_trial, "pyinfra", "old", "ended"),
]


@pytest.mark.parametrize(
    ("what", "fault", "engine", "left", "words"), FAULTS, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_fault_locks_nobody_out(
    request: pytest.FixtureRequest,
    record_property: faults.Record,
    what: str,
    fault: Fault,
    engine: Engine,
    left: str,
    words: str,
) -> None:
    bench: Bench = request.getfixturevalue(what)
    bench.renew_role()
    bench.promise(bench.old)
    if bench.state() != "old" or not bench.begun:
        before = bench.harden()
        assert before.ok, before.machines[MACHINE].message
        assert bench.state() == "old"
    bench.begun = True
    bench.promise(bench.new)
    began = time.monotonic()
    try:
        said = fault(bench, engine)
    finally:
        bench.hold.unlink(missing_ok=True)
    reachable, state = bench.reachable(), "trial" if left == "trial" and bench.in_trial() else bench.state()
    bench.renew_role()
    bench.promise(bench.new)
    after = bench.harden()
    converged = after.ok and bench.state() == "new" and bench.reachable()
    name, took = fault.__name__.replace("_", " "), time.monotonic() - began
    faults.tell(
        record_property, what, name, engine, reachable=reachable, state=state, converged=converged, seconds=took
    )
    bench.old, bench.new = bench.new, bench.old  # where one fault ends, the next begins
    assert reachable, said
    assert state == left, said
    assert words in said
    assert converged, after.machines[MACHINE].message
