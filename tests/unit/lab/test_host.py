"""What the lab reads from its host, and asks of it: package sources, control groups, requirements, room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from readingroom.lab import cgroups, host, hostapt, requirements
from readingroom.lab.progress import Reporter

SITE = "http://mirror.example/debian/"
SECURITY = "http://mirror.example/debian-security/"


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        pytest.param(
            [f"{SITE}|bookworm|main|", f"{SITE}|bookworm-updates|main|", f"{SECURITY}|bookworm-security|main|"],
            [
                f"deb {SITE} trixie main contrib",
                f"deb {SITE} trixie-updates main contrib",
                f"deb {SECURITY} trixie-security main contrib",
            ],
            id="all-three-pockets",
        ),
        pytest.param(
            [f"{SITE}|stable|main|/usr/share/keyrings/own.gpg"],
            [f"deb [signed-by=/usr/share/keyrings/own.gpg] {SITE} trixie main contrib"],
            id="by-the-name-stable-and-with-a-key-of-its-own",
        ),
        pytest.param(
            [f"{SITE}|bookworm|main|$(SIGNED_BY)"], [f"deb {SITE} trixie main contrib"], id="an-apt-without-that-word"
        ),
        pytest.param(
            [f"{SITE}|bookworm|main|", f"{SITE}|bookworm|contrib|", f"{SITE}|bookworm-backports|main|"],
            [f"deb {SITE} trixie main contrib"],
            id="only-main-and-no-backports",
        ),
        pytest.param(
            ["https://deb.vendor.example/node|nodistro|main|", "https://apt.vendor.example/x|bookworm|main|"],
            [],
            id="other-peoples-packages-are-no-mirror",
        ),
        pytest.param([f"{SECURITY}|bookworm-security|main|"], [], id="security-alone-is-no-system"),
        pytest.param([f"{SITE}|jammy|main|"], [], id="another-distribution"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_the_images_sources_follow_the_hosts(targets: list[str], expected: list[str]) -> None:
    assert hostapt.sources_for("trixie", "bookworm", targets) == expected


def test_proxies_and_clocks_are_taken_over_and_nothing_else() -> None:
    dump = """\
Acquire::http::Proxy "http://proxy.example:3142";
Acquire::https::Verify-Peer "false";
Acquire::Check-Valid-Until "false";
Acquire::Languages:: "none";
Acquire::http "";
APT::Get::Assume-Yes "true";
DPkg::Post-Invoke:: "rm -rf /";
"""
    assert hostapt.fetch_options(dump) == [
        'Acquire::http::Proxy "http://proxy.example:3142"',
        'Acquire::https::Verify-Peer "false"',
        'Acquire::Check-Valid-Until "false"',
    ]


def test_control_group_trees_are_found_on_each_kind_of_host() -> None:
    hybrid = """\
/dev/vda / ext4 rw 0 0
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
    found = cgroups.hierarchies(hybrid)
    assert [tree.path.name for tree in found] == ["cpuset", "systemd", "unified"]
    assert "cpuset" in found[0].controllers
    assert [str(tree.path) for tree in cgroups.hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")] == [
        "/sys/fs/cgroup"
    ]


def test_somebody_without_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert requirements.missing() == [
        "the lab needs root (it mounts file systems and makes network namespaces): use sudo"
    ]


def test_missing_packages_are_named_as_apt_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements.shutil, "which", lambda program: None)
    reasons = requirements.missing()
    assert "apt-get install" in reasons[0]
    assert "mmdebstrap" in reasons[0]
    assert "systemd-container" in reasons[0]


def test_every_program_looked_for_comes_from_a_listed_package() -> None:
    assert set(requirements._PROGRAMS) | {"debian-archive-keyring"} == set(requirements.host_packages())


@pytest.mark.parametrize(("before", "after"), [(128, host.WATCHERS_WANTED), (4096, 4096)])
def test_room_for_watchers_is_made_and_never_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: int, after: int
) -> None:
    monkeypatch.setattr(host, "WATCHERS", tmp_path / "max_user_instances")
    host.WATCHERS.write_text(f"{before}\n")
    host.make_room(Reporter())
    assert int(host.WATCHERS.read_text()) == after
