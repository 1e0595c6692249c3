"""The lab on this host: real machines, booted, cut off, rebooted and thrown away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkout import fresh_lab
from readingroom.lab import Lab, LabError, consortium, images, network, processes, recipe
from readingroom.lab.consortium import equipment
from readingroom.lab.machine import MachineRunner
from readingroom.lab.progress import Reporter

pytestmark = pytest.mark.lab

OTHER = "test-lab-2"
BOTH = ("public-1", "staff-1")
SYS_MODULE, SYS_TIME = 16, 25


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two machines of an instance of our own."""
    with fresh_lab("test-lab") as lab:
        yield lab


@pytest.fixture
def other(lab: Lab) -> Iterator[Lab]:
    """A second instance, empty."""
    other = Lab(OTHER, Reporter())
    other.destroy()
    yield other
    other.destroy()


def ssh(lab: Lab, machine: str, command: str, login: str = "operator") -> str:
    argv = ["ssh", "-F", str(lab.ssh_config), "-l", login, machine, command]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def leader(lab: Lab, machine: str) -> int | None:
    return processes.find(lab.places.label(machine)).leader


def eventually(what: Callable[[], object], patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def lab_command(instance: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "readingroom.lab", *words],
        env={**os.environ, "READINGROOM_LAB": instance},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if word in line:
            return
    pytest.fail(f"the command ended without saying '{word}'")


@pytest.mark.parametrize(("machine", "release"), [("public-1", "trixie"), ("staff-1", "bookworm")])
def test_each_release_answers_over_ssh_as_an_administrator(lab: Lab, machine: str, release: str) -> None:
    assert f"VERSION_CODENAME={release}" in ssh(lab, machine, "cat /etc/os-release; sudo -n true && echo admin")
    assert ssh(lab, machine, "hostname; sudo -n id -un").split() == [machine, "root"]


def test_a_second_up_leaves_running_machines_alone(lab: Lab) -> None:
    before = [leader(lab, machine) for machine in BOTH]
    lab.up()
    assert [leader(lab, machine) for machine in BOTH] == before


def test_a_machine_comes_back_after_its_own_reboot(lab: Lab) -> None:
    before = leader(lab, "staff-1")
    lab.exec("staff-1", ["touch", "/srv/kept", "/run/gone"])
    lab.exec("staff-1", ["systemctl", "reboot"], check=False)
    eventually(lambda: leader(lab, "staff-1") not in (None, before))
    lab.up()
    assert lab.exec("staff-1", ["ls", "/srv"]).stdout.count("kept") == 1
    assert lab.exec("staff-1", ["test", "-e", "/run/gone"], check=False).returncode == 1
    assert ssh(lab, "staff-1", "hostname") == "staff-1"


def test_a_power_cut_keeps_what_was_written_and_does_not_hang_ssh(lab: Lab) -> None:
    ssh(lab, "staff-1", "echo written > ~/note && sync")
    lab.hard_kill("staff-1")
    assert not lab.is_running("staff-1")
    with pytest.raises(LabError, match="staff-1 is not running"):
        lab.exec("staff-1", ["true"])
    lab.up()
    assert ssh(lab, "staff-1", "cat ~/note") == "written"


def test_switched_off_machines_come_back_as_they_were(lab: Lab) -> None:
    lab.exec("public-1", ["touch", "/etc/kept"])
    lab.down()
    assert [entry.state for entry in lab.status()[:2]] == ["off", "off"]
    assert not network.exists(lab.places.switch)
    lab.up()
    lab.exec("public-1", ["test", "-e", "/etc/kept"])


def test_a_machine_comes_back_as_it_was_at_its_snapshot(lab: Lab) -> None:
    with pytest.raises(LabError, match="staff-1 has no snapshot"):
        lab.restore("staff-1")
    copyright_, folder = "/usr/share/doc/bash/copyright", "/usr/share/doc/apt"
    lab.exec("staff-1", ["sh", "-c", f"echo then > /etc/kept; rm {copyright_}; rm -r {folder}; mkdir {folder}"])
    lab.snapshot("staff-1")
    lab.exec("staff-1", ["sh", "-c", f"echo now > /etc/kept; touch /etc/later {folder}/later; echo > {copyright_}"])
    lab.reset("staff-1")
    assert lab.exec("staff-1", ["test", "-e", "/etc/kept"], check=False).returncode == 1
    lab.restore("staff-1")
    assert lab.exec("staff-1", ["cat", "/etc/kept"]).stdout == "then\n"
    assert lab.exec("staff-1", ["ls", folder]).stdout == "", "a folder of the image that was emptied is full again"
    for gone in (copyright_, "/etc/later"):
        assert lab.exec("staff-1", ["test", "-e", gone], check=False).returncode == 1
    assert ssh(lab, "staff-1", "hostname") == "staff-1"


def test_a_machine_whose_supervisor_was_killed_is_started_again(lab: Lab) -> None:
    found = processes.find(lab.places.label("staff-1"))
    for pid in found.supervisors:
        os.kill(pid, signal.SIGKILL)
    lab.up()
    assert leader(lab, "staff-1") not in (None, found.leader)
    assert len(processes.find(lab.places.label("staff-1")).nspawns) == 1
    assert ssh(lab, "staff-1", "hostname") == "staff-1"


@pytest.mark.parametrize("machine", BOTH)
def test_exec_can_do_no_more_than_the_machine_itself(lab: Lab, machine: str) -> None:
    # never try to set the clock: were this broken, it would set the host's
    status = lab.exec(machine, ["cat", "/proc/self/status"]).stdout.splitlines()
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
    for held in (sets["CapBnd"], sets["CapEff"]):
        assert not held >> SYS_TIME & 1
        assert not held >> SYS_MODULE & 1


def test_exec_passes_input_and_tells_failure(lab: Lab) -> None:
    assert lab.exec("public-1", ["cat"], input="typed").stdout == "typed"
    with pytest.raises(subprocess.CalledProcessError):
        lab.exec("public-1", ["false"])
    assert lab.exec("public-1", ["false"], check=False).returncode == 1


@pytest.mark.parametrize("machine", BOTH)
def test_packages_a_role_may_need_install_offline(lab: Lab, machine: str) -> None:
    update = lab.exec(machine, ["apt-get", "update"])
    assert "Err:" not in update.stdout + update.stderr
    assert lab.exec(machine, ["python3", "-c", "import cups"], check=False).returncode != 0
    lab.exec(machine, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "install", "python3-cups"])
    lab.exec(machine, ["python3", "-c", "import cups"])
    lab.exec(machine, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "install", "libpam-pwquality"])
    # a role may remove a package and an undo bring it back
    lab.exec(machine, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "purge", "acct"])
    lab.exec(machine, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "install", "acct"])


