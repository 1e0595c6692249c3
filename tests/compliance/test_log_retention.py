"""Do this machine's records go when they reach their age? Each test plants records and looks for their bytes afterwards.

What is planted bears a name of its own; records that were there before are counted, never touched. The words looked
for (canaries) stand for what a patron would leave behind.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise, control

PURGE = "readingroom-log-purge"
HOLD = "/etc/readingroom/legal-hold-logs"
LOG = "/var/log"
DAY = 86400


def purge(host: Host) -> None:
    """Let the machine do now what its timer makes it do."""
    done = host.run(f"systemctl start {PURGE}.service")
    assert done.rc == 0, "nothing on this machine deletes old records, or it did not finish"


def limit_of(promise: Promise) -> int | None:
    """How long records may be kept here; None is for ever."""
    seconds = promise.expects_seconds("logs.keep")
    if seconds is None:
        promise.observed("the policy keeps records for ever")
    return seconds


def exists(host: Host, *paths: str) -> int:
    """How many of these are there."""
    names = " ".join(map(shlex.quote, paths))
    return int(probe.run(host, f'n=0; for p in {names}; do if [ -e "$p" ]; then n=$((n+1)); fi; done; echo $n'))


@contextmanager
def removed_after(host: Host, *paths: str) -> Iterator[None]:
    """Take the fixtures away again, whatever happened."""
    try:
        yield
    finally:
        host.run("rm -rf -- " + shlex.join(paths))


def python(host: Host, program: str, *arguments: str) -> str:
    """Run a short Python program on the machine."""
    return probe.run(host, f"python3 -I -c {shlex.quote(program)} {shlex.join(arguments)}").strip()


# How long this machine remembers


_NEXT_RUN = """
import subprocess, time
unit = "/org/freedesktop/systemd1/unit/readingroom_2dlog_2dpurge_2etimer"
asked = ["busctl", "get-property", "org.freedesktop.systemd1", unit, "org.freedesktop.systemd1.Timer",
         "NextElapseUSecMonotonic"]
answer = subprocess.run(asked, capture_output=True, text=True).stdout.split()
print(int(int(answer[1]) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) if len(answer) == 2 else -1)
"""


@control("log.retention")
def test_the_purge_comes_often_enough_and_by_itself(host: Host, promise: Promise) -> None:
    limit = promise.seconds
    if limit is None:
        promise.observed("the policy keeps records for ever")
        return
    state = host.run(f"systemctl is-enabled {PURGE}.timer; systemctl is-active {PURGE}.timer").stdout.split()
    assert state == ["enabled", "active"], "nothing starts the purge of old records by itself"
    purge(host)
    wait = int(python(host, _NEXT_RUN))
    assert 0 <= wait < limit, "the next purge of old records comes later than the policy allows"
    # What would come of age before the next run must go in this one, or "at most" is not true.
    word = probe.canary()
    place = f"{LOG}/sudo-io/{word}"
    due, fresh = f"{place}/due", f"{place}/fresh"
    with removed_after(host, place if exists(host, f"{LOG}/sudo-io") else f"{LOG}/sudo-io"):
        probe.run(host, f"mkdir -p {place}; echo {word} >{due}; echo {word} >{fresh}")
        probe.age(host, due, limit - wait + 20)
        probe.age(host, fresh, limit // 4)
        purge(host)
        left = probe.files_with(host, word, due)
        assert left == 0, "a record that reaches its age before the next purge was left for too long"
        assert probe.files_with(host, word, fresh) == 1, "a record that may still be kept was deleted"
    promise.observed(
        f"the purge runs by itself, next within {wait // 60 + 1} minutes; what comes of age before is gone"
    )


@control("log.retention")
def test_records_kept_by_programs_of_their_own_go_too(host: Host, promise: Promise) -> None:
    limit = promise.seconds
    if limit is None:
        promise.observed("the policy keeps records for ever")
        return
    word = probe.canary()
    old = [f"{LOG}/account/{word}.1", f"{LOG}/sudo-io/{word}/ttyout", f"{LOG}/sysstat/{word}", f"{LOG}/atop/{word}"]
    before = [path for path in {p.rsplit("/", 1)[0] for p in old} if exists(host, path) == 0]
    with removed_after(host, f"{LOG}/sudo-io/{word}", *old):
        for path in old:
            probe.run(host, f"mkdir -p $(dirname {path}); printf '\\0%s\\0' {word} >{path}")
            probe.age(host, path, limit + 60)
        purge(host)
        left = probe.files_with(host, word, LOG + "/account", LOG + "/sudo-io", LOG + "/sysstat", LOG + "/atop")
        host.run("rmdir " + shlex.join([f"{LOG}/sudo-io/{word}", *before]))
        assert left == 0, f"{left} of {len(old)} aged records of single programs are still there"
    host.run("rmdir --ignore-fail-on-non-empty " + shlex.join(before or ["/nonexistent"]))
    promise.observed(f"{len(old)} aged records of single programs planted, none left")


# Text logs


# One old line, then a fresh one, in each way that programs on Debian write dates.
_LINES = """
import datetime, sys, time
old, fresh, age, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
now = time.time()
forms = ["%b %d %H:%M:%S desk x: ", "%Y-%m-%dT%H:%M:%S.123456+00:00 desk x: ", "%Y-%m-%d %H:%M:%S,123 x ",
         "localhost - - [%d/%b/%Y:%H:%M:%S +0000] "]
