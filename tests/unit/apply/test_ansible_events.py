"""What Ansible's results become: the same acts and subjects as pyinfra's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from readingroom.apply.ansible_callback.readingroom_events import _face


def face(module: str, found: dict, **arguments: object) -> dict[str, str]:
    task = SimpleNamespace(action=f"ansible.builtin.{module}", args=arguments)
    return _face(SimpleNamespace(task=task, result=found))


@pytest.mark.parametrize(
    ("module", "found", "arguments", "expected"),
    [
        ("template", {"dest": "/etc/x"}, {}, ("write", "/etc/x")),
        ("copy", {"_ansible_item_label": "/etc/x"}, {}, ("write", "/etc/x")),
        ("debug", {"msg": "lock it"}, {}, ("step", "")),
        ("file", {"path": "/etc/x.d"}, {"state": "directory"}, ("directory", "/etc/x.d")),
        ("file", {"path": "/etc/x"}, {"state": "absent"}, ("remove", "/etc/x")),
        ("systemd_service", {"name": "cups"}, {"state": "restarted"}, ("restart", "cups.service")),
        ("systemd_service", {"_ansible_item_label": "a.timer"}, {"state": "{{ x }}"}, ("unit", "a.timer")),
        (
            "apt",
            {"stdout": "Inst libc (1 Debian)\nInst sudo [1] (2)\nConf sudo"},
            {"name": ["sudo"]},
            ("install", "libc\nsudo"),
        ),
        ("apt", {}, {"name": "sudo"}, ("install", "sudo")),
        ("command", {"cmd": ["secret"]}, {"argv": ["secret"]}, ("step", "")),
    ],
)
def test_a_result_says_what_it_does_to_what(
    module: str, found: dict, arguments: dict, expected: tuple[str, str]
) -> None:
    assert tuple(face(module, found, **arguments).values()) == expected
