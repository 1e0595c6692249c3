"""Does the system keep to itself? Its report is started, its location asked for, and NetworkManager asked what it does."""

from __future__ import annotations

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from updates.view import asked_in_view

LOCATION = "org.freedesktop.GeoClue2"
START = (
    f"busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus StartServiceByName su {LOCATION} 0"
)
NETWORK = "org.freedesktop.NetworkManager"
FIRMWARE = "fwupd-refresh.timer"


@control("telemetry.os")
def test_nobody_is_told_what_is_installed(host: Host, promise: Promise) -> None:
    if promise.value == "default":
        promise.observed(NOTHING)
        return
    seen = asked_in_view(host, "calls.py")
    if not seen["installed"]:
        promise.observed("no program is here that reports what is installed")
        return
    if not seen["listening"]:
        raise RuntimeError("the listener in the place of the servers does not hear")
    calls = seen["calls"] + seen["letters"]
    assert calls == 0, f"the report of what is installed was started, and {calls} calls or letters left the machine"
    promise.observed("the report of what is installed was started: no call and no letter left the machine")


@control("telemetry.os")
def test_nobody_can_ask_where_the_machine_is(host: Host, promise: Promise) -> None:
    if promise.value == "default":
        promise.observed(NOTHING)
        return
    was_there = host.run("systemctl is-active geoclue.service").rc == 0
    with probe.account(host) as login:
        started = probe.run_as(host, login, START)[0] == 0
    if started and not was_there:
        host.run("systemctl stop geoclue.service")
    assert not started, "an ordinary account can start the service that finds out where the machine is"
    promise.observed("an ordinary account asked where the machine is, and nothing started")


@control("telemetry.os")
def test_nobody_is_asked_whether_the_machine_is_online(host: Host, promise: Promise) -> None:
    if promise.value == "default":
        promise.observed(NOTHING)
        return
    timer = host.run(f"systemctl is-active {FIRMWARE}").stdout.strip()
    assert timer != "active", "the service for firmware calls its makers by itself"
    if host.run("command -v NetworkManager").rc:
        promise.observed("NetworkManager is not here, and nothing looks for firmware by itself")
        return
    assert not asks(host), "NetworkManager asks a server whether the machine is online"
    promise.observed("NetworkManager asks nobody whether the machine is online; nothing looks for firmware by itself")


def asks(host: Host) -> bool:
    """Whether NetworkManager checks for a connection: the running one does, or its settings say so from its next start on."""
    if host.run("systemctl is-active NetworkManager.service").rc == 0:
        path = "/" + NETWORK.replace(".", "/")
        shown = [
            probe.run(host, f"busctl get-property {NETWORK} {path} {NETWORK} {name}").strip()
            for name in ("ConnectivityCheckAvailable", "ConnectivityCheckEnabled")
        ]
        if shown == ["b true", "b true"]:
            return True
    settings: dict[str, str] = {}
    section = ""
    for line in probe.run(host, "NetworkManager --print-config").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#") and section == "connectivity":
            name, _, value = line.partition("=")
            settings[name.strip()] = value.strip().lower()
    return bool(settings.get("uri")) and settings.get("enabled", "true") not in ("false", "no", "0", "off")