for number, form in enumerate(forms):
    with open(f"{path}-{number}.log", "w") as log:
        for word, when in ((old, now - age), (fresh, now - age / 8)):
            stamp = time.gmtime(when) if "0000" in form or "+00:00" in form else time.localtime(when)
            print(time.strftime(form, stamp) + word, file=log)
            print("\\tand its second line " + word, file=log)
with open(f"{path}-quiet.log", "w") as log:
    print(old, file=log)
"""


@control("log.text-logs")
def test_lines_of_text_logs_go_when_they_are_too_old(host: Host, promise: Promise) -> None:
    limit = limit_of(promise)
    if promise.value == "kept" or limit is None:
        promise.observed("the policy keeps text logs")
        return
    old, fresh = probe.canary(), probe.canary()
    path = f"{LOG}/{old}"
    logs = [f"{path}-{number}.log" for number in range(4)]
    with removed_after(host, *logs, f"{path}-quiet.log"):
        python(host, _LINES, old, fresh, str(limit + 60), path)
        probe.age(host, f"{path}-quiet.log", limit + 60)
        # Somebody is writing to it all the while, as a daemon does.
        probe.run(host, f"exec 3>>{logs[0]}; systemctl start {PURGE}.service || true; echo {fresh} >&3")
        purge(host)
        left = probe.files_with(host, old, *logs, f"{path}-quiet.log")
        kept = int(probe.run(host, f"cat {shlex.join(logs)} | grep -c {fresh} || true"))
    assert left == 0, f"{left} of 5 text logs still hold lines that are too old"
    assert kept == 9, "lines that may still be kept were deleted from text logs"
    promise.observed("5 text logs with aged lines: no aged line left, every fresh line kept")


@control("log.text-logs")
def test_the_system_log_is_written_only_where_it_is_purged(host: Host, promise: Promise) -> None:
    if promise.value == "kept":
        promise.observed("the policy keeps text logs")
        return
    elsewhere = host.run(
        "for p in $(pidof rsyslogd syslog-ng); do find /proc/$p/fd -lname '/*' -printf '%l\\n'; done 2>/dev/null "
        "| grep -Ev '^(/var/log/|/dev/|/run/|/proc/|/var/lib/rsyslog|/var/spool/rsyslog|/usr/|/etc/)' | sort -u | wc -l"
    )
    assert elsewhere.stdout.strip() == "0", "the system log is also written outside /var/log, where nothing purges it"
    if promise.value != "off":
        promise.observed("the system log is written below /var/log only")
        return
    word = probe.canary()
    probe.run(host, f"systemctl start rsyslog.service 2>/dev/null || true; logger {word}; journalctl --sync")
    heard = host.run(f"journalctl -q --since -1min -g {word} -o cat").stdout
    assert word in heard, "the test message did not even reach the journal"
    found = probe.run(host, f"grep -rlaF --exclude-dir=journal {word} {LOG} | wc -l || true").strip()
    assert found == "0", "messages are still written to text logs"
    promise.observed("a message that reached the journal is in no text log")


# Old copies


@control("log.rotated-copies")
def test_old_copies_of_logs_go(host: Host, promise: Promise) -> None:
    limit = limit_of(promise)
    if promise.value == "kept" or limit is None:
        promise.observed("the policy keeps old copies")
        return
    word, fresh = probe.canary(), probe.canary()
    base = f"{LOG}/{word}.log"
    plain = [base + end for end in (".1", ".2.gz", ".old", "~", "-20200229", ".3.xz", ".2020-02-29.bz2")]
    late, young = base + ".4.gz", base + ".5.gz"
    with removed_after(host, *plain, late, young):
        for path in plain:
            pack = {"gz": "gzip", "xz": "xz", "bz2": "bzip2"}.get(path.rsplit(".", 1)[-1], "cat")
            probe.run(
                host, f"if command -v {pack} >/dev/null; then echo {word} | {pack} >{path}; else touch {path}; fi"
            )
            probe.age(host, path, limit + 60)
        # A quiet log is rotated late: a young file, full of old lines.
        stamp = f"$(date -d '-{limit + 60} seconds' '+%Y-%m-%dT%H:%M:%S%:z')"
        probe.run(host, f'echo "{stamp} desk x: {word}" | gzip >{late}; echo "$(date -Is) {fresh}" | gzip >{young}')
        purge(host)
        left = exists(host, *plain, late)
        assert left == 0, f"{left} of {len(plain) + 1} aged copies of a log are still there"
        assert exists(host, young) == 1, "a copy that may still be kept was deleted"
    promise.observed(f"{len(plain) + 1} aged copies planted, none left; a fresh one kept")


# The system journal


# A closed journal file, made to look as old as asked, under this machine's id and under another one.
_AGED_JOURNAL = """
import os, shutil, struct, sys, time
top, age, foreign = sys.argv[1], int(sys.argv[2]), sys.argv[3]
machine = open("/etc/machine-id").read().strip()
own = os.path.join(top, machine)
source = max((os.path.join(own, n) for n in os.listdir(own) if "@" in n and n.endswith(".journal")), key=os.path.getmtime)
when = int((time.time() - age) * 1e6)
os.makedirs(os.path.join(top, foreign))
for target in (os.path.join(own, f"system@{foreign}-{1:016x}-{when:016x}.journal"),
               os.path.join(top, foreign, "system.journal")):
    shutil.copyfile(source, target)
    with open(target, "r+b") as file:
        file.seek(184)
        file.write(struct.pack("<QQ", when, when))
    os.utime(target, (when / 1e6, when / 1e6))
    print(target)
