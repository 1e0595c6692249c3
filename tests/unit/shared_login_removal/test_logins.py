"""The parts of the role's program that only read: hints, keys, sshd's answers, timetables, passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from logins import autologin, hints, keys, passwords, sshd
from logins.machine import Account, Group, Machine, read_accounts
from logins.record import Record
from logins.steps import CameIn, Policy, Situation
from logins.wayin import belongs_to_the_system, refusals

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJRo7D5nZSgHhX1n3d0pFKvQx8J0qgq4v1hP4vC2mQxY"


def account(name: str, uid: int = 1001, login_shell: str = "/bin/bash") -> Account:
    return Account(name, uid, uid, f"/home/{name}", login_shell, "$y$x", "")


def situation(came_in: str = "operator", address: str | None = "192.0.2.1", **more: object) -> Situation:
    answers: dict[str, object] = {
        "action": "locked", "logins": ["circdesk"], "people": [], "administrators": ["ada"], "passwords": "length-12",
        "remote_root": "password", "patron_login": "patron", "patron_remote_login": False,
        "admin_groups": ["sudo"], "generic_names": ["frontdesk"],
    }  # fmt: skip
    accounts = [
        account("root", 0),
        account("cups", 105, login_shell="/usr/sbin/nologin"),
        account("operator"),
        account("circdesk", 1002),
    ]
    machine = Machine({a.name: a for a in accounts}, {"sudo": Group("sudo", 27, ("operator",))}, range(1000, 60001))
    return Situation(Policy.of(answers | more), machine, CameIn(came_in, address))


@pytest.fixture(autouse=True)
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests ask nothing of the machine they run on."""
    monkeypatch.setattr(sshd, "installed", lambda: False)


def test_a_policy_that_locks_nobody_out_is_not_refused() -> None:
    assert refusals(situation()) == []


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"came_in": "circdesk"}, "this run came in with it"),
        ({"administrators": ["circdesk"]}, "also in accounts.administrators"),
        ({"people": [{"login": "circdesk"}]}, "also in accounts.people"),
        ({"logins": ["root"]}, "accounts.remote_root is about root"),
        ({"logins": ["cups"]}, "belongs to the system"),
        ({"people": [{"login": "cups"}]}, "belongs to the system"),
        ({"logins": ["front desk"]}, "cannot be logins"),
        ({"came_in": "patron"}, "the patron account would lose its way in"),
        ({"came_in": "root", "address": None, "administrators": []}, "nobody could come in"),
        ({"came_in": "root", "address": None, "administrators": ["nobody-yet"]}, "has no account here yet"),
    ],
)
def test_what_would_lock_somebody_out_is_refused(more: dict[str, object], about: str) -> None:
    said = "\n".join(str(refusal) for refusal in refusals(situation(**more)))  # type: ignore[arg-type]
    assert about in said
    assert "to mend" in said


def test_what_is_only_reported_is_not_refused() -> None:
    assert refusals(situation(came_in="circdesk", action="reported")) == []


def test_an_old_login_with_a_small_number_is_not_the_systems() -> None:
    assert not belongs_to_the_system(account("desk", 501), situation())
    assert belongs_to_the_system(account("daemon", 1, login_shell="/usr/sbin/nologin"), situation())


@pytest.mark.parametrize(
    ("name", "is_generic"), [("FrontDesk1", True), ("front-desk", True), ("frontdesker", False), ("ann", False)]
)
def test_names_of_places_are_recognised(name: str, is_generic: bool) -> None:
    assert hints.looks_generic(name, ["frontdesk", "circ"]) is is_generic


def test_one_person_at_two_places_is_told_from_one_place_twice() -> None:
    assert hints.sessions("desk 192.0.2.1\ndesk 192.0.2.2\nann 192.0.2.1\nann 192.0.2.1") == {
        "desk": {"192.0.2.1", "192.0.2.2"},
        "ann": {"192.0.2.1"},
    }


