"""`make bench`: how long things take here, written to docs/benchmarks.md. Numbers from one run; nothing asserts on them."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import idle_browsers
import session_costs
import yaml

from readingroom import apply, controls, policy, toolkit, verify
from readingroom.compile import compile_site, compiled
from readingroom.fleet import Machine, Site
from readingroom.lab import Lab

ROOT = toolkit.root()
MEMBERS = 1000
LAB_MACHINES = {"public-1": "public", "staff-1": "staff", "public-2": "public", "staff-2": "staff"}


def main() -> None:
    """Run every benchmark that this computer can, and write the page."""
    parts = [_head(), _compile()]
    missing = Lab.missing_requirements()
    parts.append(f"Machines were not measured: {'; '.join(missing)}.\n" if missing else _machines())
    page = ROOT / "docs" / "benchmarks.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


def _head() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return (
        "# Benchmarks\n\n"
        f"Written by `make bench` on {date.today()}: {os.cpu_count()} cores, {memory:.0f} GiB, {release}, "
        f"Python {platform.python_version()}. The machine is shared and noisy: trust the ratios, not the seconds.\n"
    )


def _compile() -> str:
    catalogue = controls.load(ROOT)
    machines = {"catalogue-1": "public", "catalogue-2": "public", "desk-1": "staff"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "policies" / "examples" / "valley-consortium.yml", folder)
        text = (ROOT / "policies" / "examples" / "elm-street.yml").read_text()
        members = [folder / f"member-{number}.yml" for number in range(MEMBERS)]
        for number, path in enumerate(members):
            path.write_text(text.replace("Elm Street", f"Member {number}"))
        shared = [folder / "valley-consortium.yml", ROOT / "policies" / "baselines" / "small-library.yml"]

        def bare(loader: type) -> Callable[[], None]:
            def parse() -> None:
                for path in members:
                    for file in (path, *shared):
                        yaml.load(file.read_text(), Loader=loader)  # noqa: S506 (both are safe loaders)

            return parse

        def checked() -> None:
            for path in members:
                policy.load(path, catalogue, root=ROOT, machines=machines)

        def whole() -> None:
            for path in members:
                compiled("member", policy.load(path, catalogue, root=ROOT, machines=machines), catalogue)

        rows = [
            ("bare parse, PyYAML's own loader", _seconds(bare(yaml.SafeLoader))),
            ("bare parse, libyaml's loader", _seconds(bare(yaml.CSafeLoader))),
            ("read, check and merge", _seconds(checked)),
            ("read, check, merge and compile", _seconds(whole)),
        ]
    base = rows[0][1]
    table = "\n".join(f"| {what} | {took:.2f} | {took / base:.2f} |" for what, took in rows)
    return (
        f"## Policies\n\n{MEMBERS:,} members of a consortium; each reads its own file, the consortium's baseline and a preset, "
        "and compiles three machines. The bare parse reads the same three files for each.\n\n"
        f"| | seconds | against the first |\n| --- | ---: | ---: |\n{table}\n"
    )


def _machines() -> str:
    os.environ["READINGROOM_LAB"] = "bench"
    lab = Lab.current()
    rows: list[tuple[str, ...]] = []
    try:
        for count in (1, 2, 4):
            names = list(LAB_MACHINES)[:count]
            for engine in ("ansible", "pyinfra"):
                lab.destroy()
                lab.up(names)
                rows.append(_round(_site(lab, names), engine, count))
        lab.destroy()
        lab.up(["public-1"])
        one = _site(lab, ["public-1"])
        sections = [session_costs.page(one), idle_browsers.page(one)]
    finally:
        lab.destroy()
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return (
        "## Machines\n\nAll roles on lab machines as found, in seconds for all machines together: the first run, a second run "
        "that changes nothing, and a verification of every promise.\n\n"
        f"| machines | engine | first | second | verify |\n| ---: | --- | ---: | ---: | ---: |\n{table}\n\n"
        + "\n".join(sections)
    )


def _round(site: Site, engine: apply.Engine, count: int) -> tuple[str, ...]:
    def run() -> None:
        result = apply.harden(site, engine=engine, roles=None, machines=None, check=False, on_event=lambda _: None)
        if not result.ok:
            raise SystemExit(f"{engine} failed: " + "; ".join(one.message for one in result.machines.values()))

    took = [_once(run), _once(run), _once(lambda: verify.run(site))]
    return (str(count), engine, *(f"{seconds:.1f}" for seconds in took))


def _site(lab: Lab, names: list[str]) -> Site:
    """The lab's policy for some of its machines, with an inventory of its own."""
    catalogue = controls.load(ROOT)
    build = ROOT / "build" / "bench"
    inventory = build / "hosts.yml"
    classes = {name: LAB_MACHINES[name] for name in names}
    groups = {kind: {"hosts": {name: {} for name in names if classes[name] == kind}} for kind in ("public", "staff")}
    build.mkdir(parents=True, exist_ok=True)
    inventory.write_text(yaml.safe_dump({"all": {"children": groups}}))
    merged = policy.load(ROOT / "policies" / "lab.yml", catalogue, root=ROOT, machines=classes)
    compile_site("bench", merged, catalogue, build)
    machines = tuple(Machine(name, holder.machine_class, holder.kind, {}) for name, holder in merged.machines.items())
    return Site("bench", ROOT, inventory, build, lab.ssh_config, machines)


def _once(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _seconds(action: Callable[[], object]) -> float:
    return statistics.median(_once(action) for _ in range(3))


if __name__ == "__main__":
    subprocess.run(["sync"], check=False)
    main()