print(source)
"""


@control("log.journal")
def test_aged_parts_of_the_journal_go(host: Host, promise: Promise) -> None:
    limit = limit_of(promise)
    if promise.value == "persistent" or limit is None:
        promise.observed("the policy keeps the journal")
        return
    top = "/run/log/journal" if promise.value == "volatile" else "/var/log/journal"
    foreign = probe.canary()[-8:] * 4
    probe.run(host, "journalctl -q --rotate")
    aged_own, aged_foreign, closed = python(host, _AGED_JOURNAL, top, str(limit + 60), foreign).splitlines()
    with removed_after(host, aged_own, f"{top}/{foreign}"):
        purge(host)
        left = exists(host, aged_own, aged_foreign)
        assert left == 0, f"{left} of 2 aged parts of the journal are still there"
        assert exists(host, closed) == 1, "a part of the journal that may still be kept was deleted"
    oldest = probe.run(host, "journalctl -q -m -o short-unix | head -n 1").split(".")[0]
    age = int(probe.run(host, "date +%s")) - int(oldest or 0)
    assert not oldest or age <= limit, "the journal still holds entries that are too old"
    promise.observed("2 aged parts of the journal planted, none left; its oldest entry is within the limit")


@control("log.journal")
def test_a_journal_in_memory_leaves_nothing_on_disk(host: Host, promise: Promise) -> None:
    if promise.value != "volatile":
        return  # judged by age, above
    word = probe.canary()
    left_over = f"/var/log/journal/{word[-8:] * 4}"
    with removed_after(host, left_over):
        probe.run(
            host, f"mkdir -p {left_over}; echo {word} >{left_over}/system.journal; logger {word}; journalctl --sync"
        )
        purge(host)
        assert probe.files_with(host, word, "/var/log/journal") == 0, "the journal is still to be found on the disk"
    assert probe.files_with(host, word, "/run/log/journal") > 0, "the journal is not even in memory"
    promise.observed("a message is in the journal in memory; nothing of it, and nothing left over, is on the disk")


# Who logged in and when

_RECORDS = f"{LOG}/wtmp {LOG}/btmp {LOG}/lastlog {LOG}/wtmp.db /var/lib/wtmpdb /var/lib/lastlog /run/faillock"

# libc's own layout of these files: size of a record, where its time stands, and how wide that is.
_LAYOUT = """
import os, sqlite3, sys, time
wide = os.uname().machine in ("aarch64", "riscv64", "loongarch64")
size, at, width = (400, 344, 8) if wide else (384, 340, 4)
slot = 296 if wide else 292
registers = [path for path in ("/var/log/wtmp", "/var/log/btmp") if os.path.isfile(path)]
def records(path):
    content = open(path, "rb").read()
    return [content[i:i + size] for i in range(0, len(content), size)]
