"""The role print_queue_purge for pyinfra: what tasks/ does, from the same list and the same templates."""

import re
import shlex
from typing import Any

from pyinfra.context import host

from readingroom.apply.observe import Text
from readingroom.apply.shared import Role

NAME = "print_queue_purge"


def apply(variables: dict[str, Any]) -> None:
    """Print jobs, their documents and their traces do not outlive the policy."""
    with Role(NAME, variables) as role:
        _declare_handlers(role)
        role.packages()
        role.directories()
        role.files()
        role.units()
        role.flush()
        _set_error_policies(role)


def _declare_handlers(role: Role) -> None:
    role.handler("forget-print-logs", lambda: _forget_logs(role))
    role.handler("restart-cups-socket", lambda: role.restart("cups.socket"))
    role.handler("restart-cups", lambda: role.restart("cups.service"))
    for name, unit in (
        ("restart-cups-browsed", "cups-browsed.service"),
        ("restart-print-purge-timer", "readingroom-print-purge.timer"),
        ("restart-print-leftovers-path", "readingroom-print-leftovers.path"),
        ("restart-print-copiers-timer", "readingroom-print-copiers.timer"),
    ):
        role.handler(name, lambda unit=unit: _restart_where_it_runs(role, unit))


def _forget_logs(role: Role) -> None:
    if role["__print_queue_purge_forgets_logs"]:
        role.script(
            "Remove print logs written under other settings",
            "find /var/log/cups -type f -name '*_log*' -delete",
        )


def _restart_where_it_runs(role: Role, unit: str) -> None:
    role.script(f"Restart {unit} where it runs", f"systemctl try-restart {unit} || [ $? = 5 ]")


def _set_error_policies(role: Role) -> None:
    """CUPS keeps the policy of each queue itself: read its file, change through lpadmin."""
    policy = role["__print_queue_purge_error_policy"]
    queues = host.get_fact(Text, "/etc/cups/printers.conf") or ""
    for queue, now in re.findall(role["__print_queue_purge_queue_pattern"], queues):
        if now != policy:
            command = f"lpadmin -p {shlex.quote(queue)} -o printer-error-policy={policy}"
            role.script(f"Error policy of queue {queue}", command, detail=f"{now} → {policy}")