@pytest.mark.parametrize("machine", BOTH)
def test_machines_are_as_a_small_library_has_them(lab: Lab, machine: str) -> None:
    lab.reset(machine)
    everything = ssh(
        lab,
        machine,
        "sudo sh -c 'id circdesk; cat /home/circdesk/.ssh/authorized_keys; crontab -l -u circdesk; atq; "
        "ls /var/lib/systemd/linger /etc/systemd/system/getty@tty1.service.d; sshd -T; lpstat -t; "
        "ls -d /var/log/journal/*; zcat /var/log/auth.log.2.gz; systemctl is-active rsyslog cron lab-printer' 2>&1",
    )
    for sign in ("(sudo)", "ada@lab", "former-colleague@lab", "shift list", "permitrootlogin prohibit-password"):
        assert sign in everything or sign == "permitrootlogin prohibit-password"
    assert "permitrootlogin without-password" in everything
    assert "printer frontdesk is idle" in everything
    assert "printer reading-hall disabled" in everything
    assert "FAILED LOGIN" in everything
    assert everything.count("\nactive") == 3
    assert ("autologin.conf" in everything) == (machine == "staff-1")
    assert ssh(lab, machine, "getent passwd patron || echo nobody").startswith("patron") == (machine == "public-1")
    assert lab.exec(machine, ["passwd", "--status", "operator"]).stdout.split()[1] == "L"