"""

# Adds an aged record with a telling name to each register that this machine has; prints how many.
_PLANT_LOGINS = """
word, age, uid = sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
when = int(time.time()) - age
planted = len(registers)
for path in registers:
    record = bytearray(size)
    record[0:2] = (7 if path.endswith("wtmp") else 6).to_bytes(2, "little")
    record[44:44 + len(word)] = word
    record[at:at + width] = when.to_bytes(width, "little")
    with open(path, "ab") as file:
        file.write(record)
if os.path.isfile("/var/log/lastlog"):
    with open("/var/log/lastlog", "r+b") as file:
        file.seek(uid * slot)
        file.write(when.to_bytes(slot - 288, "little") + b"tty7".ljust(32, b"\\0") + word.ljust(256, b"\\0"))
    planted += 1
tables = (("/var/log/wtmp.db", "wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, "
           "Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)", "wtmp(Type, User, Login, Logout) VALUES (3, ?, ?, ?)",
           (word.decode(), when * 1000000, when * 1000000)),
          ("/var/lib/lastlog/lastlog2.db", "Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, "
           "Service TEXT)", "Lastlog2(Name, Time) VALUES (?, ?)", (word.decode(), when)))
for path, table, row, values in tables:
    if os.path.isfile(path):
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE IF NOT EXISTS " + table)
        database.execute("INSERT INTO " + row, values)
        database.commit()
        database.close()
        planted += 1
print(planted)
"""

# Takes every record with the word out of the registers again.
_FORGET_LOGINS = """
word = sys.argv[1].encode()
for path in registers:
    old = records(path)
    new = [record for record in old if word not in record]
    if len(new) < len(old):
        with open(path, "r+b") as file:
            file.write(b"".join(new))
            file.truncate()
