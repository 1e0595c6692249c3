"""The lab as its users see it: an instance with a name, the machines in it, and what can be done with them.

Must not know about policies, roles or what is done inside the machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import host, images, network, recipe, requirements, ssh
from .consortium import equipment
from .errors import LabError
from .locks import locked
from .machine import MachineRunner
from .places import RUN, STATE, Places
from .processes import enter_command
from .progress import Reporter, reporter
from .recipe import Machine, Recipe

State = Literal["running", "off", "not made"]


@dataclass(frozen=True)
class Status:
    """How one machine stands; `outdated` when the recipe has changed since it was made."""

    machine: Machine
    state: State
    outdated: bool


class Lab:
    """One instance of the lab. Instances share the images and nothing else."""

    def __init__(self, instance: str = "default", report: Reporter | None = None) -> None:
        self.places = Places(instance)
        self.report = report or Reporter()
        self._recipe: Recipe = recipe.load()
        self._stop = threading.Event()

    @classmethod
    def current(cls, report: Reporter | None = None) -> Lab:
        """The instance named by READINGROOM_LAB, or `default`; it tells what it does on the standard error stream."""
        return cls(os.environ.get("READINGROOM_LAB") or "default", report or reporter())

    @staticmethod
    def missing_requirements() -> list[str]:
        """Plain reasons why the lab cannot run on this host; empty when it can."""
        return requirements.missing()

    # What there is

    @property
    def ssh_config(self) -> Path:
        """The ssh_config that leads to every machine of this instance (`ssh -F …`)."""
        return self.places.ssh_config

    @property
    def vantages(self) -> tuple[tuple[str, ...], ...]:
        """What to put before a command to run it elsewhere on this instance's network: first where ssh comes from, then
        as a visitor, whom nobody knows."""
        names = (self.places.switch, self.places.visitor)
        return tuple(("nsenter", f"--net={network.NAMESPACES / name}") for name in names)

    @property
    def machines(self) -> list[Machine]:
        """The machines that have been made."""
        return [machine for machine in self._recipe.machines.values() if self._runner(machine.name).is_made()]

    def key(self, person: str) -> Path:
        """Private key of one of the lab's invented people (operator, vendor, ada, ben, former-colleague)."""
        return self.places.keys / person

    def layers(self, name: str) -> tuple[Path, Path]:
        """The image that a machine stands on, and what it has written since: the two layers of its file system."""
        runner = self._runner(name)
        return runner.image_path, runner.layers / "upper"

    def is_running(self, name: str) -> bool:
        """Does the machine's own PID 1 live?"""
        return self._runner(name).is_running()

    def status(self) -> list[Status]:
        """How every machine of the recipe stands."""
        return [self._status(machine) for machine in self._recipe.machines.values()]

    def _status(self, machine: Machine) -> Status:
        runner = self._runner(machine.name)
        if not runner.is_made():
            return Status(machine, "not made", False)
        outdated = runner.image_path != self._recipe.images[machine.suite].path
        return Status(machine, "running" if runner.is_running() else "off", outdated)

    def _runner(self, name: str) -> MachineRunner:
        return MachineRunner(self.places, self._recipe.machine(name))

    def _runners(self, names: Iterable[str] | None, otherwise: Iterable[str]) -> list[MachineRunner]:
        return [self._runner(name) for name in dict.fromkeys(names or otherwise)]

    # What can be done

    def build(self, again: bool = False) -> None:
        """Build the images that are missing; all of them with `again`."""
        self._require()
        images.ensure(self._recipe.images.values(), self.report, again, _in_use)

    def up(self, names: Sequence[str] | None = None) -> None:
        """Boot these machines (the recipe's usual ones when none is named); running ones are left alone.

        Returns when each answers over ssh. A machine that stands on an outdated image is booted as it is, and said.
        """
        runners = self._runners(names, self._recipe.start)
        self._require()
        suites = {runner.machine.suite for runner in runners if not runner.is_made()}
        images.ensure([self._recipe.images[suite] for suite in sorted(suites)], self.report)
        host.make_room(self.report)
        with self._locked():
            network.ensure_switch(self.places.switch, self.places.visitor, self.places.consortium)
            equipment.ensure(self.places)
            ssh.make_keys(self.places)
            down = [runner for runner in runners if not runner.is_supervised()]
            running = [runner for runner in runners if runner not in down]
            self._each(self._make, [runner for runner in down if not runner.is_made()])
            ssh.write_config(self.places, self.machines)
            try:
                self._each(self._boot, down)
                # an earlier command may have been stopped before these had finished booting
                self._each(lambda runner: runner.wait_until_up(self._stop), running)
            except BaseException:
                for runner in down:
                    runner.cut_off()
                raise
        self._tell_outdated(runners)

    def down(self, names: Sequence[str] | None = None) -> None:
        """Switch these machines off (all when none is named); what they wrote stays."""
        with self._locked():
            self._each(MachineRunner.stop, self._runners(names, (machine.name for machine in self.machines)))
            if not any(self.is_running(machine.name) for machine in self.machines):
                self._unplug_everything()

    def reset(self, name: str) -> None:
        """Throw one machine away and boot it anew from the present image."""
        self._require()
        self._runner(name)
        with self._locked():
            self._runner(name).destroy()
        self.up([name])

    def snapshot(self, name: str) -> None:
        """Keep one machine as it is now, for `restore` until the lab is destroyed; it is switched off and on for it."""
        runner = self._runner(name)
        self.down([name])
        with self._locked():
            runner.snapshot()
        self.up([name])

    def restore(self, name: str) -> None:
        """Boot one machine as it was at its snapshot; raises LabError when it has none."""
        runner = self._runner(name)
        with self._locked():
            runner.restore()
        self.up([name])

    def destroy(self) -> None:
        """Throw the whole instance away; images stay, as long as they are current or some machine needs them."""
        with self._locked():
            self._each(MachineRunner.destroy, self._runners(None, self._recipe.machines))
            self._each(MachineRunner.forget_snapshot, self._runners(None, self._recipe.machines))
            self._unplug_everything()
            for directory in (self.places.run, self.places.state):
                shutil.rmtree(directory, ignore_errors=True)
        self.prune()

    def hard_kill(self, name: str) -> None:
        """Cut the machine's power."""
        with self._locked():
            self._runner(name).cut_off()

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        check: bool = True,
        input: str | bytes | None = None,  # noqa: A002 (as subprocess.run calls it)
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a machine as its root, past ssh; its output comes back as text.

        The command has no more rights than the machine's own PID 1: it cannot set the host's clock, for one.
        Raises LabError when the machine is not running, CalledProcessError when the command fails and `check` is set.
        """
        stdin = input.encode() if isinstance(input, str) else input or b""
        raw = self._runner(name).enter(argv, stdin, timeout)
        out, err = (text.decode(errors="replace") for text in (raw.stdout, raw.stderr))
        if check and raw.returncode != 0:
            raise subprocess.CalledProcessError(raw.returncode, list(argv), out, err)
        return subprocess.CompletedProcess(list(argv), raw.returncode, out, err)

    def enter_command(self, name: str) -> list[str]:
        """What to put before a command to run it in the machine, for callers that keep their own terminal."""
        return enter_command(self._runner(name).leader())

    def _unplug_everything(self) -> None:
        equipment.end(self.places)
        for namespace in (self.places.consortium, self.places.visitor, self.places.switch):
            network.delete(namespace)

    def prune(self) -> list[str]:
        """Remove outdated images that no machine of any instance stands on and nobody asked for lately."""
        used = {image.path for image in self._recipe.images.values()} | set(_in_use())
        # somebody is building: another time will do
        with contextlib.suppress(LabError), locked(RUN / "images.lock", "the lab's images", lambda _: None, patience=0):
            return images.prune(used)
        return []

    # How

    def require_root(self) -> None:
        """Nothing about the lab can even be looked at by anybody else."""
        if os.geteuid() != 0:
            raise LabError("the lab belongs to root", "run the same command with sudo")

    def _require(self) -> None:
        reasons = requirements.missing()
        if reasons:
            raise LabError("the lab cannot run on this machine: " + "; ".join(reasons), "see what is said there")
        for directory in (STATE, RUN):
            # images and machines hold set-uid programs as old as the image: nobody else gets near them
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.places.lock, f"the lab '{self.places.instance}'", self.report.say):
            yield

    def _make(self, runner: MachineRunner) -> None:
        self.report.stage(runner.machine.name, "making the machine", 0.1)
        runner.make(self._recipe.images[runner.machine.suite], list(self._recipe.machines.values()))

    def _boot(self, runner: MachineRunner) -> None:
        self.report.stage(runner.machine.name, "booting", 0.4)
        runner.start()
        runner.wait_until_up(self._stop)
        self.report.stage(runner.machine.name, f"up at {runner.machine.address}", 1.0)

    def _each(self, action: Callable[[MachineRunner], None], runners: list[MachineRunner]) -> None:
        """Do it to all of them side by side; the first failure is raised when all are through."""
        if not runners:
            return
        self._stop.clear()
        with self.report.working(), ThreadPoolExecutor(len(runners)) as pool:
            try:
                for job in [pool.submit(action, runner) for runner in runners]:
                    job.result()
            except KeyboardInterrupt:
                self._stop.set()
                raise

    def _tell_outdated(self, runners: list[MachineRunner]) -> None:
        for runner in runners:
            if self._status(runner.machine).outdated:
                self.report.say(
                    f"{runner.machine.name} stands on an outdated image; "
                    f"for a fresh one: readingroom lab reset {runner.machine.name}"
                )


def _in_use() -> dict[Path, str]:
    """The images that machines of any instance stand on, each with one such machine."""
    found = {}
    for facts in STATE.glob("instances/*/machines/*/machine.json"):
        instance, name = facts.parts[-4], facts.parts[-2]
        with contextlib.suppress(OSError, ValueError):
            found[Path(json.loads(facts.read_text())["image"])] = f"{name} of the lab '{instance}'"
    return found
