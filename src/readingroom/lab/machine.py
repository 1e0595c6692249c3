"""One machine's life: made from an image, started, entered, switched off, cut off, thrown away.

What a machine writes lies in an overlay over its image and stays until the machine is destroyed. Everything else a
running machine needs on the host (mount, namespace, group, processes) is made anew at each start and taken away
after, so a start never depends on how the last one ended. Must not know about images' making or other machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from . import cgroups, network, ssh
from .errors import LabError
from .places import MEMORY, Places
from .recipe import HERE, SEED, Image, Machine

_BOOT_PATIENCE, _STOP_PATIENCE = 90.0, 25.0


class MachineRunner:
    """Handles one machine of one lab instance on this host."""

    def __init__(self, places: Places, machine: Machine) -> None:
        self.places = places
        self.machine = machine
        self.label = places.label(machine.name)
        self.state = places.machine_state(machine.name)
        self.run = places.machine_run(machine.name)
        self.console = self.state / "console.log"
        self._facts = self.state / "machine.json"

    # What is so

    def is_made(self) -> bool:
        """Has the machine been made, to the end? (The facts are written last.)"""
        return self._facts.exists()

    @property
    def image_path(self) -> Path:
        """The image this machine stands on."""
        return Path(json.loads(self._facts.read_text())["image"])

    @property
    def layers(self) -> Path:
        """Where the machine's own writes lie."""
        return Path(json.loads(self._facts.read_text())["layers"])

    def supervisor(self) -> int | None:
        """Process id of the machine's supervisor, when it lives."""
        return _living(self.run / "supervisor.pid", "supervisor.py")

    def leader(self) -> int | None:
        """Process id, on the host, of the machine's own PID 1, when it lives."""
        nspawn = _living(self.run / "nspawn.pid", "systemd-nspawn")
        if nspawn is None:
            return None
        for child in _children(nspawn):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("NSpid:") and line.split()[2:] == ["1"] and not _is_zombie(child):
                        return child
        return None

    # Making and throwing away

    def make(self, image: Image, hosts: str) -> None:
        """Make the machine from `image`; what an earlier attempt left half done is thrown away first."""
        self.destroy()
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.run.mkdir(parents=True, exist_ok=True)
        layers = self._choose_layers(image)
        ssh.make_key(self.state / "host_key", f"root@{self.machine.name}")
        root = self._mount(image.path, layers)
        try:
            self._personalise(root, hosts)
        finally:
            self._unmount()
        facts = {"image": str(image.path), "layers": str(layers), "made": int(time.time())}
        new = self._facts.with_suffix(".new")
        new.write_text(json.dumps(facts))
        new.rename(self._facts)

    def _choose_layers(self, image: Image) -> Path:
        """On disk, or in memory when the disk's file system cannot carry an overlay."""
        for layers in (self.state / "layers", MEMORY / self.label):
            (layers / "upper").mkdir(parents=True, exist_ok=True)
            (layers / "work").mkdir(exist_ok=True)
            try:
                self._mount(image.path, layers)
            except LabError as problem:
                last = problem
                shutil.rmtree(layers)
                continue
            self._unmount()
            return layers
        raise last

    def _personalise(self, root: Path, hosts: str) -> None:
        subprocess.run(
            ["chroot", str(root), "/bin/bash", "-s", self.machine.machine_class],
            input=(SEED / "machine").read_text(),
            text=True,
            check=True,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        (root / "etc/hostname").write_text(f"{self.machine.name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{hosts}")
        (root / "etc/machine-id").write_text(f"{uuid4().hex}\n")
        for suffix, mode in (("", 0o600), (".pub", 0o644)):
            target = root / f"etc/ssh/ssh_host_ed25519_key{suffix}"
            shutil.copyfile(self.state / f"host_key{suffix}", target)
            target.chmod(mode)
        accounts = dict(_accounts(root / "etc/passwd"))
        for account in ssh.AUTHORIZED:
            uid, gid, home = accounts[account]
            directory = root / home.lstrip("/") / ".ssh"
            directory.mkdir(mode=0o700, exist_ok=True)
            keys = directory / "authorized_keys"
            keys.write_text(ssh.authorized_keys(self.places, account))
            keys.chmod(0o600)
            for path in (directory, keys):
                os.chown(path, uid, gid)

    def destroy(self) -> None:
        """Cut the machine off, if it runs, and remove all there is of it."""
        self.cut_off()
        layers = [self.state / "layers", MEMORY / self.label]
        for directory in (*layers, self.state):
            if directory.exists():
                shutil.rmtree(directory)
        with contextlib.suppress(OSError):
            MEMORY.rmdir()

    # Starting and stopping

    def start(self) -> None:
        """Start the machine and return at once; `wait_until_up` waits."""
        self.clean_up()
        self.run.mkdir(parents=True, exist_ok=True)
        if not self.image_path.is_dir():
            raise LabError(
                f"the image {self.machine.name} stands on is gone",
                f"make the machine anew: readingroom lab reset {self.machine.name}",
            )
        root = self._mount(self.image_path, self.layers)
        network.plug(self.places.switch, self.label, self.machine)
        command = [sys.executable, "-I", str(HERE / "supervisor.py"), str(self.run / "nspawn.pid")]
        if cgroups.systemd_owns_groups():
            command = [*cgroups.scope_command(self.label), *command]
        else:
            for join in cgroups.create(self.label):
                command += ["--join", str(join)]
        with self.console.open("wb") as console:
            process = subprocess.Popen(
                [*command, "--", *self._nspawn(root)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                # `network` makes net.* settings the machine's own; `yes` would hand it the host's kernel.* as well
                env={"PATH": os.environ.get("PATH", ""), "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
            )
        (self.run / "supervisor.pid").write_text(str(process.pid))

    def _nspawn(self, root: Path) -> list[str]:
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={self.label}"]
        command += [f"--hostname={self.machine.name}", f"--network-namespace-path=/run/netns/{self.label}"]
        command += ["--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+3", "--console=read-only"]
        command += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        command += ["--capability=CAP_NET_ADMIN,CAP_NET_RAW"]
        if Path("/dev/net/tun").exists():
            command.append("--bind=/dev/net/tun")
        return command

    def wait_until_up(self) -> None:
        """Return when sshd answers over the network and the machine has finished booting."""
        deadline = time.monotonic() + _BOOT_PATIENCE
        while time.monotonic() < deadline:
            if self.supervisor() is None:
                raise self._did_not_boot("ended while it was starting")
            if self._sshd_answers() and self._boot_is_over(deadline - time.monotonic()):
                return
            time.sleep(0.1)
        raise self._did_not_boot(f"did not come up within {_BOOT_PATIENCE:.0f} seconds")

    def _sshd_answers(self) -> bool:
        enter = ["nsenter", f"--net=/run/netns/{self.places.switch}"]
        probe = ["timeout", "2", "bash", "-c", f"read -r x </dev/tcp/{self.machine.address}/22 && echo $x"]
        run = subprocess.run([*enter, *probe], capture_output=True, check=False)
        return run.stdout.startswith(b"SSH-")

    def _boot_is_over(self, patience: float) -> bool:
        """Waits inside the machine; `degraded` is fine: some units can not work without a kernel of their own."""
        try:
            run = self.enter(["systemctl", "is-system-running", "--wait"], timeout=max(patience, 1))
        except (LabError, subprocess.TimeoutExpired):
            return False
        return run.stdout.strip() in (b"running", b"degraded")

    def _did_not_boot(self, how: str) -> LabError:
        lines = self.console.read_text(errors="replace").splitlines() if self.console.exists() else []
        return LabError(
            f"{self.machine.name} {how}",
            f"try again, or make it anew: readingroom lab reset {self.machine.name}; its whole console is {self.console}",
            "\n".join(lines[-12:]),
        )

    def stop(self) -> None:
        """Switch the machine off in order; cut it off when it does not go within its time."""
        supervisor = self.supervisor()
        if supervisor is not None:
            _signal(supervisor, signal.SIGTERM)
            _wait_gone(supervisor, _STOP_PATIENCE)
        self.cut_off()

    def cut_off(self) -> None:
        """End the machine as a power cut does."""
        supervisor, leader = self.supervisor(), self.leader()
        nspawn = _living(self.run / "nspawn.pid", "systemd-nspawn")
        # the supervisor first, so that it starts nothing again; its nspawn is told to end by the kernel then
        for pid in (supervisor, leader, nspawn):
            if pid is not None:
                _signal(pid, signal.SIGKILL)
        for pid in (supervisor, leader, nspawn):
            if pid is not None:
                _wait_gone(pid, 10)
        self.clean_up()

    def clean_up(self) -> None:
        """Take away what a machine that does not run any more left on the host."""
        ssh.end_connections(self.places, self.machine)
        network.unplug(self.places.switch, self.label, self.machine)
        self._unmount()
        cgroups.remove(self.label)
        shutil.rmtree(Path("/run/systemd/nspawn/propagate") / self.label, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)

    # Inside

    def enter(
        self, argv: Sequence[str], stdin: bytes | None = None, timeout: float | None = None, capture: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the machine as its root, past ssh, with no more rights than the machine's PID 1 has."""
        leader = self.leader()
        if leader is None:
            raise LabError(
                f"{self.machine.name} is not running", f"start it: readingroom lab up {self.machine.name}"
            )
        output = subprocess.PIPE if capture else None
        return subprocess.run(
            [*enter_command(leader), *argv],
            input=stdin,
            stdout=output,
            stderr=output,
            check=False,
            timeout=timeout,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LANG": "C.UTF-8",
                "TERM": os.environ.get("TERM", "dumb"),
            },
        )

    # Mounts

    def _mount(self, lower: Path, layers: Path) -> Path:
        root = self.run / "root"
        root.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={lower},upperdir={layers / 'upper'},workdir={layers / 'work'}"
        run = subprocess.run(
            ["mount", "-t", "overlay", self.label, "-o", options, str(root)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise LabError(
                f"the file system of {self.machine.name} could not be mounted",
                "this host must allow overlay mounts (kernel module overlay)",
                run.stderr.strip(),
            )
        return root

    def _unmount(self) -> None:
        root = self.run / "root"
        while os.path.ismount(root):
            if subprocess.run(["umount", str(root)], capture_output=True, check=False).returncode != 0:
                subprocess.run(["umount", "--lazy", str(root)], capture_output=True, check=True)


def enter_command(leader: int) -> list[str]:
    """What to put before a command so that it runs inside, with its rights cut down first.

    nsenter alone would keep all rights of the host's root: setting the clock "inside" would set the host's.
    """
    bounding = 0
    for line in Path(f"/proc/{leader}/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line.split()[1], 16)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    kept = ",".join(["-all", *(f"+cap_{number}" for number in range(last + 1) if bounding >> number & 1)])
    cut = ["setpriv", "--bounding-set", kept, "--inh-caps", "-all"]
    return [*cut, "nsenter", "--target", str(leader), "--all", "--"]


def _accounts(passwd: Path) -> list[tuple[str, tuple[int, int, str]]]:
    rows = [line.split(":") for line in passwd.read_text().splitlines()]
    return [(row[0], (int(row[2]), int(row[3]), row[5])) for row in rows]


def _living(pid_file: Path, program: str) -> int | None:
    """The process a file names, if it lives and is still the program we started (numbers are used again)."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError):
        return None
    return pid if program in command and not _is_zombie(pid) else None


def _is_zombie(pid: int) -> bool:
    """Dead but not yet reaped: some hosts' PID 1 takes seconds over it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_gone(pid: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not _is_zombie(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
