"""Runs popularity-contest's own job in the private view, where every server that it would report to is a listener of ours.

Prints {"installed"}, and where it is {"listening": the control worked, "calls": connections, "letters": mails handed over}.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from pathlib import Path

import private

FOLDER = Path(sys.argv[1])
JOB = Path("/etc/cron.daily/popularity-contest")
SETTINGS = ". /usr/share/popularity-contest/default.conf; . /etc/popularity-contest.conf; echo $SUBMITURLS"
STATE = Path("/var/lib/popularity-contest")
PORTS = (80, 443)


class Listener:
    """Counts who calls."""

    def __init__(self, port: int) -> None:
        self.calls = 0
        self.heard = threading.Condition()
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            caller, _ = self.socket.accept()
            with caller, self.heard:
                self.calls += 1
                self.heard.notify_all()


def main() -> dict[str, object]:
    if not JOB.exists() or not Path("/usr/sbin/popularity-contest").exists():
        return {"installed": False}
    urls = private.must("sh", "-c", SETTINGS).split()
    names = sorted({match[1] for url in urls if (match := re.match(r"\w+://([^/:]+)", url))})
    (FOLDER / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *names)))
    private.must("mount", "--bind", str(FOLDER / "hosts"), "/etc/hosts")
    private.hide("/var/log", "0755")
    made = not STATE.exists()
    STATE.mkdir(exist_ok=True)
    private.hide(str(STATE))
    letters = FOLDER / "letters"
    sendmail = FOLDER / "sendmail"
    sendmail.write_text(f"#!/bin/sh\ncat >/dev/null\necho letter >>{letters}\n")
    sendmail.chmod(0o755)
    if Path("/usr/sbin/sendmail").is_file():
        private.must("mount", "--bind", str(sendmail), "/usr/sbin/sendmail")
    try:
        listeners = [Listener(port) for port in PORTS]
        # the control: a call to the very name that reports would go to is heard
        for name in names:
            socket.create_connection((name, PORTS[0]), timeout=5).close()
        first = listeners[0]
        with first.heard:
            heard = first.heard.wait_for(lambda: first.calls == len(names), timeout=5)
        private.run(str(JOB), "--crond", within=60)
        calls = sum(one.calls for one in listeners) - len(names)
        written = len(letters.read_text().splitlines()) if letters.exists() else 0
        return {"installed": True, "listening": bool(names) and heard, "calls": calls, "letters": written}
    finally:
        if made:
            private.must("umount", str(STATE))
            STATE.rmdir()


print(json.dumps(main()))
