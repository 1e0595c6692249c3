"""A machine that is given back is as it was, file by file, and works as it did; on both releases, with both engines.

The machines are those of `story`, which were hardened twice: the second run must not have taken our own work for what was
there before.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from readingroom.lab import Lab

from .conftest import Story
from .witness import Snapshot, changed_paths, look

MACHINES = ("public-1", "staff-1")  # Debian 13, Debian 12
pytestmark = [pytest.mark.lab, pytest.mark.parametrize("machine", MACHINES)]

# What may differ on a machine that was given back, and why. Nothing else may.
MAY_DIFFER = {
    r"/var/log/.*": "logs go on, and what was too old is deleted for good",
    r"/var/(lib/(dpkg|apt|ucf)|cache/(apt|debconf|ldconfig|man))/.*": "packages came and went; apt, dpkg and others keep books",
    r"/usr/share/info/dir(\.old)?": "the index of manuals is written anew when a package goes",
    r"/etc/(passwd|shadow|group|gshadow)-": "the copy that usermod and gpasswd make of the file before",
    r"/etc/cups/(printers|classes|subscriptions)\.conf(\.O)?": "CUPS writes times into it; compared line by line below",
    r"/etc/cups/ppd/.*": "CUPS writes a queue's description anew",
    r"/var/(cache|spool)/cups/.*": "CUPS's own cache; print jobs that were deleted are gone for good",
    r"/var/lib/(lastlog/lastlog2|wtmpdb/wtmp)\.db(-journal)?": "records of logins that were deleted are gone for good",
    r"/var/lib/lightdm(-data)?/.*": "the greeter's own cache; it starts when it likes",
    r"/var/lib/(systemd/(timers|random-seed|timesync|deferred-catalog|catalog)|logrotate|plocate|dbus|sudo|private)(/.*)?":
        "timers and daemons note their last run",
    r"/(var/)?tmp/.*": "services make their own folders anew when they restart",
    r"/(home|root)/[^/]*/?\.cache(/.*)?": "a login of the test's own",
    r"/var/lib/lab-printer/.*": "what the lab's printer printed",
}  # fmt: skip


_SERVE_A_PAGE = """
echo 127.0.0.5 page.library.example >> /etc/hosts
mkdir -p /run/page
cat > /run/page/index.html
systemd-run --quiet python3 -m http.server 80 --bind 127.0.0.5 --directory /run/page
until nc -z 127.0.0.5 80; do sleep 0.1; done
"""


def unexpected(before: Snapshot, after: Snapshot) -> dict[str, tuple[str, str]]:
    """The paths that are not as they were and that nothing on the list explains, with how they were and are."""
    changed = [path for path in changed_paths(before, after) if not any(re.fullmatch(one, path) for one in MAY_DIFFER)]
    return {path: (before.state(path), after.state(path)) for path in changed}


def test_hardening_changed_much_that_the_comparison_sees(story: Story, machine: str) -> None:
    assert len(unexpected(story.before[machine], story.after[machine])) > 50


def test_what_is_given_back_is_byte_for_byte_as_it_was(story: Story, machine: str) -> None:
    assert story.undone.machines[machine].status == "ok", story.undone.machines[machine].message
    assert unexpected(story.before[machine], story.given_back[machine]) == {}


def test_undo_says_beforehand_what_it_then_does(story: Story, machine: str) -> None:
    assert story.undo_announced.machines[machine].changes == story.undone.machines[machine].changes
    assert len(story.undone.machines[machine].changes) > 30


def test_a_second_undo_finds_nothing(story: Story, machine: str) -> None:
    assert story.undone_again.machines[machine].message == "Nothing to give back."


def test_packages_units_queues_and_accounts_are_as_they_were(story: Story, machine: str) -> None:
    before, after = story.before[machine], story.given_back[machine]
    assert after.packages == before.packages
    assert _units(after) == _units(before)
    assert after.running == before.running
    assert after.queues == before.queues
    assert after.accounts == before.accounts


def _units(seen: Snapshot) -> dict[str, str]:
    return {
        name: how for name, how in seen.enabled.items() if name.endswith((".service", ".socket", ".timer", ".path"))
    }


def test_the_machine_prints_browses_logs_in_and_logs_as_before(story: Story, lab: Lab, machine: str) -> None:
    made_anew = "no other test may have made the machine anew since it was given back"
    assert look(lab, machine).state("/etc/machine-id") == story.given_back[machine].state("/etc/machine-id"), made_anew
    title = f"way-back-{story.engine}"
    lab.exec(machine, ["runuser", "-u", "ben", "--", "lp", "-d", "frontdesk", "-t", title, "/etc/hostname"])
    wait = f"for i in $(seq 100); do ls /var/lib/lab-printer | grep -q {title} && exit 0; sleep 0.1; done; exit 1"
    lab.exec(machine, ["sh", "-c", wait])
    # the history of jobs is kept again
    lab.exec(machine, ["sh", "-c", "until lpstat -W completed -o | grep -q frontdesk-; do sleep 0.1; done"], timeout=30)
    # a page in clear, which the hardened browser does not open
    lab.exec(machine, ["sh", "-ec", _SERVE_A_PAGE], input=title)
    browser = ["chromium", "--headless", "--disable-gpu", "--dump-dom", "http://page.library.example/"]
    assert title in lab.exec(machine, ["runuser", "-u", "ben", "--", *browser], timeout=60).stdout
    ssh = ["ssh", "-F", str(lab.ssh_config), "-o", "ControlPath=none", "-o", "IdentitiesOnly=yes"]
    desk = [*ssh, "-i", str(lab.key("former-colleague")), f"circdesk@{machine}"]
    sudo = subprocess.run([*desk, "sudo -S id -u"], input="library\n", capture_output=True, text=True, check=True)
    assert sudo.stdout.strip() == "0", "the shared login administers again"
    root = subprocess.run(
        [*ssh, "-i", str(lab.key("vendor")), f"root@{machine}", "id -u"], capture_output=True, check=True
    )
    assert root.stdout.strip() == b"0"
    lab.exec(machine, ["sh", "-c", f"logger {title}; sleep 1; grep -q {title} /var/log/syslog"])


def test_nothing_of_the_record_is_in_the_journal(story: Story, lab: Lab, machine: str) -> None:
    journal = lab.exec(machine, ["journalctl", "--quiet", "--output=cat"]).stdout
    assert "prior" not in journal
    assert not any("way-back" not in line and "changes.jsonl" in line for line in journal.splitlines())
