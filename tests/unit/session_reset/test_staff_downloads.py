"""What lies untouched in download folders goes; what is new, opened lately or elsewhere stays."""

from __future__ import annotations

import os
from pathlib import Path

from staff_downloads import downloads, old_files

NOW, DAY = 2_000_000_000, 86_400


def made(path: Path, changed: int, opened: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (NOW - (changed if opened is None else opened) * DAY, NOW - changed * DAY))
    return path


def test_only_what_was_neither_changed_nor_opened_is_old(tmp_path: Path) -> None:
    old = made(tmp_path / "old.pdf", 40)
    made(tmp_path / "new.pdf", 1)
    made(tmp_path / "changed long ago, opened yesterday.pdf", 40, 1)
    assert old_files(tmp_path, NOW - 30 * DAY) == [old]


def test_old_folders_go_after_what_is_in_them_and_links_are_not_followed(tmp_path: Path) -> None:
    inner = made(tmp_path / "scans" / "page.pdf", 40)
    outside = made(tmp_path.parent / "elsewhere" / "letter.odt", 40)
    link = tmp_path / "link"
    link.symlink_to(outside.parent)
    os.utime(link, (NOW - 40 * DAY, NOW - 40 * DAY), follow_symlinks=False)
    os.utime(inner.parent, (NOW - 40 * DAY, NOW - 40 * DAY))
    assert old_files(tmp_path, NOW - 30 * DAY) == [inner, inner.parent, link]


def test_the_folder_is_known_by_its_own_name_and_by_the_usual_one(tmp_path: Path) -> None:
    assert downloads(tmp_path) == {tmp_path / "Downloads"}
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text(
        'XDG_DESKTOP_DIR="$HOME/x"\nXDG_DOWNLOAD_DIR="$HOME/Descargas"\n'
    )
    assert downloads(tmp_path) == {tmp_path / "Downloads", tmp_path / "Descargas"}


def test_a_home_that_names_itself_as_its_download_folder_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    for said in ('XDG_DOWNLOAD_DIR="$HOME/"\n', 'XDG_DOWNLOAD_DIR="/etc"\n', 'XDG_DOWNLOAD_DIR="$HOME"\n'):
        (tmp_path / ".config" / "user-dirs.dirs").write_text(said)
        assert downloads(tmp_path) == {tmp_path / "Downloads"}
