"""A patron at a real desktop: LightDM and Xfce on a display in memory, real Firefox, real files, a real print job.

Whatever ends the session (a logout, the display manager killed, a full home, a restart in the middle), the next one is
clean. Keys and windows stand for the patron's hands and eyes; what a session left is looked for in the whole machine.
"""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkout import fresh_lab
from readingroom.apply import harden
from readingroom.cli.prepare import prepare
from readingroom.compile import compile_site
from readingroom.fleet import Site
from readingroom.lab import Lab, LabError
from readingroom.verify import probe

pytestmark = pytest.mark.lab
MACHINE = "public-1"
AT_SCREEN = "export DISPLAY=:0 XAUTHORITY=/var/run/lightdm/root/:0\n"
SITE = "http://localhost:8000"


class Screen:
    """The machine's screen, keyboard and mouse."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, script: str, check: bool = True) -> str:
        """Run a script as root, with the display at hand."""
        return self.lab.exec(MACHINE, ["sh", "-c", AT_SCREEN + script], check=check, timeout=60).stdout.strip()

    def true(self, script: str) -> bool:
        """Does a script succeed?"""
        return self.lab.exec(MACHINE, ["sh", "-c", AT_SCREEN + script], check=False, timeout=60).returncode == 0

    def sees(self, window: str, patience: float = 30) -> None:
        """Wait until a window is on the screen; its name or class is a pattern."""
        for_it = f"xdotool search --onlyvisible --name '{window}' || xdotool search --onlyvisible --class '{window}'"
        eventually(lambda: self.true(for_it), f"no window {window} came up", patience)

    def type(self, text: str) -> None:
        """Type text and press Return."""
        self.run(f"xdotool type --delay 15 '{text}'; sleep 0.2; xdotool key Return")

    def log_in(self) -> None:
        """Log in at the greeter as a patron does, until the desktop is there.

        The account has no password, as the lab has it: LightDM cannot take one where memory cannot be locked.
        """
        self.sees("lightdm-gtk-greeter", patience=60)
        known = "grep -c 'User patron authorized' /var/log/lightdm/lightdm.log"
        before = self.run(known, check=False)
        self.type("patron")
        eventually(lambda: self.run(known, check=False) != before, "the patron account is not let in")
        self.run("sleep 0.5; xdotool mousemove 696 422 click 1")  # "Log In"; until the button is drawn, nothing tells
        self.sees("xfdesktop", patience=60)
        eventually(lambda: self.true("pgrep -u patron -x xfce4-panel"), "the panel did not come up")

    def start(self, command: str) -> None:
        """Start a program in the session, through the desktop's own dialog."""
        self.run("xdotool key alt+F2")
        self.sees("Application Finder|xfce4-appfinder")
        self.type(command)

    def has_nobody(self) -> bool:
        """Is the session over, its account's programs included, and the greeter back?"""
        return self.true("! pgrep -u patron >/dev/null && xdotool search --onlyvisible --name lightdm-gtk-greeter")


