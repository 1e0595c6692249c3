"""The role log_retention as a pyinfra deploy: same list, same templates, same order as the Ansible tasks."""

from __future__ import annotations

import shlex
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.facts import FactBase
from pyinfra.context import host

from readingroom.apply.observe import Paths, Units
from readingroom.apply.shared import Role


class PackagedPath(FactBase[str]):
    """Where dpkg would put a package's file: elsewhere when it is diverted."""

    def command(self, path: str) -> str:
        """Ask dpkg."""
        return f"dpkg-divert --truename {shlex.quote(path)}"

    def process(self, output: list[str]) -> str:
        """One line."""
        return output[0].strip()


def apply(variables: dict[str, Any]) -> None:
    """Bring the machine to what the policy says about its records."""
    with Role("log_retention", variables) as role:
        _handlers(role)
        diverted = _sendmail_is_set_aside(role)
        role.packages()
        role.directories()
        role.absent()
        _begin_login_records_anew(role)
        _divert_sendmail(role, diverted)
        role.files()
        role.units()


def _handlers(role: Role) -> None:
    role.handler("restart-journald", lambda: _restart_journald(role))
    role.handler("stop-services", lambda: _stop_services(role))
    role.handler("start-syslog", lambda: _start_syslog(role))
    role.handler(
        "restart-timer",
        lambda: role.script("Restart readingroom-log-purge.timer", "systemctl try-restart readingroom-log-purge.timer"),
    )
    role.handler(
        "purge", lambda: role.script("Delete what has reached its age", "systemctl start readingroom-log-purge.service")
    )


def _restart_journald(role: Role) -> None:
    """With its flag gone, journald starts in memory, and the flush moves all that is in memory to where it is to be kept."""
    role.script(
        "Restart systemd-journald.service",
        "rm -f /run/systemd/journal/flushed; systemctl restart systemd-journald.service",
    )
    role.script("Let the journal move to where it is to be kept", "journalctl --flush")


def _stop_services(role: Role) -> None:
    stopped = shlex.join(role["__log_retention_stopped"])
    if stopped:
        role.script("Stop services that are not to record", f"systemctl stop {stopped}")
    if role["__log_retention_no_accounting"]:
        role.script("End auditd where it is not to record", "systemctl kill 'auditd.servic[e]'")


def _start_syslog(role: Role) -> None:
    unit = host.get_fact(Units, ["rsyslog.service"])["rsyslog.service"]
    if role["__log_retention_writes_text"] and unit.exists and not unit.running:
        role.script("Start rsyslog.service", "systemctl start rsyslog.service")


def _sendmail_is_set_aside(role: Role) -> bool:
    path, aside = role["__log_retention_sendmail"], role["__log_retention_sendmail_aside"]
    truename = host.get_fact(PackagedPath, path)
    if role["__log_retention_discards_mail"] and truename not in (path, aside):
        raise PyinfraError(
            f"{path} has been diverted to {truename} by somebody else, and scheduled jobs' mail cannot be stopped "
            f"beside that. Undo it (dpkg-divert --rename --remove {path}), or choose logs.system_mail: local in the policy."
        )
    return bool(truename == aside)


def _divert_sendmail(role: Role, diverted: bool) -> None:
    path, aside = role["__log_retention_sendmail"], role["__log_retention_sendmail_aside"]
    divert = f"dpkg-divert --quiet --local --rename --divert {shlex.quote(aside)}"
    if role["__log_retention_discards_mail"] and not diverted:
        role.script("Set the real sendmail aside", f"{divert} --add {shlex.quote(path)}")
    if role["__log_retention_delivers_mail"] and diverted:
        role.script("Put the real sendmail back", f"rm -f {shlex.quote(path)} && {divert} --remove {shlex.quote(path)}")


def _begin_login_records_anew(role: Role) -> None:
    """The links that kept logins from being recorded go; libc's own files begin anew."""
    if not role["__log_retention_some_logins"]:
        return
    records = role.manages["login_records"]
    states = host.get_fact(Paths, [record["path"] for record in records])
    for record in records:
        if states[record["path"]].kind == "link":
            path = shlex.quote(record["path"])
            create = f"install -m {record['mode']} -o {record['owner']} -g {record['group']} /dev/null {path}"
            role.script(
                f"Let logins be recorded in {record['path']}",
                f"rm -f {path}" + (f" && {create}" if record["created"] else ""),
            )
