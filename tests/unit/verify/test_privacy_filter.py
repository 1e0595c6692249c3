"""Nothing private gets into the evidence, however hard a test tries."""

from __future__ import annotations

import json

import pytest

from readingroom.verify.privacy import Filter, names_in
from readingroom.verify.probe import canary

FILTER = Filter.of(people=["jdoe", "Jane Doe", "patron", "x"], places=["reading-7", "reading-7.springfield.example"])


@pytest.mark.parametrize(
    "private",
    [
        "jdoe", "JDoe", "Jane Doe", "reading-7", "reading-7.springfield.example", "10.77.0.21", "192.168.1.0/24",
        "fe80::1c2d:3eff:fe4f:5061", "2001:db8:0:0:0:0:0:1", "::1", "52:54:00:12:34:56", "jdoe@example.org",
        "ipp://10.0.0.9/ipp/print", "/home/jdoe/letter.odt", "/var/mail/jdoe", "/run/user/1003/x",
        "9f86d081884c7d659a2feaa0c55ad015", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", pytest.param(canary(), id="canary"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "the job of {} is there", "seen ({}), twice", "at {}: 3 left", "'{}'", "{}."])
def test_private_words_are_replaced_by_what_kind_they_are(private, around):
    clean = FILTER.clean(around.format(private))
    assert private.lower() not in clean.lower()
    assert "[" in clean


@pytest.mark.parametrize(
    "harmless",
    [
        "3 stale jobs planted, 0 left; 1 fresh job kept",
        "the patron account was refused with a key and with a password",
        "cups 2.4.10 says PreserveJobHistory No",
        "/etc/systemd/journald.conf.d/60-readingroom.conf sets MaxFileSec=1h",
        "the oldest entry is from 12:04:05, 23 hours ago",
        "sshd -T says permitrootlogin no; port 22 answers",
        "readingroom-print-purge.timer runs every 5 min",
        "100 % of 12 files, 0.2 s, up to 7d",
        "print::queue has no colon pair",
    ],
)
def test_plain_observations_stay_as_they_are(harmless):
    assert FILTER.clean(harmless) == harmless


def test_only_the_first_line_stays_without_colours_and_in_300_characters():
    assert FILTER.clean("\n\x1b[31mred\x1b[0m\tand\x00black\nsecond") == "red and black"
    assert len(FILTER.clean("word " * 200)) == 300


def test_names_come_from_the_machine():
    said = "os:Debian GNU/Linux 13 (trixie)\nperson:jdoe\nperson:Jane Doe\nplace:desk7\nplace:10.0.0.1\nnoise"
    system, words = names_in(said)
    assert system == "Debian GNU/Linux 13 (trixie)"
    assert words.clean("jdoe at desk7") == "[login] at [machine]"


LEAK = """
PRIVATE = ["{login}", "10.1.2.3", "/home/{login}/divorce.odt", "{login}@example.org", "{token}"]

@control("leak.observed")
def test_observed(host, promise):
    for word in PRIVATE:
        promise.observed("seen " + word)

@control("leak.assert")
def test_assert(host, promise):
    assert PRIVATE == [], "found " + " ".join(PRIVATE)

@control("leak.bare")
def test_bare(host, promise):
    assert host.run("echo " + " ".join(PRIVATE)).stdout == ""

@control("leak.object")
def test_object(host, promise):
    assert False, host.run("echo " + " ".join(PRIVATE))

@control("leak.skip")
def test_skip(host, promise):
    promise.not_tested("because of " + " ".join(PRIVATE))

@control("leak.crash")
def test_crash(host, promise):
    raise type("Of{login}", (Exception,), {{}})(PRIVATE)

@control("leak.output")
def test_output(host, promise):
    print(*PRIVATE)
    promise.observed("fine")
"""


def test_a_test_that_tries_to_leak_does_not_get_it_into_evidence_or_junit(site, promise):
    login, token = "mwollstonecraft", canary()
    # The machine says that it has this person; the rest of its answers is this computer's own.
    account = f"echo {login}:x:1500:1500::/:/bin/sh"
    site.shell = ("/bin/sh", "-c", f"sed -u 's,^getent passwd,{account},' | /bin/sh")
    site.tests(LEAK.format(login=login, token=token))
    controls = [f"leak.{name}" for name in ("observed", "assert", "bare", "object", "skip", "crash", "output")]
    evidence = site.verify({name: promise() for name in controls})
    evidence.write(site.build / "evidence.json")
    evidence.junit(site.build / "junit.xml")
    verdicts = {name: found.verdict for name, found in evidence.machines["public-1"].controls.items()}
    assert list(verdicts.values()) == ["kept", "broken", "broken", "broken", "not-tested", "not-tested", "kept"]
    for file in ("evidence.json", "junit.xml"):
        text = (site.build / file).read_text().lower()
        for private in (login, token, "10.1.2.3", "divorce", "/home/", "example.org", "commandresult"):
            assert private not in text, f"{private} leaked into {file}"
    assert json.loads((site.build / "evidence.json").read_text())
