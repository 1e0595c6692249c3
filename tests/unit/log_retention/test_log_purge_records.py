"""Login records, the journal, leases and mailboxes lose what is too old, to the byte, and nothing else."""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from log_purge import accounting, journal, leases, logins, mail, main
from log_purge.logins import LASTLOG, UTMP
from log_purge.settings import Settings
from log_purge.store import Store

NOW = 1_785_000_000.0
DAY = 86400
Make = Callable[..., Settings]


def login(name: bytes, age: float) -> bytes:
    record = bytearray(UTMP.size)
    record[44 : 44 + len(name)] = name
    UTMP.time.pack_into(record, UTMP.offset, int(NOW - age))
    return bytes(record)


@pytest.mark.parametrize("name", ["wtmp", "btmp", "wtmp.1", "btmp.1"])
def test_aged_logins_go_and_fresh_ones_stay(name: str, settings: Make) -> None:
    path = settings().path("/var/log/" + name)
    path.write_bytes(login(b"old", 2 * DAY) + login(b"new", 60) + b"torn record")
    logins.purge(settings(), NOW)
    assert path.read_bytes() == login(b"new", 60)


def test_lastlog_forgets_who_was_here_long_ago_even_far_down_a_sparse_file(settings: Make) -> None:
    path = settings().path("/var/log/lastlog")
    slots = {0: 2 * DAY, 1000: 60, 4_000_000: 3 * DAY}
    with path.open("wb") as file:
        for uid, age in slots.items():
            file.seek(uid * LASTLOG.size)
            file.write(
                LASTLOG.time.pack(int(NOW - age)) + f"tty{uid}".encode().ljust(LASTLOG.size - LASTLOG.time.size, b"\0")
            )
    logins.purge(settings(), NOW)
    content = path.read_bytes()
    assert (b"tty0" in content, b"tty1000" in content, b"tty4000000" in content) == (False, True, False)


def test_databases_lose_the_bytes_too(settings: Make) -> None:
    path = settings().path("/var/log/wtmp.db")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE wtmp (ID INTEGER PRIMARY KEY, User TEXT, Login INTEGER)")
        for name, age in (("canary-old", 2 * DAY), ("canary-new", 60)):
            database.execute("INSERT INTO wtmp (User, Login) VALUES (?, ?)", (name, int((NOW - age) * 1e6)))
    database.close()
    logins.purge(settings(), NOW)
    content = path.read_bytes()
    assert (b"canary-old" in content, b"canary-new" in content) == (False, True)


def test_where_no_record_is_wanted_none_is_left(settings: Make) -> None:
    names = ["wtmp", "wtmp.1", "btmp", "btmp.1.gz", "wtmp.db", "wtmp.report", "lastlog.migrated"]
    for name in names:
        settings().path("/var/log/" + name).write_bytes(login(b"x", 0))
    logins.purge(settings(logins="none"), NOW)
    assert not any(settings().path("/var/log/" + name).exists() for name in names)


def journal_file(path: Path, age: float, state: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytearray(b"LPKSHHRH" + bytes(200))
    header[16] = state
    struct.pack_into("<Q", header, 184, int((NOW - age) * 1e6))
    path.write_bytes(header)
    os.utime(path, (NOW, NOW))
    return path


def test_the_journal_is_judged_by_its_oldest_entry(settings: Make, store: Store) -> None:
    settings().path("/etc").mkdir()
    settings().path("/etc/machine-id").write_text("a" * 32 + "\n")
    own, other = settings().path("/var/log/journal") / ("a" * 32), settings().path("/var/log/journal") / ("b" * 32)
    gone = [
        journal_file(own / "system@1-2-3.journal", 2 * DAY),
        journal_file(own / "user-1000@1-2.journal~", 2 * DAY),
        journal_file(other / "system.journal", 2 * DAY, state=0),
        journal_file(settings().path("/run/log/journal") / ("a" * 32) / "system@1.journal", 2 * DAY),
    ]
    kept = [
        journal_file(own / "system.journal", 2 * DAY, state=1),  # journald is writing to it
        journal_file(own / "system@4-5-6.journal", 60),
        journal_file(other / "user-1.journal", 2 * DAY, state=1),  # and so is somebody else
    ]
    journal.purge(settings(), NOW, store)
    assert [path.exists() for path in gone + kept] == [False] * 4 + [True] * 3
    journal.purge(settings(journal="volatile"), NOW, store)
    assert not list(settings().path("/var/log/journal").iterdir())


def dhcpcd_lease6(seconds: int) -> bytes:
    """An answer of a DHCPv6 server with one address, as dhcpcd keeps it."""
    address = bytes(16) + (600).to_bytes(4, "big") + seconds.to_bytes(4, "big")
    inside = bytes(12) + bytes([0, 5, 0, len(address)]) + address
    return bytes([7, 1, 2, 3, 0, 1, 0, 2, 9, 9]) + bytes([0, 3, 0, len(inside)]) + inside


def test_a_lease_of_dhcpcd_runs_from_when_it_was_written(settings: Make) -> None:
    folder = settings().path("/var/lib/dhcpcd")
    folder.mkdir(parents=True)
    for name, seconds in (("week.lease6", 7 * 86400), ("hour.lease6", 3600)):
        (folder / name).write_bytes(dhcpcd_lease6(seconds))
        os.utime(folder / name, (NOW - 3 * DAY, NOW - 3 * DAY))
    leases.purge(settings(), NOW)
    assert [path.name for path in folder.iterdir()] == ["week.lease6"]


def lease(name: str, ends: float) -> str:
    when = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(ends))
    return f'lease {{\n  option host-name "{name}";\n  expire 4 {when};\n}}\n'