def eventually(what: Callable[[], bool], otherwise: str, patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with fresh_lab("desktop", [MACHINE]) as lab:
        yield lab


@pytest.fixture(scope="module")
def screen(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """A hardened public machine with a small web site on it."""
    prepared = prepare("lab")
    machines = tuple(one for one in prepared.site.machines if one.name == MACHINE)
    site: Site = dataclasses.replace(
        prepared.site,
        build=tmp_path_factory.mktemp("build"),
        ssh_config=lab.ssh_config,
        machines=machines,
        vantages=lab.vantages,
    )
    compile_site("lab", prepared.policy, prepared.catalogue, site.build)
    result = harden(site, engine="pyinfra", roles=["session_reset"], machines=[MACHINE])
    assert result.ok, [one.message for one in result.machines.values()]
    return Screen(lab)


def serve(screen: Screen, word: str) -> None:
    """Put a page with this word on the machine's web site; the site is there until the machine restarts."""
    screen.run(
        f"mkdir -p /srv/site; echo '<title>{word}</title><p>{word}' >/srv/site/{word}.html\n"
        "systemctl is-active --quiet web || systemd-run --quiet --unit=web python3 -m http.server -d /srv/site -b 127.0.0.1"
    )


def use_the_desktop(screen: Screen) -> str:
    """Visit a page, save it, print it; returns the word that was on it."""
    word = probe.canary()
    serve(screen, word)
    screen.start(f"firefox-esr {SITE}/{word}.html")
    screen.sees(word, patience=60)
    screen.start(f"sh -c 'mkdir -p ~/Documents; echo {word} | tee ~/Documents/{word}.txt | lp -d frontdesk -t {word}'")
    eventually(lambda: screen.true(f"grep -rqs {word} /home/patron"), "the file was not saved")
    assert found(screen, word), "the search finds nothing while the session is open, so it proves nothing"
    return word


def found(screen: Screen, word: str) -> list[str]:
    """Files that hold the word or are named after it, but for the web site, the print service and the logs."""
    places = "/home /tmp /var/tmp /dev/shm /run /var/lib /var/cache /root /media"
    # the printer's own folders are the paper
    known = r"/srv|/var/lib/lab-printer|/tmp/ippeveprinter|/var/spool/cups|/var/cache/cups|/var/log|/run/log"
    return screen.run(
        # what lies on the disk, beneath what is mounted over it; not below a place, or it would be searched whole
        "mount --bind / /mnt\n"
        f"{{ grep -rlaF --devices=skip {word} {places} /mnt/home /mnt/tmp /mnt/var/tmp; "
        f"find {places} /mnt/home -name '*{word}*'; }} 2>/dev/null | grep -vE '{known}' | sort -u; "
        "umount /mnt"
    ).splitlines()


def test_1_the_greeter_names_nobody(screen: Screen, tmp_path: Path) -> None:
    screen.sees("lightdm-gtk-greeter")
    screen.run("scrot -o /root/greeter.png")
    assert screen.run("xdotool search --onlyvisible --name '.+' | wc -l") != "0"
    picture(screen, "greeter", tmp_path)


@pytest.mark.parametrize("end", ["logout", "killed", "full", "restart"])
def test_2_whatever_ends_a_session_the_next_is_clean(screen: Screen, end: str, tmp_path: Path) -> None:
    screen.log_in()
    fresh = screen.run(
        "ls -A /home/patron | grep -v -e '^.X' -e '^.ICE' -e '^.xsession' -e '^.cache' -e '^.config' || true"
    )
    word = use_the_desktop(screen)
    picture(screen, f"desktop-{end}", tmp_path)
    {"logout": log_out, "killed": kill, "full": fill_and_log_out, "restart": restart}[end](screen)
    eventually(screen.has_nobody, "the session did not end, or the greeter did not come back", 60)
    left = found(screen, word)
    assert not left, f"after {end}, something of the session is still there: {', '.join(left)}"
    screen.log_in()
    left = found(screen, word)
    assert not left, f"after {end}, the next session finds something of the one before: {', '.join(left)}"
    again = screen.run(
        "ls -A /home/patron | grep -v -e '^.X' -e '^.ICE' -e '^.xsession' -e '^.cache' -e '^.config' || true"
    )
    assert again == fresh
    log_out(screen)
    eventually(screen.has_nobody, "the session did not end, or the greeter did not come back", 60)
    assert not screen.true("grep -q 'last-user=patron' /var/lib/lightdm/.cache/lightdm-gtk-greeter/state")


def log_out(screen: Screen) -> None:
    screen.start("xfce4-session-logout --logout --fast")


def kill(screen: Screen) -> None:
    screen.run("systemctl kill --kill-whom=main --signal=KILL lightdm.service")


def fill_and_log_out(screen: Screen) -> None:
    # a whole default share of the memory would be much on a shared computer
    screen.run("mount -o remount,size=96m /home/patron; dd if=/dev/zero of=/home/patron/full bs=1M 2>/dev/null; true")
    assert screen.run("df --output=avail /home/patron | tail -n 1").strip() == "0"
    log_out(screen)


def restart(screen: Screen) -> None:
    def began() -> str:
        try:
            return screen.lab.exec(
                MACHINE, ["cut", "-d ", "-f22", "/proc/1/stat"], check=False, timeout=5
            ).stdout.strip()
        except (LabError, subprocess.TimeoutExpired):  # just now, it is down; who enters then can be held for long
            return ""

    before = began()
    screen.run("systemctl reboot", check=False)
    eventually(lambda: began() not in ("", before), "an open session holds up the restart", 90)
    screen.lab.up([MACHINE])


def picture(screen: Screen, name: str, folder: Path) -> None:
    """Keep a picture of the screen among the test's files, to be looked at."""
    screen.run("scrot -o /root/screen.png")
    way = [*screen.lab.enter_command(MACHINE), "cat", "/root/screen.png"]
    taken = subprocess.run(way, capture_output=True, check=True).stdout
    assert taken.startswith(b"\x89PNG")
    (folder / f"{name}.png").write_bytes(taken)
