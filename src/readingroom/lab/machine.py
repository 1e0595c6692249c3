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
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from . import cgroups, network, processes, ssh
from .asfound import personalise
from .errors import LabError
from .places import MEMORY, Places
from .recipe import HERE, Image, Machine

_BOOT_PATIENCE, _STOP_PATIENCE = 180.0, 25.0


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
        self._started: subprocess.Popen[bytes] | None = None

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

    def is_running(self) -> bool:
        """Does the machine's own PID 1 live?"""
        return processes.find(self.label).leader is not None

    def is_supervised(self) -> bool:
        """Is the machine switched on? (While it reboots itself it does not run, but its supervisor does.)"""
        if self._started is not None:
            return self._started.poll() is None
        return bool(processes.find(self.label).supervisors)

    def leader(self) -> int:
        """Process id, on the host, of the machine's own PID 1; an error when it does not run."""
        leader = processes.find(self.label).leader
        if leader is None:
            name = self.machine.name
            raise LabError(f"{name} is not running", f"start it: readingroom lab up {name}")
        return leader

    # Making and throwing away

    def make(self, image: Image, neighbours: list[Machine]) -> None:
        """Make the machine from `image`; what an earlier attempt left half done is thrown away first."""
        self.destroy()
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        layers = self._choose_layers(image)
        ssh.make_key(self.state / "host_key", f"root@{self.machine.name}")
        root = self._mount(image.path, layers)
        try:
            personalise(root, self.machine, self.places, neighbours)
        finally:
            self._unmount()
        facts = {"image": str(image.path), "layers": str(layers), "made": int(time.time())}
        new = self._facts.with_suffix(".new")
        new.write_text(json.dumps(facts))
        new.rename(self._facts)

    def _choose_layers(self, image: Image) -> Path:
        """On disk, or in memory when the disk's file system cannot carry an overlay."""
        on_disk, in_memory = self.state / "layers", MEMORY / self.label
        for layers in (on_disk, in_memory):
            for part in ("upper", "work"):
                (layers / part).mkdir(parents=True)
            # the upper directory's mode is that of the machine's /, whatever this process's umask
            (layers / "upper").chmod(0o755)
            try:
                self._mount(image.path, layers)
            except LabError:
                shutil.rmtree(layers)
                if layers is in_memory:
                    raise
                continue
            self._unmount()
            return layers
        raise AssertionError("the last place either works or raises")

    def destroy(self) -> None:
        """Cut the machine off, if it runs, and remove all there is of it."""
        self.cut_off()
        layers = [self.state / "layers", MEMORY / self.label]
        for directory in (*layers, self.state):
            if directory.exists():
                shutil.rmtree(directory)
        with contextlib.suppress(OSError):
            MEMORY.rmdir()

    def snapshot(self) -> None:
        """Keep all there is of the machine, in the place of what was kept before; it must be off."""
        self.forget_snapshot()
        for directory, kept in self._snapshots.items():
            if directory.exists():
                _copy(directory, kept)

    def restore(self) -> None:
        """Cut the machine off, if it runs, and have all there is of it as it was at its snapshot."""
        if not self._snapshots[self.state].exists():
            raise LabError(f"{self.machine.name} has no snapshot", "take one first")
        self.destroy()
        for directory, kept in self._snapshots.items():
            if kept.exists():
                _copy(kept, directory)

    def forget_snapshot(self) -> None:
        """Remove what was kept."""
        for kept in self._snapshots.values():
            shutil.rmtree(kept, ignore_errors=True)

    @property
    def _snapshots(self) -> dict[Path, Path]:
        """Where what is of a machine is kept, beside itself."""
        return {place: place.with_name(f"{place.name}.snapshot") for place in (self.state, MEMORY / self.label)}

    # Starting and stopping

    def start(self) -> None:
        """Start the machine and return at once; `wait_until_up` waits.

        The supervisor is kept at hand: for a moment after it was started it cannot be found by its command line.
        """
        self.cut_off()
        self.run.mkdir(parents=True, exist_ok=True)
        if not self.image_path.is_dir():
            raise LabError(
                f"the image {self.machine.name} stands on is gone",
                f"make the machine anew: readingroom lab reset {self.machine.name}",
            )
        root = self._mount(self.image_path, self.layers)
        network.plug(self.places.switch, self.label, self.machine)
        command = [sys.executable, "-I", str(HERE / "supervisor.py")]
        if cgroups.systemd_owns_groups():
            command = [*cgroups.scope_command(self.label), *command]
        else:
            for join in cgroups.create(self.label):
                command += ["--join", str(join)]
        with self.console.open("wb") as console:
            self._started = subprocess.Popen(
                [*command, "--", *self._nspawn(root)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                # `network` makes net.* settings the machine's own; `yes` would hand it the host's kernel.* as well
                env={"PATH": os.environ.get("PATH", ""), "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
            )

    def _nspawn(self, root: Path) -> list[str]:
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={self.label}"]
        command += [f"--hostname={self.machine.name}", f"--network-namespace-path=/run/netns/{self.label}"]
        command += ["--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+3", "--console=read-only"]
        command += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        command += ["--capability=CAP_NET_ADMIN,CAP_NET_RAW"]
        # what asks for a password keeps it out of swap, as any machine lets everybody do within a limit
        command += ["--system-call-filter=@memlock"]
        if Path("/dev/net/tun").exists():
            command.append("--bind=/dev/net/tun")
        return command

    def wait_until_up(self, stop: threading.Event) -> None:
        """Return when sshd answers over the network and the machine has finished booting, or `stop` is set."""
        deadline = time.monotonic() + _BOOT_PATIENCE
        while time.monotonic() < deadline and not stop.is_set():
            if not self.is_supervised():
                raise self._did_not_boot("ended while it was starting")
            if self._sshd_answers() and self._boot_is_over():
                return
            stop.wait(0.1)
        if stop.is_set():
            raise LabError(f"starting {self.machine.name} was stopped", "run the same command again")
        raise self._did_not_boot(f"did not come up within {_BOOT_PATIENCE:.0f} seconds")

    def _sshd_answers(self) -> bool:
        enter = ["nsenter", f"--net=/run/netns/{self.places.switch}"]
        probe = ["timeout", "2", "bash", "-c", f"read -r x </dev/tcp/{self.machine.address}/22 && echo $x"]
        run = subprocess.run([*enter, *probe], capture_output=True, check=False)
        return run.stdout.startswith(b"SSH-")

    def _boot_is_over(self) -> bool:
        """Waits inside the machine; `degraded` is fine: some units can not work without a kernel of their own."""
        try:
            run = self.enter(["systemctl", "is-system-running", "--wait"], timeout=2)
        except (LabError, subprocess.TimeoutExpired):
            return False
        return run.stdout.strip() in (b"running", b"degraded")

    def _did_not_boot(self, how: str) -> LabError:
        lines = self.console.read_text(errors="replace").splitlines() if self.console.exists() else []
        mend = f"try again, or make it anew: readingroom lab reset {self.machine.name}"
        if any("inotify" in line and "Too many open files" in line for line in lines):
            mend = (
                "this host watches too many files at once: switch off machines you do not need (readingroom lab down), "
                "or raise its limit: sysctl fs.inotify.max_user_instances=1024"
            )
        return LabError(
            f"{self.machine.name} {how}", f"{mend}; its whole console is in {self.console}", "\n".join(lines[-12:])
        )

    def stop(self) -> None:
        """Switch the machine off in order; cut it off when it does not go within its time."""
        for pid in processes.find(self.label).supervisors:
            processes.send(pid, signal.SIGTERM)
            processes.wait_gone(pid, _STOP_PATIENCE)
        self.cut_off()

    def cut_off(self) -> None:
        """End the machine as a power cut does, however little of it has started."""
        if self._started is not None:
            self._started.kill()
            self._started.wait()
            self._started = None
        for _ in range(3):  # what was just being started may show itself only now
            running = processes.find(self.label).all
            for pid in running:
                processes.send(pid, signal.SIGKILL)
            for pid in running:
                processes.wait_gone(pid, 10)
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
        self, argv: Sequence[str], stdin: bytes = b"", timeout: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the machine as its root, past ssh, with no more rights than the machine's PID 1 has."""
        return subprocess.run(
            [*processes.enter_command(self.leader()), *argv],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout,
            env=processes.inside_environment(),
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


def _copy(directory: Path, to: Path) -> None:
    """Copy with owners, links, devices and the overlay's own attributes."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(directory), str(to)], check=True)