def test_only_leases_that_ended_long_ago_go(settings: Make) -> None:
    path = settings().path("/var/lib/dhcp/dhclient.leases")
    path.parent.mkdir(parents=True)
    path.write_text(lease("old", NOW - 2 * DAY) + lease("ended", NOW - 60) + lease("active", NOW + 60) + "lease {\n}\n")
    leases.purge(settings(), NOW)
    assert path.read_text() == lease("ended", NOW - 60) + lease("active", NOW + 60) + "lease {\n}\n"
    leases.purge(settings(network=0), NOW)
    assert path.read_text() == lease("active", NOW + 60) + "lease {\n}\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_leases_in_other_formats(settings: Make) -> None:
    folder = settings().path("/var/lib")
    texts = {
        "misc/dnsmasq.leases": (
            f"{int(NOW - 2 * DAY)} 02:00 192.0.2.1 old *\n",
            "0 02:01 192.0.2.2 static *\nduid 00:01\n",
        ),
        "kea/kea-leases4.csv": (
            f"192.0.2.1,02:00,,3600,{int(NOW - 2 * DAY)},1\n",
            "address,hwaddr,client_id,valid,expire,id\n",
        ),
        "NetworkManager/timestamps": (f"1-2-3={int(NOW - 2 * DAY)}\n", f"[timestamps]\n4-5-6={int(NOW)}\n"),
        "dhcp/dhclient6.leases": (
            f"lease6 {{\n  ia-na {{\n    starts {int(NOW - 3 * DAY)};\n    max-life 86400;\n  }}\n}}\n".replace(
                "\n  }", "\n  }"
            ),
            "default-duid x;\n",
        ),
    }
    for name, (old, kept) in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(kept + old)
    leases.purge(settings(network=3600), NOW)
    assert {name: (folder / name).read_text() for name in texts} == {name: kept for name, (_, kept) in texts.items()}


def test_the_connection_in_use_keeps_its_address(settings: Make) -> None:
    used, unused = "11111111-2222-4333-8444-555555555555", "66666666-2222-4333-8444-555555555555"
    folder, run = settings().path("/var/lib/NetworkManager"), settings().path("/run/NetworkManager/devices")
    folder.mkdir(parents=True)
    run.mkdir(parents=True)
    (run / "2").write_text(f"connection-uuid={used}\n")
    for uuid in (used, unused):
        path = folder / f"internal-{uuid}-eth0.lease"
        path.write_text("ADDRESS=192.0.2.1\n")
        os.utime(path, (NOW - 9 * DAY, NOW - 9 * DAY))
    leases.purge(settings(), NOW)
    assert [path.name for path in folder.iterdir()] == [f"internal-{used}-eth0.lease"]


def test_a_job_s_letter_goes_and_a_locked_mailbox_waits(settings: Make) -> None:
    box = settings().path("/var/mail/ben")
    box.parent.mkdir(parents=True)
    job, own = "From c x\nSubject: Cron <a@b> c\nX-Cron-Env: <A=b>\n\nsecret\n\n", "From b x\nSubject: hello\n\nhi\n\n"
    box.write_text(job + own)
    lock = box.with_name("ben.lock")
    lock.touch()
    mail.purge(settings())
    assert box.read_text() == job + own
    lock.unlink()
    mail.purge(settings())
    assert (box.read_text(), lock.exists()) == (own, False)


def test_accounting_goes_only_where_it_is_off(settings: Make) -> None:
    path = settings().path("/var/log/account/pacct")
    path.parent.mkdir()
    path.write_bytes(bytes(64))
    accounting.purge(settings(accounting=True))
    assert path.exists()
    accounting.purge(settings())
    assert not path.exists()


def test_a_legal_hold_pauses_everything(settings: Make, tmp_path: Path) -> None:
    copy = settings().path("/var/log/x.log.1")
    copy.write_text("x")
    os.utime(copy, (0, 0))
    marker = tmp_path / "etc/readingroom/legal-hold-logs"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert main.main(["--root", str(tmp_path)]) == 0
    assert copy.exists()


def test_bad_settings_are_said_in_one_line(settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings()
    assert main.main(["--root", str(tmp_path)]) == 2
    assert "run the role log_retention again" in capsys.readouterr().err
