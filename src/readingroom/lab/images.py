"""Builds and keeps the images that lab machines stand on: one read-only directory per Debian release.

An image is built in a place of its own and moved to its name at the end, so whatever has an image's name is whole.
Must not know about machines.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import hostapt
from .errors import LabError
from .locks import locked
from .places import DEBS, IMAGES, RUN, STATE
from .progress import Reporter
from .recipe import HERE, SEED, Image

# While one image is built; both releases side by side need twice that.
NEEDED_BYTES = 3_500_000_000
# How long an image that is outdated here is kept after somebody last asked for it.
IDLE_SECONDS = 7200.0

# What mmdebstrap says when it enters a stage, what we call it, and how much is behind us by then.
_STAGES = (
    ("running apt-get update", "reading package lists", 0.02),
    ("downloading packages with apt", "downloading the base system", 0.08),
    ("extracting archives", "unpacking the base system", 0.2),
    ("installing essential packages", "installing the base system", 0.25),
    ("installing remaining packages", "downloading and installing packages", 0.35),
    ("readingroom: repository", "filling the offline repository", 0.8),
    ("readingroom: seed", "making it a small library's machine", 0.9),
    ("readingroom: finished", "finishing", 0.98),
)


def ensure(
    images: Iterable[Image], report: Reporter, again: bool = False, in_use: Callable[[], dict[Path, str]] = dict
) -> None:
    """Build the images that are missing (all of them with `again`), side by side.

    `in_use` tells which images machines stand on, and which machine: those are never replaced.
    """
    images = list(images)
    for image in images:
        image.touch()
    if not again and all(image.path.is_dir() for image in images):
        return
    with locked(RUN / "images.lock", "the lab's images", report.say):
        wanted = [image for image in images if again or not image.path.is_dir()]
        for image in wanted:
            _refuse_in_use(image, in_use)
        if not wanted:
            return
        _clear_unfinished()
        _check_space(len(wanted))
        names = " and ".join(image.title for image in wanted)
        report.say(f"Building {names} (once; two to four minutes)")
        with report.working(), ThreadPoolExecutor(len(wanted)) as pool:
            stop = _Stop()
            try:
                jobs = [pool.submit(_build, image, report, stop, in_use) for image in wanted]
                for job in jobs:
                    job.result()
            except BaseException:
                stop.now()
                raise


def prune(keep: Iterable[Path], idle: float = IDLE_SECONDS) -> list[str]:
    """Remove the images that are not in `keep` and that nobody asked for lately, and what killed builds left.

    Returns their names. (Another checkout, or a command that began before the recipe changed, may want an image that
    is outdated here: without the delay the two would throw each other's away.)
    """
    kept = {path.name for path in keep}
    _clear_unfinished()
    gone = []
    for log in IMAGES.glob("*.log"):
        name = log.stem
        if name not in kept and time.time() - log.stat().st_mtime > idle:
            _remove(IMAGES / name)
            log.unlink()
            gone.append(name)
    return gone


def _refuse_in_use(image: Image, in_use: Callable[[], dict[Path, str]]) -> None:
    machine = in_use().get(image.path)
    if machine and image.path.is_dir():
        raise LabError(
            f"{machine} stands on the image {image.name}, which would be replaced under it",
            "throw that lab away first: READINGROOM_LAB=… readingroom lab destroy",
        )


class _Stop:
    """Ends every running build when one fails or the person presses Ctrl-C."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self.stopped = False

    def watch(self, process: subprocess.Popen[str]) -> None:
        self._running.append(process)
        if self.stopped:
            self.now()

    def now(self) -> None:
        self.stopped = True
        for process in self._running:
            if process.poll() is None:
                # unshare minds no gentler signal; everything in the build's process namespace goes with it
                process.kill()


def _clear_unfinished() -> None:
    for path in IMAGES.glob(".building-*"):
        _remove(path)


def _remove(path: Path) -> None:
    """Remove an unfinished image; processes of a build that was killed may write in it for a moment yet."""
    for attempt in range(50):
        if not path.exists():
            return
        shutil.rmtree(path, ignore_errors=attempt < 49)
        time.sleep(0.1)


def _check_space(images: int) -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    IMAGES.mkdir(exist_ok=True)
    free = shutil.disk_usage(IMAGES).free
    if free < images * NEEDED_BYTES:
        raise LabError(
            f"{IMAGES} has {free / 1e9:.1f} GB free; building needs {images * NEEDED_BYTES / 1e9:.1f} GB",
            f"make room there, or make {STATE} a link to a larger disk",
        )


def _build(image: Image, report: Reporter, stop: _Stop, in_use: Callable[[], dict[Path, str]]) -> None:
    began = time.monotonic()
    target = IMAGES / f".building-{image.name}"
    log = image.log
    cache = DEBS / image.suite
    for directory in (IMAGES, cache):
        directory.mkdir(parents=True, exist_ok=True)
    sources = hostapt.host_sources(image.suite)
    lines: list[str] = []
    try:
        with log.open("w") as file:
            process = subprocess.Popen(
                _command(image, target, cache, bool(sources)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                preexec_fn=_end_with_parent,
                umask=0o022,
                env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            )
            stop.watch(process)
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n".join(sources) + "\n")
            process.stdin.close()
            for line in process.stdout:
                file.write(line)
                file.flush()
                lines.append(line.rstrip())
                for mark, text, done in _STAGES:
                    if mark in line:
                        report.stage(image.title, text, done)
        if process.wait() != 0:
            raise _failure(image, lines, log, stop.stopped)
        # once more: a machine may have been made meanwhile
        _refuse_in_use(image, in_use)
        if image.path.exists():
            image.path.rename(IMAGES / f".building-old-{image.name}")
        target.rename(image.path)
        report.stage(image.title, f"built in {time.monotonic() - began:.0f} s", 1.0)
    finally:
        for leftover in (target, IMAGES / f".building-old-{image.name}"):
            _remove(leftover)


def _end_with_parent() -> None:
    """Should this process be killed, the build ends with it instead of running on in the dark."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _failure(image: Image, lines: list[str], log: Path, stopped: bool) -> LabError:
    if stopped:
        return LabError(f"building {image.title} was stopped", "run the same command again")
    telling = [line for line in lines if line.startswith(("E:", "W:", "Err:"))] or lines
    return LabError(
        f"building {image.title} failed",
        "see that this machine can install packages (apt-get update), then run the same command again; "
        f"the whole log is {log}",
        "\n".join(telling[-8:]),
    )


def _command(image: Image, target: Path, cache: Path, own_sources: bool) -> list[str]:
    """The build, in process and mount namespaces of its own: however it ends, nothing of it stays behind."""
    hook = shlex.join(
        ["bash", str(HERE / "customize-image"), sys.executable, str(HERE / "repository.py"), str(SEED), str(cache)]
    )
    options = {
        "mode": "root",
        "variant": "apt",
        "format": "directory",
        "include": ",".join(image.packages),
        "setup-hook": f'mkdir -p "$1/var/cache/apt/archives/partial"; '
        f'cp -l {shlex.quote(str(cache))}/*.deb "$1/var/cache/apt/archives/" 2>/dev/null || true',
        "customize-hook": f'{hook} "$1" {shlex.join(image.offline_packages)} -- {shlex.join(image.masked_units)}',
    }
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "mmdebstrap"]
    command += [f"--{name}={value}" for name, value in options.items()]
    # keep the package cache (it becomes the offline repository) and its lists until our own hook has run
    command += [f"--skip={step}" for step in ("download/empty", "essential/unlink", "cleanup/apt")]
    for setting in ('Acquire::Languages "none"', 'APT::Install-Recommends "false"'):
        command.append(f"--aptopt={setting}")
    command += [f"--aptopt={setting}" for setting in hostapt.host_fetch_options()]
    for path in ("man", "locale", "help", "info"):
        command.append(f"--dpkgopt=path-exclude=/usr/share/{path}/*")
    command += ["--dpkgopt=force-unsafe-io", "--components=main,contrib", image.suite, str(target)]
    return [*command, "-"] if own_sources else command