def test_people_log_in_with_their_own_keys(lab: Lab) -> None:
    for login, person in (("ada", "ada"), ("circdesk", "former-colleague"), ("root", "vendor")):
        argv = ["ssh", "-F", str(lab.ssh_config), "-o", "ControlPath=none", "-i", str(lab.key(person))]
        run = subprocess.run([*argv, "-l", login, "staff-1", "id -un"], capture_output=True, text=True, check=False)
        assert run.stdout.strip() == login


def test_the_printer_prints(lab: Lab) -> None:
    ssh(lab, "staff-1", "echo hello | lp -d frontdesk")
    eventually(lambda: lab.exec("staff-1", ["find", "/var/lib/lab-printer", "-type", "f", "-size", "+0"]).stdout)


def test_machines_reach_each_other_on_both_protocols_and_nothing_else(lab: Lab) -> None:
    peer = recipe.load().machine("staff-1")
    lab.exec("public-1", ["ping", "-c1", "-W2", peer.address])
    lab.exec("public-1", ["ping", "-6", "-c1", "-W2", peer.address6])
    # an address of the documentation range: nobody's
    assert lab.exec("public-1", ["ping", "-c1", "-W1", "192.0.2.1"], check=False).returncode != 0


# Asks for a name over TLS, at the address it is told.
ASK = """
import socket, ssl, sys
secure = ssl.create_default_context().wrap_socket(
    socket.create_connection((sys.argv[1], 853), 5), server_hostname="resolver.consortium.example")
query = bytes.fromhex("001d12340100000100000000000003777777076578616d706c650000010001")
secure.sendall(query)
print(secure.recv(512)[-4:].hex())
"""


@pytest.mark.parametrize("machine", BOTH)
@pytest.mark.parametrize("address", [consortium.RESOLVER, consortium.RESOLVER6])
def test_machines_trust_the_resolver_beyond_the_router(lab: Lab, machine: str, address: str) -> None:
    assert (
        lab.exec(machine, ["python3", "-I", "-c", ASK, address]).stdout.strip()
        == socket.inet_aton(consortium.WEB).hex()
    )


@pytest.mark.parametrize("address", [consortium.LIBRARY_SYSTEM, consortium.LIBRARY_SYSTEM6])
def test_the_library_system_answers_as_stations_ask(lab: Lab, address: str) -> None:
    status = r"printf '9900302.00AY1AZFCA5\r' >&3; IFS= read -r -d $'\r' -t 5 said <&3; echo $said"
    said = lab.exec("staff-1", ["bash", "-c", f"exec 3<>/dev/tcp/{address}/{consortium.SIP_PORT}; {status}"]).stdout
    assert said.startswith("98YYYYYN")


def test_what_answers_beyond_the_router_does_so_after_its_namespace_was_lost(other: Lab) -> None:
    other.up(["public-1"])
    network.delete(other.places.consortium)
    other.up(["public-1"])
    other.exec("public-1", ["bash", "-c", f"exec 3<>/dev/tcp/{consortium.LIBRARY_SYSTEM}/80"])


def test_kernel_settings_of_the_host_are_read_only_inside(lab: Lab) -> None:
    mounts = lab.exec("public-1", ["cat", "/proc/mounts"]).stdout.splitlines()
    options = {
        line.split()[1]: line.split()[3].split(",") for line in mounts if line.split()[1].startswith("/proc/sys")
    }
    assert "ro" in options["/proc/sys"]
    assert "rw" in options["/proc/sys/net"]