def test_a_key_with_options_and_another_comment_is_the_same_key() -> None:
    text = f'from="192.0.2.*",no-pty {KEY} old laptop\n# {KEY} gone\n'
    assert keys.missing(text, [f"{KEY} new laptop"]) == []
    assert keys.missing("", [f"{KEY} new laptop"]) == [f"{KEY} new laptop"]


def test_a_damaged_key_is_no_key() -> None:
    assert keys.blob("ssh-ed25519 AAAA!!! ann") is None
    assert keys.blob("") is None


def test_lists_of_sshd_are_heeded() -> None:
    assert not sshd.admits({"denyusers": ["patron"]}, "patron", set())
    assert not sshd.admits({"denygroups": ["pat*"]}, "patron", {"patrons"})
    assert not sshd.admits({"allowusers": ["ada ben"]}, "patron", set())
    assert sshd.admits({"allowusers": ["ada", "patron@192.0.2.*"]}, "patron", set())
    assert not sshd.admits({"allowusers": ["patron"], "denyusers": ["patron"]}, "patron", set())


def test_key_files_are_told_inside_and_outside_of_the_home() -> None:
    settings = {"authorizedkeysfile": [".ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/keys/%u"]}
    assert sshd.key_files(settings, situation().machine, "circdesk") == [
        ("/home/circdesk", ".ssh/authorized_keys"),
        ("/home/circdesk", ".ssh/authorized_keys2"),
        ("/etc/ssh/keys", "circdesk"),
    ]


def test_another_logins_lines_stay() -> None:
    text = "[Seat:*]\nautologin-user=patron\n#autologin-user=desk\n"
    assert autologin.without_greeter(text, "desk") == text
    assert autologin.without_console("ExecStart=-/sbin/agetty --autologin patron %I", "desk").count("patron") == 1
    assert autologin.without_jobs("@daily deskhand /bin/true\n17 * * * * root desk\n", "desk").count("#") == 0


def test_stricter_rules_of_others_stay() -> None:
    text = "minlen = 20\ndcredit = -1\nminclass = 4\n# minlen = 2\n"
    assert passwords.without_looser_lines(text, 12) == text
    line = "password requisite pam_pwquality.so retry=3 minlen=20\n"
    assert passwords.without_looser_words(line, 12) == line


def test_an_empty_password_counts_as_one_that_opens() -> None:
    assert read_accounts("p:x:1000:1000::/home/p:/bin/sh", "p::1::::::")["p"].has_password
    assert not read_accounts("p:x:1000:1000::/home/p:/bin/sh", "p:!:1::::::")["p"].has_password


def test_a_link_in_a_home_does_not_take_another_file_away(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "authorized_keys").write_text("precious")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".ssh").symlink_to(precious)
    with Record.open(tmp_path / "state" / "logins") as record:
        record.take(str(home), ".ssh/authorized_keys")
    assert (precious / "authorized_keys").read_text() == "precious"
    assert not (home / ".ssh").is_symlink()
    assert (tmp_path / "state" / "logins").stat().st_mode & 0o077 == 0


def test_what_is_taken_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("was here")
    with Record.open(tmp_path / "state" / "logins") as record:
        record.take(str(tmp_path), "file")
        record.take(str(tmp_path), "not/there")
    assert not (tmp_path / "file").exists()
    (kept,) = (tmp_path / "state/logins/kept").iterdir()
    assert kept.read_text() == "was here"
    (line,) = (tmp_path / "state/logins/changes.jsonl").read_text().splitlines()
    assert json.loads(line)["before"]["content"] == kept.name


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    with Record.open(tmp_path / "state" / "logins") as record:
        record.add("joined", login="ada", group="sudo")
        path = record.place / "changes.jsonl"
        path.write_bytes(path.read_bytes() + b'{"act": "left", "log')
        record.add("created", login="ben")
    assert [json.loads(line)["act"] for line in path.read_text().splitlines()] == ["joined", "created"]