if os.path.isfile("/var/log/lastlog"):
    with open("/var/log/lastlog", "r+b") as file:
        found = file.read().find(word)
        if found >= 0:
            file.seek(found // slot * slot)
            file.write(bytes(slot))
for path, table, column in (("/var/log/wtmp.db", "wtmp", "User"), ("/var/lib/lastlog/lastlog2.db", "Lastlog2", "Name")):
    if os.path.isfile(path):
        database = sqlite3.connect(path)
        try:
            database.execute("PRAGMA secure_delete=ON")
            database.execute(f"DELETE FROM {table} WHERE {column} = ?", (word.decode(),))
            database.commit()
        except sqlite3.Error:
            pass
        database.close()
"""

# How many records are younger than this.
_FRESH_LOGINS = """
since = time.time() - int(sys.argv[1])
print(sum(int.from_bytes(r[at:at + width], "little") > since for path in registers for r in records(path)))
"""


@control("log.logins")
def test_records_of_logins_go_when_they_are_too_old(host: Host, promise: Promise) -> None:
    limit = limit_of(promise)
    if promise.value == "kept":
        promise.observed("the policy allows a record of logins")
    if promise.value != "bounded" or limit is None:
        return
    with probe.account(host) as word:
        uid = probe.run(host, f"id -u {word}").strip()
        try:
            planted = int(python(host, _LAYOUT + _PLANT_LOGINS, word, str(limit + 60), uid))
            assert planted == 0 or probe.files_with(host, word, *_RECORDS.split()) > 0, (
                "the aged records are not to be seen"
            )
            fresh = _fresh_logins(host, limit)
            purge(host)
            left = probe.files_with(host, word, *_RECORDS.split())
            assert left == 0, f"{left} of {planted} registers of logins still hold a record that is too old"
            assert _fresh_logins(host, limit) >= fresh, "records of logins that may still be kept were deleted"
        finally:
            python(host, _LAYOUT + _FORGET_LOGINS, word)
    promise.observed(f"an aged record in each of {planted} registers of logins: none left; fresh ones kept")


def _fresh_logins(host: Host, limit: int) -> int:
    return int(python(host, _LAYOUT + _FRESH_LOGINS, str(limit // 2)))


@control("log.logins")
def test_a_login_leaves_no_record(host: Host, promise: Promise, ssh_way: tuple[Path, str]) -> None:
    if promise.value != "none":
        return  # judged by age, above
    typed = probe.canary()
    with probe.account(host) as login:
        try:
            # Somebody logs in at the console, and somebody types a password where the name belongs (console, network).
            with probe.folder(host) as place:
                _log_in(host, login, typed, place, ssh_way)
            told = probe.files_with(host, typed, *_RECORDS.split())
            assert told == 0, "what somebody typed as a name at a failed login was recorded"
            kept = probe.files_with(host, login, *_RECORDS.split())
            assert kept == 0, "a login was recorded"
        finally:
            python(host, _LAYOUT + _FORGET_LOGINS, login)
            python(host, _LAYOUT + _FORGET_LOGINS, typed)
    left = probe.run(
        host, f"find {_RECORDS} {LOG}/wtmp.* {LOG}/btmp.* -type f -size +0 2>/dev/null | sort -u | wc -l || true"
    )
    assert int(left) == 0, f"{int(left)} files with records of logins are still there"
    promise.observed("two logins and two failed ones: no record of them; no earlier record left")


def _log_in(host: Host, login: str, typed: str, place: str, way: tuple[Path, str]) -> None:
    """A login at the console and one over the network, a failed one at each: all at once, for a refusal takes its time."""
    config, machine = way
    ssh = (
        f"SSH_ASKPASS={place}/ask SSH_ASKPASS_REQUIRE=force timeout 8 ssh -o StrictHostKeyChecking=no "
        "-o UserKnownHostsFile=/dev/null -o PreferredAuthentications=password -o NumberOfPasswordPrompts=1"
    )
    probe.run(host, f"printf '#!/bin/sh\\necho x\\n' >{place}/ask; chmod 755 {place} {place}/ask")
    outside = ["ssh", "-F", str(config), "-tt", machine, "true"]
    with subprocess.Popen(outside, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        host.run(
            f"{ssh} {typed}@127.0.0.1 true </dev/null & "
            f"(sleep 0.5; echo x; sleep 0.5) | timeout -k 1 6 script -qec 'login {typed}' /dev/null & "
            f"(for i in 1 2 3 4; do sleep 0.5; echo exit; done) | timeout -k 1 6 script -qec 'login -f {login}' /dev/null & "
            "wait"
        )


# Network addresses


@control("log.network-addresses")
def test_addresses_no_longer_in_use_go(host: Host, promise: Promise) -> None:
    if promise.seconds is None:
        promise.observed("the policy keeps network addresses for ever")
        return
    old, active = probe.canary(), probe.canary()
    age = promise.seconds + 60
    uuid = "11111111-2222-4333-8444-" + old[-8:] + "0000"
    dhclient, dhcpd = f"/var/lib/dhcp/dhclient.{old}.leases", f"/var/lib/dhcp/dhcpd.{old}.leases"
    dnsmasq, manager = f"/var/lib/misc/dnsmasq.{old}.leases", f"/var/lib/NetworkManager/internal-{uuid}-x.lease"
    files = [dhclient, dhcpd, dnsmasq, manager]
    folders = ["/var/lib/dhcp", "/var/lib/misc", "/var/lib/NetworkManager"]
    missing = [folder for folder in folders if exists(host, folder) == 0]
    with removed_after(host, *files):
        probe.run(
            host,
            f"mkdir -p {shlex.join(folders)}\n"
            f"past=$(date -u -d '-{age} seconds' '+%Y/%m/%d %H:%M:%S'); future=$(date -u -d '+1 hour' '+%Y/%m/%d %H:%M:%S')\n"
            'block() { printf "%s {\\n  option host-name \\"%s\\";\\n  %s 1 %s;\\n}\\n" "$1" "$2" "$3" "$4"; }\n'
            f'{{ block lease {old} expire "$past"; block lease {active} expire "$future"; }} >{dhclient}\n'
            f'{{ block "lease 192.0.2.5" {old} ends "$past"; block "lease 192.0.2.6" {active} ends "$future"; }} >{dhcpd}\n'
            f'echo "$(date -d "-{age} seconds" +%s) 02:00:00:00:00:01 192.0.2.7 {old} *" >{dnsmasq}\n'
            f'echo "$(date -d "+1 hour" +%s) 02:00:00:00:00:02 192.0.2.8 {active} *" >>{dnsmasq}\n'
            f"echo ADDRESS={old} >{manager}",
        )
        probe.age(host, manager, age)
        purge(host)
        left, kept = probe.files_with(host, old, *files), probe.files_with(host, active, *files)
    host.run("rmdir --ignore-fail-on-non-empty " + shlex.join(missing or ["/nonexistent"]))
    assert left == 0, f"{left} of 4 addresses that are no longer in use are still on record"
    assert kept == 3, "an address that is in use was taken away"
    promise.observed("4 addresses no longer in use planted, none left; 3 in use kept")


# Records of commands and opened files

_ACCOUNTING = f"{LOG}/account {LOG}/audit {LOG}/sysstat {LOG}/atop"


@control("log.command-accounting")
def test_nothing_records_which_programs_run(host: Host, promise: Promise) -> None:
    if promise.value:
        promise.observed("the policy allows it")
        return
    word = probe.canary()
    running = probe.run(
        host,
        "systemctl list-units --no-legend --plain --state=active acct.service auditd.service atop.service "
        "atopacct.service sysstat-collect.timer | grep -vc sysstat-collect.timer || true",
    ).strip()
    assert running == "0", f"{running} services that record which programs run are at work"
    planted = f"{LOG}/account/{word}"
    with probe.folder(host) as place, removed_after(host, planted):
        probe.run(host, f"cp /bin/true {place}/{word}; {place}/{word}; mkdir -p {LOG}/account; echo {word} >{planted}")
        purge(host)
        left = int(probe.run(host, f"find {_ACCOUNTING} -type f 2>/dev/null | wc -l || true"))
    assert left == 0, f"{left} records of which programs ran are still there"
    promise.observed("a program ran: no service records it, and no earlier record is left")


@control("log.command-accounting")
def test_accounting_does_not_start_when_asked_to(host: Host, promise: Promise) -> None:
    if promise.value:
        promise.observed("the policy allows it")
        return
    loaded = host.run("systemctl show -p LoadState --value acct.service").stdout.strip()
    if loaded != "loaded":
        promise.observed("process accounting is not installed, or masked")
        return
    was = host.run("systemctl is-active acct.service").stdout.strip()
    try:
        host.run("systemctl start acct.service")
        allowed = host.run("systemctl show -p ConditionResult --value acct.service").stdout.strip()
    finally:
        if was != "active":
            host.run("systemctl stop acct.service; systemctl reset-failed acct.service")
    assert allowed == "no", "process accounting starts when somebody asks for it"
    promise.observed("process accounting does not start, not even when asked to")


# Mail that the system writes to itself

# A second cron, in a world of its own: what it mails goes to a recording sendmail that stands where a package's would.
_CRON = r"""
cron=$(systemctl show -p MainPID --value cron.service)
[ "$cron" -gt 0 ] || { echo absent; exit; }
place=$(mktemp -d /var/tmp/rrcheck.XXXXXXXX)
real=$(dpkg-divert --truename /usr/sbin/sendmail)
nsenter --target "$cron" --mount unshare --mount --propagation private sh -ec '
  place=$1 real=$2 word=$3
  mount -t tmpfs tmpfs "$place"
  mkdir "$place/upper" "$place/work" "$place/tabs" "$place/none"
  mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$place/upper,workdir=$place/work" /usr/sbin
  printf "#!/bin/sh\ncat >>%s/mailed\n" "$place" >"$real"
  chmod 755 "$real"
  printf "@reboot touch %s/ran; echo %s\n" "$place" "$word" >"$place/tabs/root"
  chmod 600 "$place/tabs/root"
  mount --bind "$place/tabs" /var/spool/cron/crontabs
  mount --bind "$place/none" /etc/cron.d
  mount -t tmpfs tmpfs /run
  /usr/sbin/cron -f >/dev/null 2>&1 & own=$!
  tries=0
  until [ -e "$place/ran" ] || [ $tries -ge 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  while pgrep -P $own >/dev/null && [ $tries -lt 150 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill $own
  [ -e "$place/ran" ] || { echo "not run"; exit; }
  if grep -qF "$word" "$place/mailed" 2>/dev/null; then echo mailed; else echo silent; fi
' sh "$place" "$real" WORD </dev/null
rmdir "$place"
"""


@control("log.system-mail")
def test_what_scheduled_jobs_print_is_not_mailed(host: Host, promise: Promise) -> None:
    if promise.value == "local":
        promise.observed("the policy keeps the mail of scheduled jobs")
        return
    word = probe.canary()
    seen = probe.run(host, _CRON.replace("WORD", word)).strip()
    if seen == "absent":
        promise.observed("cron does not run")
        return
    assert seen != "mailed", "what a scheduled job prints is mailed"
    if seen != "silent":
        promise.not_tested("the test's own scheduled job did not run")
    promise.observed("a scheduled job printed a word; with a mail system in place it was not mailed")


@control("log.system-mail")
def test_mail_of_earlier_jobs_is_gone(host: Host, promise: Promise) -> None:
    if promise.value == "local":
        promise.observed("the policy keeps the mail of scheduled jobs")
        return
    word, own = probe.canary(), probe.canary()
    box = f"/var/mail/{word}"
    letters = (
        f"From root Mon Jan 01 00:00:00 2024\\nSubject: Cron <root@desk> job\\nX-Cron-Env: <HOME=/root>\\n\\n{word}\\n\\n"
        f"From ben Mon Jan 01 00:00:01 2024\\nSubject: lunch\\n\\n{own}\\n\\n"
    )
    with removed_after(host, box):
        probe.run(host, f"printf '{letters}' >{box}")
        purge(host)
        assert probe.files_with(host, word, box) == 0, "the mail of a scheduled job is still in a mailbox"
        assert probe.files_with(host, own, box) == 1, "somebody's own letter was deleted"
    promise.observed("a job's letter and a person's in a mailbox: the job's is gone, the person's is kept")


# A legal hold


@control("log.legal-hold")
def test_a_legal_hold_pauses_deletion_and_nothing_else_does(host: Host, promise: Promise) -> None:
    held = "logs" in promise.value
    limit = limit_of(promise)
    if limit is None:
        return
    word = probe.canary()
    aged = f"{LOG}/sudo-io/{word}"
    marker_was = exists(host, HOLD) == 1
    assert marker_was == held, (
        "a hold is in force that the policy does not know of" if marker_was else "the hold is not in force"
    )
    with removed_after(host, aged if exists(host, f"{LOG}/sudo-io") else f"{LOG}/sudo-io"):
        probe.run(host, f"mkdir -p {LOG}/sudo-io; echo {word} >{aged}")
        probe.age(host, aged, limit + 60)
        if held:
            purge(host)
            assert exists(host, aged) == 1, "an aged record was deleted during the hold"
            _logrotate_is_paused(host)
            promise.observed("the hold is in force: an aged record stays, and old copies are not rotated away")
            return
        with removed_after(host, HOLD):  # for a second, as if the law had asked for it
            probe.run(host, f"mkdir -p $(dirname {HOLD}); echo test >{HOLD}")
            purge(host)
            assert exists(host, aged) == 1, "with a hold in force an aged record was deleted all the same"
            _logrotate_is_paused(host)
        purge(host)
        assert exists(host, aged) == 0, "no hold is in force, and yet an aged record is not deleted"
    promise.observed("with a hold an aged record stayed and logrotate was paused; without it the record was deleted")


def _logrotate_is_paused(host: Host) -> None:
    if host.run("systemctl show -p LoadState --value logrotate.service").stdout.strip() != "loaded":
        return
    host.run("systemctl start logrotate.service")
    result = host.run("systemctl show -p ConditionResult --value logrotate.service").stdout.strip()
    assert result == "no", "during a hold, old copies of logs would still be rotated away"