def test_instances_share_nothing_but_images(lab: Lab, other: Lab) -> None:
    other.up(["staff-1"])
    lab.exec("staff-1", ["touch", "/srv/ours"])
    assert other.exec("staff-1", ["test", "-e", "/srv/ours"], check=False).returncode == 1
    assert (lab.places.known_hosts.read_text()) != other.places.known_hosts.read_text()
    # same addresses, and yet the machines of the other instance are out of reach
    assert other.exec("staff-1", ["ping", "-c1", "-W1", "public-1"], check=False).returncode != 0
    other.destroy()
    assert lab.is_running("staff-1")


def test_two_commands_at_once_do_not_get_in_each_others_way(other: Lab) -> None:
    commands = [lab_command(OTHER, "up", "staff-1") for _ in range(2)]
    for command in commands:
        output, _ = command.communicate(timeout=120)
        assert command.returncode == 0, output
    assert len(processes.find(other.places.label("staff-1")).supervisors) == 1


@pytest.mark.parametrize("at", ["making the machine", "booting"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_an_up_that_is_cut_short_is_made_good_by_the_next(other: Lab, at: str, how: signal.Signals) -> None:
    command = lab_command(OTHER, "up", "staff-1")
    read_until(command, at)
    command.send_signal(how)
    command.communicate(timeout=60)
    assert command.returncode != 0
    other.up(["staff-1"])
    assert ssh(other, "staff-1", "hostname") == "staff-1"


def test_a_machine_cut_off_while_it_starts_leaves_no_process(other: Lab) -> None:
    other.up(["staff-1"])
    runner = MachineRunner(other.places, recipe.load().machine("staff-1"))
    for patience in (0, 0, 0, 0.02, 0.05, 0.1, 0.2, 0.4):
        runner.start()
        time.sleep(patience)
        runner.cut_off()
        assert processes.find(runner.label).all == (), f"cut off after {patience} s"
        time.sleep(0.1)
        assert processes.find(runner.label).all == (), f"a moment after it was cut off after {patience} s"


def test_a_killed_build_leaves_nothing_half(lab: Lab) -> None:
    program = (
        "import dataclasses as d, sys; from rich.console import Console;"
        "from readingroom.lab import images, progress, recipe;"
        "image = d.replace(recipe.load().images['bookworm'], digest='interrupted');"
        "images.ensure([image], progress.reporter(Console(file=sys.stdout)))"
    )
    command = subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE, text=True)
    read_until(command, "unpacking")
    command.kill()
    command.communicate()
    eventually(lambda: not _running("bookworm-interrupted"))
    images.prune([image.path for image in recipe.load().images.values()], idle=1e9)
    log = recipe.load().images["bookworm"].path.with_name("bookworm-interrupted.log")
    assert list(log.parent.glob("*interrupted*")) == [log]
    log.unlink()


def test_destroy_leaves_nothing_on_the_host(other: Lab) -> None:
    other.up(["public-1"])
    ssh(other, "public-1", "true")
    label = other.places.label("public-1")
    other.destroy()
    assert processes.find(label).all == ()
    assert not _running(f"readingroom-lab/{OTHER}/")
    assert not equipment.running(other.places)
    assert OTHER not in Path("/proc/mounts").read_text()
    assert not list(Path("/run/netns").glob(f"rr.{OTHER}*"))
    assert not list(Path("/sys/fs/cgroup").glob(f"**/readingroom-lab/rr.{OTHER}.*"))
    assert not list(Path("/run/systemd/nspawn").glob(f"**/*{OTHER}*"))
    assert not other.places.run.exists()
    assert not other.places.state.exists()


def test_an_unknown_machine_is_answered_with_those_there_are(lab: Lab) -> None:
    with pytest.raises(LabError, match="public-1, staff-1"):
        lab.up(["copier-1"])


def _running(word: str) -> list[int]:
    """Processes with `word` on their command line, other than this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(int(entry.name))
    return found
