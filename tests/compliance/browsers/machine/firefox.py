"""Starts and drives a Firefox whose policy is the machine's own.

The driver comes in by AutoConfig, in a private copy of Firefox's folder: WebDriver cannot be used, because a lockdown
closes it, and a policy without that part would not be the one that patrons meet. Must not know promises.
"""

from __future__ import annotations

import json
import os
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import ground

FOLDERS = ("/usr/lib/firefox-esr", "/usr/lib/firefox")
# Where an administrator, a package or somebody else can have put settings.
SETTINGS = ("/etc/firefox", "/etc/firefox-esr", "/usr/share/firefox-esr/distribution", "/usr/lib/firefox/distribution")
WATCHER = "watcher@reading-room.example"
PACKAGED = {"firefox-esr.js", "firefox.js", "searchplugins"}


def folder() -> str | None:
    """Where Firefox is installed; None when it is not."""
    return next((one for one in FOLDERS if os.path.exists(f"{one}/application.ini")), None)


def unlock() -> None:
    """Take every setting away that did not come with the package: Firefox as it is found."""
    for place in SETTINGS:
        if os.path.isdir(place):
            ground.private(place)
            for name in os.listdir(place):
                if name not in PACKAGED:
                    ground.forget(f"{place}/{name}")


def install_driver(work: str, authority: str) -> None:
    """Put the driver beside Firefox, for this play only."""
    home = folder()
    assert home
    ground.private(home)
    ground.private(f"{home}/defaults")
    ground.private(f"{home}/defaults/pref")
    Path(f"{home}/defaults/pref/zz-reading-room.js").write_text(
        'pref("general.config.filename", "reading-room.cfg");\n'
        'pref("general.config.obscure_value", 0);\npref("general.config.sandbox_enabled", false);\n'
    )
    driver = (Path(__file__).parent / "driver.js").read_text()
    for mark, value in (("AUTHORITY", authority), ("FOLDER", work)):
        driver = driver.replace(f"@{mark}@", value)
    Path(f"{home}/reading-room.cfg").write_text(driver)


class Firefox:
    """One run of Firefox as the account; its profile lies in the account's home, where Firefox itself puts it."""

    def __init__(self, seat: Any, prefs: dict[str, Any], *arguments: str, side_load: bool = False) -> None:
        """`prefs` is what the account wrote into its own profile; `side_load` puts an add-on there, too."""
        self.seat = seat
        self.profile = f"{seat.home}/.mozilla/firefox/play.default"
        os.makedirs(self.profile, exist_ok=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in prefs.items()]
        Path(f"{self.profile}/user.js").write_text("\n".join(lines) + "\n")
        if side_load:
            _side_load(self.profile)
        for leftover in Path(seat.work).glob("*-[0-9]*"):
            leftover.unlink()
        self.turn = 0
        seat.own(f"{seat.home}/.mozilla")
        program = os.path.realpath(f"{folder()}/firefox-esr")
        if not os.path.exists(program):
            program = f"{folder()}/firefox"
        self.process = seat.start([program, "--headless", "--profile", self.profile, *arguments])

    def do(self, command: str, within: float = 90, **arguments: Any) -> Any:
        """Have the driver do something and return what it says; raises `TimeoutError`, `RuntimeError`."""
        answer = self._ask(command, **arguments)
        end = time.monotonic() + within
        while not answer.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"firefox ended with {self.process.returncode} before it could {command}")
            if time.monotonic() > end:
                raise TimeoutError(f"firefox did not {command} in {within} s")
            time.sleep(0.03)
        said = json.loads(answer.read_text())
        if "failed" in said:
            raise RuntimeError(said["failed"])
        return said["said"]

    def _ask(self, command: str, **arguments: Any) -> Path:
        """Put a command before the driver; returns where its answer will be."""
        place = f"{self.seat.work}/command-{self.turn}"
        Path(f"{place}.part").write_text(json.dumps({"do": command, **arguments}))
        os.rename(f"{place}.part", place)
        self.turn += 1
        return Path(f"{self.seat.work}/answer-{self.turn - 1}")

    def quit(self) -> None:
        """Close it as a person does; on its way out it need not answer any more."""
        self._ask("quit")
        self.process.wait(60)

    def kill(self) -> None:
        """End every process of it at once."""
        self.seat.kill_all()
        self.process.wait()


def _side_load(profile: str) -> None:
    """Put an add-on into the profile, as a program does that wants to watch."""
    os.makedirs(f"{profile}/extensions", exist_ok=True)
    manifest = {
        "manifest_version": 2, "name": "watcher", "version": "1",
        "browser_specific_settings": {"gecko": {"id": WATCHER}}, "permissions": ["<all_urls>", "webRequest"],
    }  # fmt: skip
    with zipfile.ZipFile(f"{profile}/extensions/{WATCHER}.xpi", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))


def policy_file() -> str:
    """The text of the policy that Firefox reads: the system's, or else that beside the program; empty without any."""
    for place in ("/etc/firefox/policies/policies.json", f"{folder()}/distribution/policies.json"):
        if os.path.exists(place):
            return Path(place).read_text()
    return ""


def known_policies() -> list[str]:
    """The policies that this Firefox has a schema for and acts upon, from its own archive."""
    with zipfile.ZipFile(f"{folder()}/browser/omni.ja") as archive:
        schema = json.loads(archive.read("modules/policies/policies-schema.json"))
        source = archive.read("modules/policies/Policies.sys.mjs").decode()
    acted_upon = set(re.findall(r'^  "?([A-Za-z0-9]+)"?: \{', source, re.MULTILINE))
    return sorted(set(schema["properties"]) & acted_upon)
