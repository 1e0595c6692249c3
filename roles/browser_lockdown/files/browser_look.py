"""What the role must know of a machine, and an administrator should: policies that are not ours, and Tor Browser.

Run from its text, with {"table": browsers.yml, "tor": whether the policy offers it} on standard input; says
{"notes": [...], "tor": whether its launcher can be had}. Changes nothing.
"""

import json
import subprocess
import sys
from pathlib import Path

FIREFOX = Path("/etc/firefox/policies/policies.json")
FIREFOX_OTHERS = [
    Path(folder, "distribution", "policies.json") for folder in ("/usr/lib/firefox-esr", "/usr/lib/firefox")
]
CHROMIUM = Path("/etc/chromium/policies/managed/zz-readingroom.json")
LAUNCHER = "torbrowser-launcher"


def main():
    asked = json.load(sys.stdin)
    notes = [*firefox(keys(asked["table"], "firefox") | {"Preferences"}), *chromium(keys(asked["table"], "chromium"))]
    tor = asked["tor"] and to_be_had()
    if asked["tor"] and not tor:
        notes.append(
            f"Tor Browser cannot be offered: its launcher ({LAUNCHER}) is in Debian's section contrib, which this machine "
            "does not take packages from. Add contrib to its sources, or set browser.tor to absent."
        )
    print(json.dumps({"notes": notes, "tor": tor}))


def keys(table, browser):
    """Every policy key that the table may set."""
    rows = [row.get(browser, {}) for rows in table.values() for row in rows.values()]
    return {key for row in rows for key in row.get("policies", {})}


def firefox(ours):
    """Firefox reads one file only. What others wrote is lost, wherever it stands; say so before it is."""
    lost = sorted(set(settings(FIREFOX, "policies")) - ours)
    if lost:
        yield (
            f"{FIREFOX} also sets {', '.join(lost)}. Firefox reads this one file only and it becomes Reading Room's, so "
            "that goes. What you still need can be set as preferences in a file of your own in /etc/firefox-esr."
        )
    for path in FIREFOX_OTHERS:
        unread = sorted(settings(path, "policies"))
        if unread:
            yield f"{path} sets {', '.join(unread)}. Firefox does not read it beside {FIREFOX}, so that has no effect."


def chromium(ours):
    """Chromium reads every file in the folder, and of two that differ the one with the later name."""
    for path in sorted(CHROMIUM.parent.glob("*.json")):
        found = set() if path == CHROMIUM else set(settings(path))
        both, more = sorted(found & ours), sorted(found - ours)
        if both and path.name > CHROMIUM.name:
            yield (
                f"{path} has the last word on {', '.join(both)}, whatever the policy says. It is not Reading Room's, so it "
                "stays; take these out of it."
            )
        elif both:
            yield f"{path} sets {', '.join(both)}. Reading Room has the last word on that; the file stays."
        if more:
            yield f"{path} also sets {', '.join(more)}, about which the policy says nothing; it stays in effect."


def settings(path, member=None):
    """The settings in a policy file; none if it is not there or cannot be read, for then the browser follows none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found = found[member] if member else found
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def to_be_had():
    """Whether apt has the launcher, or it is there already."""
    said = subprocess.run(
        ["/usr/bin/apt-cache", "policy", LAUNCHER],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C.UTF-8"},
    )
    lines = [line.strip() for line in said.stdout.splitlines()]
    return any(line.startswith("Candidate:") and line != "Candidate: (none)" for line in lines)


if __name__ == "__main__":
    main()
