"""Do print jobs, their documents and their traces go when the policy says so, and does nobody see them before?

Real jobs are printed by throw-away accounts, on throw-away queues, through the machine's own print service. The
queues and jobs of the library are left alone. It must not know how the role does its work; of the machine it knows
the names of the units that carry out the policy.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise, control

SPOOL, CACHE = "/var/spool/cups", "/var/cache/cups"
PURGE, COPIERS = "readingroom-print-purge", "readingroom-print-copiers"
PRINTS = "file:///dev/null"  # the one file that CUPS always agrees to print to: a printer that never fails
FAILS = "ipp://127.0.0.1:9/ipp/print?contimeout=1"  # nobody listens there: a printer that is switched off
SILENT = "socket://127.0.0.1:9"  # the same, and CUPS goes on trying for days, calling the job "printing" all the while
DAY = 24 * 3600
NO_PURGE = "nothing on this machine deletes old print jobs: no purge is scheduled"


# --- planting jobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A job of ours: its number, and the words that are in its title and in its document."""

    id: int
    title: str
    body: str


@contextmanager
def queue(host: Host, device: str = PRINTS, options: str = "") -> Iterator[str]:
    """A throw-away queue; it goes with every job in it."""
    require_service(host)
    name = probe.canary()
    probe.run(host, f"lpadmin -p {name} -E -v {shlex.quote(device)} -m raw {options} 2>/dev/null")
    try:
        yield name
    finally:
        host.run(f"cancel -a -x {name}; lpadmin -x {name}")


def require_service(host: Host) -> None:
    """Without a print service nothing can be printed, and nothing can be told."""
    up = host.run("command -v lpadmin >/dev/null && timeout 20 lpstat -r")
    answers = up.rc == 0 and "not running" not in up.stdout
    assert answers, "no print service answers on this machine"


def send(host: Host, login: str, to: str, options: str = "") -> Job:
    """Print as `login`."""
    title, body = probe.canary(), probe.canary()
    # By way of stdin: the journal keeps the command line of whatever logs, and runuser logs.
    command = f"runuser -u {login} -- sh <<'END'\necho {body} | lp -d {to} -t {title} {options}\nEND"
    done = host.run(command)
    found = re.search(rf"{to}-(\d+)", done.stdout)
    if not found:
        raise RuntimeError(f"lp did not take the job: {done.stderr}")
    return Job(int(found[1]), title, body)


def left_of(host: Host, words: list[str]) -> int:
    """How many files of the print service hold any of the words."""
    return sum(probe.files_with(host, word, SPOOL, CACHE) for word in words)


def listed(host: Host, name: str, which: str = "not-completed") -> list[int]:
    """The numbers of the jobs that the print service knows on a queue, as root sees them."""
    out = host.run(f"timeout 20 lpstat -W {which} -o {name}").stdout
    return [int(number) for number in re.findall(rf"^{name}-(\d+)\s", out, re.MULTILINE)]


# Rewrites a time in the record that CUPS keeps of a job: an IPP attribute, its name followed by four bytes.
MAKE_OLDER = """
import struct, sys, time
name, seconds = sys.argv[1].encode(), int(sys.argv[2])
for number in sys.argv[3:]:
    path = "/var/spool/cups/c%05d" % int(number)
    data = bytearray(open(path, "rb").read())
    label = struct.pack(">BH", 0x21, len(name)) + name
    at = data.index(label) + len(label)
    assert data[at:at + 2] == b"\\0\\4"
    data[at + 2:at + 6] = struct.pack(">i", int(time.time()) - seconds)
    open(path, "r+b").write(data)
"""


def make_older(host: Host, promise: Promise, jobs: list[Job], attribute: str, seconds: int) -> None:
    """Let jobs be as old as if they had been sent that long ago. CUPS must not run meanwhile."""
    if re.search(rf"^printer (?!{probe.PREFIX})\S+ now printing", host.run("lpstat -p").stdout, re.MULTILINE):
        promise.not_tested("somebody is printing just now, and this check restarts the print service; try again later")
    units = "cups.socket cups.path cups.service"
    ids = " ".join(str(job.id) for job in jobs)
    running = [unit for unit in units.split() if host.run(f"systemctl is-active {unit}").rc == 0]
    try:
        probe.run(host, f"systemctl stop {units}")
        probe.run(host, f"python3 - {attribute} {seconds} {ids} <<'END'\n{MAKE_OLDER}END")
    finally:
        host.run(f"systemctl start {' '.join(running)}")
    require_service(host)


