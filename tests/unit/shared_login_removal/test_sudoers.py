"""What is left of sudo's rules when only some logins may administer."""

from __future__ import annotations

import pytest
from logins import sudoers

GROUPS = {
    "%sudo": {"ada", "circdesk"},
    "%desk": {"ben", "circdesk"},
    "ALL": {"root", "ada", "ben", "circdesk", "backup"},
}


def narrow(text: str) -> sudoers.Narrowed:
    """As the role does it on a machine where only ada may administer."""
    return sudoers.narrow(
        text, sudoers.aliases(text), {"ada"}, {"root", "%sudo", "backup"}, lambda name: GROUPS.get(name, {name})
    )


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("ada ALL=(ALL) ALL\n", "ada ALL=(ALL) ALL\n"),
        ("ben ALL=(ALL) NOPASSWD: ALL\n", ""),
        ("ada,ben  ALL=(ALL) ALL\n", "ada ALL=(ALL) ALL\n"),
        ("%sudo ALL=(ALL:ALL) ALL\n", "%sudo ALL=(ALL:ALL) ALL\n"),
        ("%desk ALL=(ALL) ALL\n", ""),
        ("ALL ALL=(root) /usr/bin/vi\n", "ada ALL=(root) /usr/bin/vi\n"),
        ("backup ALL=(root) NOPASSWD: /usr/bin/rsync\n", "backup ALL=(root) NOPASSWD: /usr/bin/rsync\n"),
        ("ben \\\n    ALL = \\\n    (ALL) ALL\n", ""),
        ("+desks ALL=(ALL) ALL\n", ""),
        ('"ben" ALL=(ALL) ALL\n', ""),
        ("ben\tdesk-1=(ALL) ALL : desk-2=(ALL) ALL\n", ""),
        ("#1002 ALL=(ALL) ALL\n", ""),
    ],
)
def test_a_rule_is_left_for_those_who_may(rule: str, left: str) -> None:
    assert narrow(rule).text == left


@pytest.mark.parametrize(
    "line",
    [
        "# ben ALL=(ALL) ALL\n",
        "\n",
        "Defaults:ben !authenticate\n",
        "Defaults\tsecure_path=/usr/bin\n",
        "@includedir /etc/sudoers.d\n",
        "#includedir /etc/sudoers.d\n",
        "Cmnd_Alias SHUTDOWN = /sbin/poweroff\n",
        "User_Alias DESK = ben, circdesk\n",
    ],
)
def test_what_is_no_rule_stays(line: str) -> None:
    assert narrow(line) == sudoers.Narrowed(line, 0)


def test_an_alias_stands_for_its_members() -> None:
    text = "User_Alias DESK = ben, IT\nUser_Alias IT = ada, %desk\nDESK ALL=(ALL) ALL\n"
    assert narrow(text).text.endswith("\nada ALL=(ALL) ALL\n")


def test_an_exception_is_heeded() -> None:
    assert narrow("ALL, !ada ALL=(ALL) ALL\n").text == "ada, !ada ALL=(ALL) ALL\n"


def test_aliases_that_name_each_other_do_not_hang() -> None:
    assert narrow("User_Alias A = B\nUser_Alias B = A\nA ALL=(ALL) ALL\n").rules == 1


def test_a_file_of_comments_says_nothing() -> None:
    assert narrow("# the desk\nben ALL=(ALL) ALL\n").says_nothing
    assert not narrow("Defaults lecture=never\nben ALL=(ALL) ALL\n").says_nothing
