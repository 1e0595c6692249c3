"""systemd's units: whether one was there, started by itself, ran, or was masked; and the way back to that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .store import State
from .tools import run

# Restarting one of these ends somebody's session or this very connection.
SESSIONS = ("display-manager", "lightdm", "gdm", "sddm", "greetd", "nodm", "systemd-logind", "dbus", "getty", "user@",
            "session", "readingroom")  # fmt: skip
STAMPS = Path("/var/lib/systemd/timers")


def look(name: str) -> State:
    """How a unit is now."""
    shown = run("systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState", "--", name, may_fail=True)
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    active = found.get("ActiveState") in ("active", "activating", "reloading")
    state: State = {"there": found.get("LoadState", "not-found") != "not-found", "active": active}
    return state | {"file": found.get("UnitFileState", "")}


def before(name: str) -> State:
    """The state to record: a unit of ours was never there before us."""
    return {"there": False, "active": False, "file": ""} if "readingroom" in name else look(name)


def words(name: str, state: State, *, file_comes_back: bool = False) -> list[str]:
    """What giving the unit back means; nothing when it is as it was, or its own file alone decides."""
    now, said = look(name), []
    if not now["there"]:
        return []
    if not state["there"]:
        return [f"Stop {name}"] if now["file"] in ("enabled", "masked") or _runs_otherwise(now, state) else []
    if not file_comes_back and (verb := _verb(now["file"], state["file"])) is not None:
        said.append(f"{verb.capitalize()} {name}")
    if _runs_otherwise(now, state):
        said.append(f"{'Start' if state['active'] else 'Stop'} {name}")
    return said


def _runs_otherwise(now: State, state: State) -> bool:
    """Does it run where it did not, or the other way round? What only ever runs for a moment may just be at it."""
    return bool(now["active"] != state["active"] and not (now["active"] and now["file"] == "static"))


def stop_new(name: str) -> None:
    """Stop a unit that was not there before us, and let nothing start it; its files go after it."""
    run("systemctl", "--quiet", "disable", "--now", name, may_fail=True)
    run("systemctl", "--quiet", "unmask", name, may_fail=True)
    (STAMPS / f"stamp-{name}").unlink(missing_ok=True)


def forget(names: Sequence[str]) -> None:
    """Let systemd forget units whose files are gone."""
    run("systemctl", "daemon-reload")
    for name in names:
        run("systemctl", "reset-failed", name, may_fail=True)


def give_back(name: str, state: State) -> None:
    """Bring a unit that was there before us to how it was."""
    now = look(name)
    if not now["there"]:
        return
    if (verb := _verb(now["file"], state["file"])) is not None:
        run("systemctl", "--quiet", verb, name)
    if _runs_otherwise(now, state) and not name.startswith(SESSIONS):
        # what a machine without the device or the setting cannot start does not stop the way back
        run("systemctl", "start" if state["active"] else "stop", name, may_fail=True)


def _verb(now: str, before: str) -> str | None:
    """What `systemctl` has to do to the unit's files.

    >>> _verb("masked", "enabled"), _verb("enabled", "disabled"), _verb("enabled", "enabled"), _verb("static", "")
    ('unmask', 'disable', None, None)
    """
    if now.startswith("masked") != before.startswith("masked"):
        return "unmask" if now.startswith("masked") else "mask"
    if {now, before} == {"enabled", "disabled"}:
        return "enable" if before == "enabled" else "disable"
    return None


def tell(names: Sequence[str]) -> list[str]:
    """Let running services read their settings again; those that would end a session wait for the next start."""
    waiting = []
    for name in names:
        if name == "systemd-logind.service":
            run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", name, may_fail=True)  # reads, and ends nothing
        elif name.startswith(SESSIONS):
            waiting += [name] if look(name)["active"] else []
        else:
            run("systemctl", "try-reload-or-restart", name, may_fail=True)
    return waiting
