"""Whom a network names, and who of them may be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import sign_in


def test_those_who_configure_the_network_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hook, manager, networkd = tmp_path / "hook", tmp_path / "manager", tmp_path / "networkd"
    hook.write_text("nameserver 192.0.2.53\nnameserver 192.0.2.1\n")
    manager.write_text("# NetworkManager\nsearch library.example\nnameserver 2001:db8::53\nnameserver 192.0.2.1\n")
    networkd.write_text("# This is private data.\nOPER_STATE=routable\nDNS=192.0.2.1 2001:db8::54\n")
    monkeypatch.setattr(sign_in, "OFFERED", (hook, manager, networkd, tmp_path / "absent"))
    assert sign_in.offered() == ["192.0.2.53", "192.0.2.1", "2001:db8::53", "2001:db8::54"]


@pytest.mark.parametrize("word", ["127.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "::", "library.example", ""])
def test_what_is_no_other_machine_is_left_out(word: str) -> None:
    assert sign_in.addresses([word]) == []