def run_purge(host: Host) -> bool:
    """Have done now what the timer would have done at its next turn; False when there is no such timer."""
    timer = state_of(host, f"{PURGE}.timer")
    if timer["ActiveState"] != "active":
        return False
    host.run(f"systemctl start {shlex.quote(timer['Unit'])}")
    return True


def state_of(host: Host, unit: str) -> dict[str, str]:
    """What systemd says of a unit."""
    out = host.run(f"systemctl show {unit}").stdout
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


# --- unclaimed jobs -------------------------------------------------------------------------------------------------


@control("print.unclaimed-jobs")
def test_the_purge_comes_round_often_enough(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: jobs may wait for ever")
        return
    timer = state_of(host, f"{PURGE}.timer")
    assert timer["ActiveState"] == "active", NO_PURGE
    assert timer["UnitFileState"] == "enabled", "the purge of old print jobs would not come back after a restart"
    out = host.run(f"systemctl list-timers --all --output=json {PURGE}.timer").stdout
    due = int(json.loads(out)[0]["next"] or 0) / 1e6 - float(host.run("date +%s.%N").stdout)
    assert due <= promise.seconds / 2, "the next purge of old print jobs comes too late to keep the promise"
    promise.observed("the purge is scheduled, and again after a restart")


@control("print.unclaimed-jobs")
def test_jobs_nobody_collects_are_deleted(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: jobs may wait for ever")
        return
    with (
        probe.account(host) as login,
        queue(host) as open_queue,
        queue(host) as paused,
        queue(host, SILENT) as silent,
    ):
        host.run(f"cupsdisable {paused}")
        stale = [
            send(host, login, open_queue, "-H hold"),
            send(host, login, open_queue, "-H 23:59"),
            send(host, login, paused),
            send(host, login, silent),
        ]
        make_older(host, promise, stale, "time-at-creation", promise.seconds)
        fresh = send(host, login, paused)
        probe.wait_until(
            lambda: f"printer {silent} now printing" in host.run("lpstat -p").stdout,
            "the print service did not take up a job after it was restarted",
        )
        assert run_purge(host), NO_PURGE
        words = [word for job in stale for word in (job.title, job.body)]
        waiting = {number for name in (open_queue, paused, silent) for number in listed(host, name)}
        left = len(waiting - {fresh.id})
        assert left == 0, f"{left} of {len(stale)} jobs that waited too long are still in the queue"
        assert left_of(host, words) == 0, "files of jobs that waited too long are still on the disk"
        assert listed(host, paused) == [fresh.id], "a job that was sent just now was deleted as well"
        promise.observed(f"{len(stale)} jobs that had waited too long: none left; a fresh one was kept")


@control("print.unclaimed-jobs")
def test_documents_without_a_job_are_deleted(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: jobs may wait for ever")
        return
    require_service(host)
    old, new = probe.canary(), probe.canary()
    # What a crash, a full disk or a broken upload leaves behind.
    stale = [f"{SPOOL}/{name}" for name in ("d99991-001", "c99991", "c99992.N", "f9999991", "tmp/rrcheck-filter")]
    fresh = f"{SPOOL}/d99993-001"
    every = " ".join([*stale, fresh])
    probe.run(host, f"for f in {' '.join(stale)}; do echo {old} >$f; done; echo {new} >{fresh}")
    try:
        for path in stale:
            probe.age(host, path, promise.seconds)
        assert run_purge(host), NO_PURGE
        left = left_of(host, [old])
        assert left == 0, f"{left} of {len(stale)} old documents that belong to no job are still on the disk"
        assert left_of(host, [new]) == 1, "a document that came just now was deleted as well"
    finally:
        host.run(f"rm -f {every}")
    promise.observed(f"{len(stale)} old files without a job: none left")


# --- what is left of a job that is over -----------------------------------------------------------------------------


@contextmanager
def finished(host: Host) -> Iterator[tuple[str, list[Job], str]]:
    """Jobs of one account that have printed, failed or been cancelled; with them its login and the open queue."""
    with ExitStack() as stack:
        login = stack.enter_context(probe.account(host))
        prints = stack.enter_context(queue(host))
        fails = stack.enter_context(queue(host, FAILS, "-o printer-error-policy=abort-job"))
        jobs = [send(host, login, prints), send(host, login, fails)]
        probe.wait_until(
            lambda: not listed(host, prints) and not listed(host, fails),
            "a job that was sent to a good printer or a broken one is still under way",
            within=20,
        )
        # Last, since CUPS notes a job that is cancelled nowhere; once it has noted that the job is there.
        jobs.append(send(host, login, prints, "-H hold"))
        host.run(f"for i in 1 2 3 4 5 6; do test -e {SPOOL}/c{jobs[2].id:05} && break; sleep 0.2; done")
        probe.run(host, f"cancel {prints}-{jobs[2].id}")
        yield login, jobs, prints


@control("print.finished-documents")
def test_a_printed_document_is_erased(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: printed documents may stay")
        return
    with finished(host) as (_, jobs, _):
        kept = [job for job in jobs if host.run(f"test -e {SPOOL}/c{job.id:05}").rc == 0]
        if promise.seconds and kept:
            make_older(host, promise, kept, "time-at-completed", promise.seconds)
            run_purge(host)
        probe.wait_until(
            lambda: left_of(host, [job.body for job in jobs]) == 0,
            "the document of a job that is over is still on the disk",
            within=5,
        )
    promise.observed("one job printed, one failed, one cancelled: no document left")


@control("print.job-history")
def test_no_list_of_past_jobs_is_kept(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("nothing is promised: the list of past jobs may stay")
        return
    with finished(host) as (login, jobs, prints):
        kept = [job for job in jobs if host.run(f"test -e {SPOOL}/c{job.id:05}").rc == 0]
        if promise.seconds and kept:
            make_older(host, promise, kept, "time-at-completed", promise.seconds)
            run_purge(host)
        probe.wait_until(
            lambda: not listed(host, prints, "completed"),
            "the print service still lists a job that is over",
            within=5,
        )
        probe.wait_until(
            lambda: left_of(host, [login, *(job.title for job in jobs)]) == 0,
            "the owner or title of a job that is over is still on the disk",
            within=5,
        )
    promise.observed("one job printed, one failed, one cancelled: neither owner nor title left")


# --- who sees a waiting job -----------------------------------------------------------------------------------------

# Asks the print service for jobs and news in every way it offers, truthfully and under false names, over its socket
# and over the network port, and prints all that comes back.
PRY = r"""
import http.client, socket, struct, sys
me, owner, name, number = sys.argv[1:]
number = int(number)
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/cups/cups.sock")
def attribute(tag, label, value):
    label = label.encode()
    return struct.pack(">BH", tag, len(label)) + label + struct.pack(">H", len(value)) + value
def ask(local, operation, claim, proof, *more):
    connection = Local("localhost", timeout=9) if local else http.client.HTTPConnection("localhost", 631, timeout=9)
    body = struct.pack(">BBHIB", 2, 0, operation, 1, 1) + attribute(0x47, "attributes-charset", b"utf-8")
    body += attribute(0x48, "attributes-natural-language", b"en") + more[0]
    body += attribute(0x42, "requesting-user-name", claim.encode()) + b"".join(more[1:]) + b"\3"
    headers = {"Content-Type": "application/ipp"}
    if proof:
        headers["Authorization"] = "PeerCred " + proof
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse().read()
    except OSError:
        answer = b""
    sys.stdout.buffer.write(answer)
    return answer
everything = attribute(0x44, "requested-attributes", b"all")
queue = attribute(0x45, "printer-uri", b"ipp://localhost/printers/" + name.encode())
all_queues = attribute(0x45, "printer-uri", b"ipp://localhost/")
job = attribute(0x45, "job-uri", b"ipp://localhost/jobs/%d" % number)
for local in True, False:
    for claim in me, owner, "root":
        for proof in "", claim:
            for where in queue, all_queues:
                for which in b"not-completed", b"all":
                    ask(local, 0x0A, claim, proof, where, attribute(0x44, "which-jobs", which), everything)
            ask(local, 0x09, claim, proof, job, everything)
            news = attribute(0x44, "notify-pull-method", b"ippget") + attribute(0x44, "notify-events", b"all")
            news += attribute(0x21, "notify-lease-duration", struct.pack(">i", 5))
            if b"notify-subscription-id" in ask(local, 0x16, claim, proof, queue, b"\6", news):
                print("SUBSCRIBED", flush=True)
"""


@control("print.job-privacy")
def test_others_do_not_see_a_waiting_job(host: Host, promise: Promise) -> None:
    if promise.value == "everything":
        promise.observed("nothing is promised: anyone may see the queue")
        return
    with probe.account(host) as owner, probe.account(host) as other, queue(host) as paused:
        host.run(f"cupsdisable {paused}")
        job = send(host, owner, paused)
        pry = f"python3 - {other} {owner} {paused} {job.id} <<'END'\n{PRY}END"
        ways = [
            f"lpstat -o {paused}; lpstat -o -l -U {owner}; lpstat -o -U root {paused}; lpstat -W all -o",
            pry,
        ]
        seen = "".join(probe.run_as(host, other, f"({way}\n) 2>&1 | tr -c '[:print:]' '\\n'")[1] for way in ways)
        assert job.title not in seen, "another account saw the title of a waiting job"
        assert owner not in seen, "another account saw whose job waits"
        assert "SUBSCRIBED" not in seen, "another account could order news of each job, which carry its title"
        if promise.value == "nothing":
            found = re.search(rf"/jobs/{job.id}\b|{paused}-{job.id}\b", seen)
            assert not found, "another account saw that a job waits"
    promise.observed("a second account asked in every way, also under false names, and saw nothing it should not")


# --- logs -----------------------------------------------------------------------------------------------------------


@control("print.log-contents")
def test_the_print_log_names_nobody(host: Host, promise: Promise) -> None:
    if promise.value == "full":
        promise.observed("nothing is promised: the print log may say who printed what")
        return
    before = int(probe.run(host, "date +%s"))
    size = probe.run(host, "cat /var/log/cups/* 2>/dev/null | wc -c")
    with finished(host) as (login, jobs, _):
        titles = [word for job in jobs for word in (job.title, job.body)]
        journal = probe.run(host, f"journalctl --since @{before} -o export -q | grep -aE '{'|'.join(titles)}' || true")
        in_logs = sum(probe.files_with(host, word, "/var/log") for word in titles)
        assert not journal, "the title of a print job is in the journal"
        assert in_logs == 0, "the title of a print job is in a log"
        # Making and removing an account is logged elsewhere, rightly; here only what the print service writes counts.
        units = f"journalctl --since @{before} -o export -q -u 'cups*' | grep -aF {login} || true"
        in_logs = probe.files_with(host, login, "/var/log/cups")
        if promise.value != "no-titles":
            assert in_logs == 0, "the print log says who printed"
            assert not probe.run(host, units), "the journal of the print service says who printed"
        after = probe.run(host, "cat /var/log/cups/* 2>/dev/null | wc -c")
        if promise.value == "off":
            assert after == size, "a print log is kept"
    promise.observed("one job printed, one failed, one cancelled: no log names them")


# --- jobs that fail -------------------------------------------------------------------------------------------------


@control("print.failed-jobs")
def test_a_job_that_fails_does_what_is_promised(host: Host, promise: Promise) -> None:
    with probe.account(host) as login, queue(host, FAILS) as broken:
        job = send(host, login, broken)
        if promise.value == "abort":
            probe.wait_until(
                lambda: not listed(host, broken),
                "a job that could not be printed still waits, with its document",
                within=20,
            )
            promise.observed("a job to a printer that is switched off was dropped")
            return
        stops = promise.value == "stop"
        paused = lambda: "disabled" in host.run(f"lpstat -p {broken}").stdout  # noqa: E731
        held = lambda: "resources-are-not-ready" in host.run(f"lpstat -l -o {broken}").stdout  # noqa: E731
        probe.wait_until(paused if stops else held, "a job that failed was not treated as promised", within=20)
        assert listed(host, broken) == [job.id], "a job that failed was dropped"
    promise.observed("a job to a printer that is switched off waited")


@control("print.failed-jobs")
def test_every_queue_drops_what_fails(host: Host, promise: Promise) -> None:
    require_service(host)
    word = {"stop": "stop-printer", "retry": "retry-job", "abort": "abort-job"}[promise.value]
    policies = probe.run(host, f"python3 - <<'END'\n{ERROR_POLICIES}END").split()
    others = sum(policy != word for policy in policies)
    assert others == 0, f"{others} of {len(policies)} print queues treat a job that fails in another way"
    promise.observed(f"{len(policies)} print queues are set to it")


# Asks the print service itself, as root, how each of its queues meets an error; a class has no such choice.
ERROR_POLICIES = r"""
import re, socket, struct
def attribute(tag, label, value):
    label = label.encode()
    return struct.pack(">BH", tag, len(label)) + label + struct.pack(">H", len(value)) + value
body = struct.pack(">BBHIB", 2, 0, 0x4002, 1, 1) + attribute(0x47, "attributes-charset", b"utf-8")
body += attribute(0x48, "attributes-natural-language", b"en")
body += attribute(0x21, "printer-type-mask", struct.pack(">i", 1)) + attribute(0x21, "printer-type", bytes(4))
body += attribute(0x44, "requested-attributes", b"printer-error-policy") + b"\3"
link = socket.socket(socket.AF_UNIX)
link.settimeout(20)
link.connect("/run/cups/cups.sock")
head = b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/ipp\r\nContent-Length: %d\r\n\r\n"
link.sendall(head % len(body) + body)
answer = b""
while chunk := link.recv(65536):
    answer += chunk
for found in re.finditer(rb"printer-error-policy\0(.)", answer, re.DOTALL):
    print(answer[found.end():found.end() + found[1][0]].decode())
"""


# --- the network ----------------------------------------------------------------------------------------------------

# Knocks at the print service from an address, and says what came of it: an HTTP status, or nothing.
KNOCK = r"""
import http.client, sys
address, source = sys.argv[1:]
link = http.client.HTTPConnection(address, 631, timeout=5, source_address=(source, 0) if source else None)
try:
    body = b"\2\0\x40\2\0\0\0\1\1\x47\0\x12attributes-charset\0\5utf-8"
    body += b"\x48\0\x1battributes-natural-language\0\2en\3"
    link.request("POST", "/", body, {"Content-Type": "application/ipp"})
    print(link.getresponse().status)
except OSError:
    print("nothing")
"""
STRANGER = "198.51.100.77"  # an address for documentation: no library's network


def knock(host: Host, address: str, source: str = "") -> str:
    """What the print service says to somebody at `source`."""
    return probe.run(host, f"python3 - '{address}' '{source}' <<'END'\n{KNOCK}END").strip()


@control("print.network-access")
def test_only_those_promised_reach_the_print_service(host: Host, promise: Promise) -> None:
    require_service(host)
    own = probe.run(host, "ip -o addr show scope global | awk '{print $4}' | cut -d/ -f1").split()
    probe.run(host, f"ip addr replace {STRANGER}/32 dev lo")
    try:
        answers = [knock(host, address) for address in [*own, STRANGER]]
        stranger = knock(host, STRANGER, STRANGER)
    finally:
        host.run(f"ip addr del {STRANGER}/32 dev lo")
    udp = probe.run(host, "ss -Hlun 'sport = :631' | awk '{print $4}'").split()
    if promise.value == "anyone":
        promise.observed("nothing is promised: any machine may reach the print service")
        return
    assert not udp, "the machine listens for announcements of printers from the network"
    if promise.value == "this-machine":
        reached = sum(answer != "nothing" for answer in answers)
        assert reached == 0, f"the print service can be reached from outside, at {reached} of {len(answers)} addresses"
        promise.observed(f"{len(answers)} addresses tried: the print service answers at none of them")
    else:
        assert stranger in ("403", "nothing"), "an address that is not on the library's list can use the print service"
        promise.observed("an address that is not on the list was turned away")


# --- copiers --------------------------------------------------------------------------------------------------------


@control("print.copier-jobs")
def test_copiers_are_emptied_every_night(host: Host, promise: Promise) -> None:
    if promise.value != "nightly":
        promise.observed("nothing is promised: jobs may wait in the copiers")
        return
    timer = state_of(host, f"{COPIERS}.timer")
    assert timer["ActiveState"] == "active", "nothing on this machine empties the copiers at night"
    assert timer["UnitFileState"] == "enabled", "the copiers would not be emptied any more after a restart"
    out = host.run(f"systemctl list-timers --all --output=json {COPIERS}.timer").stdout
    due = int(json.loads(out)[0]["next"] or 0) / 1e6 - time.time()
    assert due <= DAY + 3600, "the next round of the copiers is more than a day away"
    copiers = promise.inputs["printing.copiers"]
    missing = set(copiers) - set(told(host)["copiers"])
    assert not missing, f"{len(missing)} of {len(copiers)} listed copiers are left out of the nightly round"
    promise.observed(f"a nightly round is scheduled, for {len(copiers)} copiers")


@control("print.copier-jobs")
def test_the_nightly_round_empties_a_copier(host: Host, promise: Promise) -> None:
    if promise.value != "nightly":
        promise.observed("nothing is promised: jobs may wait in the copiers")
        return
    if host.run("command -v ippeveprinter ipptool").rc != 0:
        promise.not_tested("ippeveprinter, which plays the copier here, is not installed (package cups-ipp-utils)")
    with probe.account(host) as login, probe.folder(host) as folder, copier(host, login, folder) as address:
        off = "ipp://127.0.0.1:9/ipp/print"
        assert run_round(host, folder, [off, address], "") != 0, "a copier that is switched off was not reported"
        assert waiting_in(host, address) == 1, "a job that came since the night was cancelled as well"
        run_round(host, folder, [off, address], "--now")
        probe.wait_until(
            lambda: waiting_in(host, address) == 0, "a job still waits in a copier after the nightly round", within=5
        )
    promise.observed("a job planted in a copier was cancelled; another copier was off and did not hinder it")


@contextmanager
def copier(host: Host, login: str, folder: str) -> Iterator[str]:
    """A real IPP printer, slow enough for a job to wait in it; yields its address."""
    port = probe.run(
        host, "python3 -c 'import socket; s = socket.socket(); s.bind((\"\", 0)); print(s.getsockname()[1])'"
    )
    address, unit = f"ipp://localhost:{port.strip()}/ipp/print", f"{login}-copier"
    probe.run(
        host,
        f"chmod 711 {folder}; mkdir {folder}/spool; chown {login} {folder}/spool\n"
        f"printf '#!/bin/sh\\nexec sleep 60\\n' >{folder}/slow; chmod 755 {folder}/slow; echo x >{folder}/page\n"
        f"systemd-run -q --collect --unit={unit} -p User={login} -p KillSignal=SIGKILL ippeveprinter -n localhost "
        f"-p {port.strip()} -r off -f application/pdf -c {folder}/slow -d {folder}/spool {login}",
    )
    try:
        page = f"ipptool -q -f {folder}/page -d filetype=application/pdf {address} print-job.test"
        probe.wait_until(
            lambda: host.run(page).rc == 0 or waiting_in(host, address), "the copier of this check is not up", within=15
        )
        yield address
    finally:
        host.run(f"systemctl stop {unit}")


def waiting_in(host: Host, address: str) -> int:
    """How many jobs wait in a copier and are not on their way out."""
    out = host.run(f"ipptool -tv {address} get-jobs.test").stdout
    states = re.findall(r"job-state-reasons \(\w+ *\w*\) = (\S+)", out)
    return sum("to-stop-point" not in reasons and "canceled" not in reasons for reasons in states)


def told(host: Host) -> dict[str, list[str]]:
    """What the nightly round is told."""
    found: dict[str, list[str]] = json.loads(probe.run(host, "cat /etc/readingroom/print-copiers.json"))
    return found


def run_round(host: Host, folder: str, copiers: list[str], options: str) -> int:
    """Do what the timer would do at night, with other copiers; the exit code."""
    service = state_of(host, state_of(host, f"{COPIERS}.timer").get("Unit", ""))
    program = re.search(r"path=(\S+)", service.get("ExecStart", ""))
    assert program, "nothing on this machine empties the copiers at night"
    text = shlex.quote(json.dumps({"hold": False, "copiers": copiers}))
    return int(host.run(f"echo {text} >{folder}/told; {program[1]} --settings {folder}/told {options}").rc)
