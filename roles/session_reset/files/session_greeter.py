"""Restart the login screen so that it follows its new settings, unless somebody is logged in through it.

A restart would end their session; then the settings hold from the next start of the machine.
"""

from __future__ import annotations

import subprocess


def main() -> None:
    """Restart LightDM if only its greeter is there."""
    listed = subprocess.run(["loginctl", "list-sessions", "--no-legend"], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        shown = subprocess.run(
            ["loginctl", "show-session", "-pService", "-pClass", "--", line.split()[0]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = dict(part.split("=", 1) for part in shown.stdout.splitlines())
        if said.get("Service", "").startswith("lightdm") and said.get("Class") == "user":
            return
    subprocess.run(["systemctl", "try-restart", "lightdm.service"], check=False)


main()
