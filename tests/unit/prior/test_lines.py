"""Lines of others that a role switched off come back, whatever else became of their file meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from readingroom.apply.prior import kernel, lines, paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="rights are given back by root")
ON = b"auth required pam_unix.so\n-auth optional pam_gnome_keyring.so\n"


def test_lines_come_back_and_what_was_added_since_stays(tmp_path: Path) -> None:
    path = tmp_path / "lightdm"
    path.write_bytes(ON.replace(b"-auth", lines.MARK + b"-auth") + b"# an administrator's own line\n")
    path.chmod(0o640)
    assert lines.marked(f"{tmp_path}/*") == [str(path)]
    assert lines.switch_on(str(path), paths.give_back) is None
    assert path.read_bytes() == ON + b"# an administrator's own line\n"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert lines.marked(f"{tmp_path}/*") == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(lines.MARK + ON)
    (tmp_path / "pam.d").mkdir()
    (tmp_path / "pam.d" / "login").symlink_to("../elsewhere")
    assert lines.marked(f"{tmp_path}/pam.d/*") == []


def test_a_setting_of_the_kernel_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PLACE", tmp_path)
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs" / "suid_dumpable").write_text("2\n")
    before = kernel.look("fs.suid_dumpable")
    (tmp_path / "fs" / "suid_dumpable").write_text("0\n")
    assert kernel.look("fs.suid_dumpable") != before
    assert kernel.give_back("fs.suid_dumpable", before) is None
    assert kernel.look("fs.suid_dumpable") == before


def test_a_setting_that_this_kernel_does_not_have_is_nothing_to_give_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "PLACE", tmp_path)
    assert kernel.look("debug.exception-trace") == {"value": None}
