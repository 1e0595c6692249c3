"""Files, folders and links come back as they were, and nothing that lives beside them goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from readingroom.apply.prior import paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="rights are given back by root")


@pytest.fixture
def kept() -> dict[str, bytes]:
    return {}


def _keep(kept: dict[str, bytes]) -> Callable[[bytes], str]:
    def keep(content: bytes) -> str:
        kept[paths.digest(content)] = content
        return paths.digest(content)

    return keep


def _file(path: Path) -> None:
    path.write_bytes(b"as it was\x00\xff")
    path.chmod(0o640)
    os.chown(path, 0, 7)
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))


MADE: dict[str, Callable[[Path], object]] = {
    "a file": _file,
    "an empty file": lambda path: path.touch(),
    "a link": lambda path: path.symlink_to("somewhere/else"),
    "a folder": lambda path: path.mkdir(0o2750),
    "nothing": lambda path: None,
}
SPOILT: dict[str, Callable[[Path], object]] = {
    "another content": lambda path: path.write_text("ours"),
    "other rights": lambda path: path.exists() and path.chmod(0o777),
    "a link": lambda path: path.symlink_to("/dev/null"),
    "an empty folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
}


def _clear(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.rmdir()


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("make", MADE)
def test_whatever_stands_there_now_the_former_comes_back(
    tmp_path: Path, kept: dict[str, bytes], make: str, spoil: str
) -> None:
    path = tmp_path / "thing"
    MADE[make](path)
    before = paths.look(str(path), _keep(kept))
    if spoil != "other rights":
        _clear(path)
    SPOILT[spoil](path)
    if make in ("a file", "an empty file", "a link") and spoil == "an empty folder":
        assert "stays" in (paths.give_back(str(path), before, kept.__getitem__) or "")
        return
    assert paths.give_back(str(path), before, kept.__getitem__) is None
    assert paths.look(str(path), _keep(kept)) == before
    assert paths.same(str(path), before)
    assert sorted(entry.name for entry in tmp_path.iterdir()) in ([], ["thing"]), "something was left beside it"


def test_extended_attributes_come_back(tmp_path: Path, kept: dict[str, bytes]) -> None:
    path = tmp_path / "thing"
    _file(path)
    os.setxattr(path, "user.origin", b"library")
    before = paths.look(str(path), _keep(kept))
    os.setxattr(path, "user.ours", b"x")
    os.removexattr(path, "user.origin")
    assert not paths.same(str(path), before)
    paths.give_back(str(path), before, kept.__getitem__)
    assert os.listxattr(path) == ["user.origin"]


def test_a_folder_that_somebody_uses_by_now_stays(tmp_path: Path, kept: dict[str, bytes]) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "by-somebody").touch()
    said = paths.give_back(str(tmp_path / "made"), paths.ABSENT, kept.__getitem__)
    assert "something else lies in it" in (said or "")
    assert (tmp_path / "made" / "by-somebody").exists()


def test_a_folder_that_was_removed_whole_comes_back_with_all_that_was_in_it(
    tmp_path: Path, kept: dict[str, bytes]
) -> None:
    folder = tmp_path / "old"
    (folder / "deep").mkdir(parents=True)
    _file(folder / "deep" / "file")
    (folder / "link").symlink_to("deep")
    before = paths.look(str(folder), _keep(kept), whole=True)
    (folder / "deep" / "file").unlink()
    (folder / "deep").rmdir()
    (folder / "link").unlink()
    folder.rmdir()
    assert paths.give_back(str(folder), before, kept.__getitem__) is None
    assert paths.same(str(folder), before)


@pytest.mark.parametrize("path", ["/home/ada/.bashrc", "/var/log/wtmp", "/var/spool/cups/d00001-001"])
def test_of_people_s_data_no_content_is_recorded(path: str) -> None:
    assert path.startswith(paths.PRIVATE)


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/etc/readingroom/print-purge.json", True),
        ("/etc/systemd/system/readingroom-log-purge.timer", True),
        ("/etc/systemd/system/acct.service.d/readingroom.conf", True),
        ("/etc/systemd/journald.conf.d/zz-readingroom.conf", True),
        ("/etc/sudoers.d/readingroom", False),
        ("/etc/sudoers.d/00-readingroom.conf", False),
        ("/home/readingroom/.ssh/authorized_keys", False),
        ("/etc/cups/cupsd.conf", False),
    ],
)
def test_only_names_of_our_own_are_taken_for_ours(path: str, ours: bool) -> None:
    assert bool(paths.OURS.fullmatch(path)) is ours
