"""What a verification makes of tests that pass, fail, break down, hang or are not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from readingroom.errors import ReadingRoomError, Refused
from readingroom.verify import Finished, Judged, Started, run


@pytest.fixture
def verdict(site, promise):
    """Run one test with this body, bound to the control print.jobs, and return what the evidence says of it."""

    def ask(body, **changes):
        site.tests(
            "@control('print.jobs')\ndef test_it(host, promise):\n" + textwrap.indent(textwrap.dedent(body), "    ")
        )
        return site.verify({"print.jobs": promise(**changes)}).machines["public-1"].controls["print.jobs"]

    return ask


def test_a_test_that_passes_keeps_the_promise_and_says_what_it_saw(verdict, site):
    found = verdict("assert host.run('echo 3').stdout == '3\\n'\npromise.observed('3 planted, 0 left')")
    assert (found.verdict, found.observed, found.reason) == ("kept", "3 planted, 0 left", None)
    assert site.log == ""


def test_what_lies_in_the_folders_above_is_none_of_its_business(verdict, site):
    for folder in (site.root, site.root / "tests"):
        (folder / "conftest.py").write_text("import no_such_module\n")
    found = verdict("promise.observed('tested')")
    assert (found.verdict, site.log) == ("kept", "")


def test_a_failed_assert_breaks_the_promise_in_its_authors_words(verdict):
    found = verdict("left = 2\nassert left == 0, f'{left} of 3 jobs are still there'")
    assert (found.verdict, found.observed) == ("broken", "2 of 3 jobs are still there")


def test_no_variable_and_no_second_line_gets_into_the_evidence(verdict):
    found = verdict("title = 'How to leave my husband'\nassert title == '', 'a title is there\\nnamely: ' + title")
    assert (found.verdict, found.observed) == ("broken", "a title is there")
    bare = verdict("title = 'How to leave my husband'\nassert title == ''")
    assert bare.verdict == "broken"
    assert "husband" not in bare.model_dump_json()


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('how to leave my husband')",
        "host.check_output('echo how to leave my husband; exit 1')",
        "{}['how to leave my husband']",
        "probe.run(host, 'echo how to leave my husband; false')",
    ],
)
def test_a_check_that_does_not_work_is_not_tested_and_never_broken(verdict, site, body):
    found = verdict(body)
    assert found.verdict == "not-tested"
    assert found.reason.startswith("the check itself did not work")
    assert "husband" not in found.model_dump_json()
    assert "husband" in site.log, "the author of the check finds the traceback in the local log"


def test_only_the_owner_can_read_the_log(verdict, site):
    verdict("raise ValueError")
    (log,) = site.build.glob("verify/*.log")
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_check_that_cannot_tell_says_why(verdict):
    found = verdict("promise.not_tested('needs a kernel of its own')")
    assert (found.verdict, found.reason) == ("not-tested", "needs a kernel of its own")


def test_an_event_that_never_comes_is_a_finding(verdict):
    found = verdict("probe.wait_until(lambda: host.run('false').rc == 0, 'the job was never deleted', within=0.3)")
    assert (found.verdict, found.observed) == ("broken", "the job was never deleted")


def test_tests_see_what_was_promised_and_nothing_else(verdict):
    body = """
    assert promise.value == '2h' and promise.seconds == 7200 and promise.inputs == {'printing.copiers': ['x']}
    assert promise.machine == 'public-1' and promise.machine_class == 'public'
    assert promise.expects('printing.jobs') == '1h' and promise.expects_seconds('printing.jobs') == 3600
    """
    assert verdict(body, value="2h", seconds=7200, inputs={"printing.copiers": ["x"]}).verdict == "kept"


def test_several_tests_of_one_control_count_together(site, promise):
    site.tests("""
    @control("a.two")
    def test_one(host, promise): promise.observed("first")
    @control("a.two")
    def test_two(host, promise): promise.observed("second")
    @control("a.broken")
    def test_three(host, promise): promise.not_tested("no printer")
    @control("a.broken")
    def test_four(host, promise): assert False, "seen"
    @control("a.untold")
    def test_five(host, promise): promise.not_tested("no printer")
    @control("a.untold")
    def test_six(host, promise): promise.observed("fine")
    @control("a.cannot")
    def test_seven(host, promise): promise.unsupported("no such setting")
    @control("a.cannot")
    def test_eight(host, promise): promise.observed("the other one is set")
    @control("a.cannot")
    def test_nine(host, promise): promise.not_applicable("a third is not installed")
    """)
    controls = ("a.two", "a.broken", "a.untold", "a.cannot")
    for order in (None, 1, 2, 3):
        found = site.verify({name: promise() for name in controls}, shuffle=order).machines["public-1"].controls
        seen = [(found[name].verdict, found[name].observed, found[name].reason) for name in controls]
        assert seen == [
            ("kept", "first; second", None), ("broken", "seen", None), ("not-tested", "fine", "no printer"),
            ("unsupported", "the other one is set", "no such setting"),
        ]  # fmt: skip


def test_shuffled_tests_really_run_in_another_order(site, promise):
    names = [f"a.c{number}" for number in range(8)]
    site.tests("".join(f"@control('{name}')\ndef test_{name[2:]}(host, promise): pass\n" for name in names))
    orders = set()
    for seed in (None, 1, 2):
        events = []
        site.verify({name: promise() for name in names}, shuffle=seed, on_event=events.append)
        orders.add(tuple(event.control for event in events if isinstance(event, Judged)))
    assert len(orders) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(names)}


def test_a_control_without_a_test_is_not_tested(site, promise):
    found = site.verify({"print.jobs": promise()}).machines["public-1"].controls["print.jobs"]
    assert (found.verdict, found.reason) == ("not-tested", "no check exists for this promise yet")


def test_a_promise_on_hold_or_not_made_here_is_not_tested_on_the_machine(site, promise):
    site.tests("@control('a.held')\n@control('a.held')\ndef test_it(host, promise): assert False, 'was run'")
    site.tests("@control('a.elsewhere')\ndef test_it(host, promise): assert False, 'was run'", "test_more.py")
    found = site.verify({"a.held": promise(held=True), "a.elsewhere": promise(applies=False)})
    controls = found.machines["public-1"].controls
    assert (controls["a.held"].verdict, controls["a.held"].reason) == ("waived", "a legal hold pauses this promise")
    assert controls["a.elsewhere"].verdict == "not-applicable"


def test_a_module_that_cannot_be_loaded_spoils_only_its_own_controls(site, promise):
    site.tests("import nothing_like_this\n@control('a.lost')\ndef test_it(host, promise): pass", "test_bad.py")
    site.tests("@control('a.good')\ndef test_it(host, promise): pass", "test_good.py")
    controls = site.verify({"a.lost": promise(), "a.good": promise()}).machines["public-1"].controls
    assert {name: found.verdict for name, found in controls.items()} == {"a.lost": "not-tested", "a.good": "kept"}
    assert "nothing_like_this" in site.log


def test_a_machine_that_does_not_answer_is_listed_and_nothing_of_it_is_judged(site, promise):
    site.tests("@control('a.one')\ndef test_it(host, promise): pass")
    site.shell = ("/bin/sh", "-c", "echo 'ssh: connect to host 10.1.2.3 port 22: Connection timed out' >&2; exit 255")
    events = []
    evidence = site.verify(
        {"a.one": promise(), "a.two": promise(), "a.not": promise(applies=False)}, on_event=events.append
    )
    assert evidence.unreachable == ("public-1",)
    machine = evidence.machines["public-1"]
    assert machine.os is None
    assert machine.unreachable == "the machine did not answer in time"
    assert {name: found.verdict for name, found in machine.controls.items()} == {
        "a.one": "not-tested", "a.two": "not-tested", "a.not": "not-applicable",
    }  # fmt: skip
    assert "10.1.2.3" not in evidence.model_dump_json()
    assert events == [Started("public-1", 3), Finished("public-1", "the machine did not answer in time")]


def test_a_machine_lost_on_the_way_keeps_what_was_found_broken_and_nothing_else(site, promise):
    # The shell ends after the third command, and there is no new one to be had.
    site.shell = ("/bin/sh", "-c", f"[ -e {site.root}/gone ] && exit 255; touch {site.root}/gone; exec /bin/sh")
    site.tests("""
    @control("a.broken")
    def test_one(host, promise): assert False, "seen before"
    @control("a.half")
    def test_two(host, promise): pass
    @control("a.half")
    def test_three(host, promise): host.run("kill -KILL $(ps -o ppid= -p $(ps -o ppid= -p $$))")
    @control("a.never")
    def test_four(host, promise): pass
    """)
    evidence = site.verify({name: promise() for name in ("a.broken", "a.half", "a.never")})
    machine = evidence.machines["public-1"]
    assert machine.unreachable == "the connection to the machine was lost"
    assert {name: found.verdict for name, found in machine.controls.items()} == {
        "a.broken": "broken", "a.half": "not-tested", "a.never": "not-tested",
    }  # fmt: skip


def test_machines_are_asked_side_by_side(site, promise):
    site.tests("@control('a.one')\ndef test_it(host, promise): host.run('sleep 1.5')")
    entry = {"class": "public", "kind": "public", "controls": {"a.one": promise()}, "keys": {}}
    site.machines = {f"public-{number}": entry for number in range(4)}
    began = time.monotonic()
    evidence = site.verify()
    assert evidence.counts == {"kept": 4}
    assert time.monotonic() - began < 4 * 1.5, "four machines took as long as one after the other"


def test_what_a_command_leaves_in_the_background_holds_nothing_up(verdict):
    body = """
    import time
    began = time.monotonic()
    assert host.run('sleep 20 & echo done').stdout == 'done\\n'
    assert time.monotonic() - began < 5
    """
    assert verdict(body).verdict == "kept"


def test_commands_are_told_apart_whatever_they_print_or_do(verdict):
    body = r"""
    assert host.run('exit 3').rc == 3
    assert host.run('if; then').rc == 2
    assert host.run("cat").stdout == ''
    odd = host.run("printf 'reading-room-says-1 0 0 0\\n\\377\\000x'; printf e >&2")
    assert odd.stdout_bytes == b'reading-room-says-1 0 0 0\n\xff\0x' and odd.stderr == 'e'
    assert host.run('echo %s', "it's; echo two").stdout == "it's; echo two\n"
    assert host.file('/etc/passwd').exists
    """
    assert verdict(body).verdict == "kept"


def test_ctrl_c_lets_the_test_tidy_up(site, promise, tmp_path):
    site.tests(f"""
    @control('a.one')
    def test_it(host, promise):
        try:
            host.run('touch {tmp_path}/begun')
            host.run('sleep 30')
        finally:
            host.run('touch {tmp_path}/tidied')
    """)
    site.verify({"a.none": promise()})
    expectations = site.build / "expectations.json"
    expectations.write_text(expectations.read_text().replace("a.none", "a.one"))
    script = f"""
import signal
from pathlib import Path
from types import SimpleNamespace
from readingroom.verify import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs these tests in the background ignores Ctrl-C
root = Path({str(site.root)!r})
build, config = root / "build/springfield", root / "ssh_config"
site = SimpleNamespace(name="springfield", root=root, build=build, ssh_config=config, vantages=((),))
run(site, start=lambda _site, _machine: ["/bin/sh"])
"""
    verifying = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    while not (tmp_path / "begun").exists() and verifying.poll() is None:
        time.sleep(0.05)
    os.kill(verifying.pid, signal.SIGINT)
    verifying.communicate(timeout=20)
    assert verifying.returncode != 0
    assert (tmp_path / "tidied").exists()


def test_a_site_that_is_not_compiled_says_what_to_type(site):
    with pytest.raises(ReadingRoomError, match="readingroom compile springfield"):
        run(site)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"controls": ["print.job"]}, "did you mean print.jobs?"),
        ({"roles": ["print_queue"]}, "did you mean print_queue_purge?"),
        ({"machines": ["public-2"]}, "did you mean public-1?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(site, promise, asked, hint):
    with pytest.raises(Refused, match="there is no") as refused:
        site.verify({"print.jobs": promise()}, **asked)
    assert hint in str(refused.value)


def test_a_selection_judges_only_what_was_asked_and_says_so(site, promise):
    site.tests(
        "@control('a.one')\ndef test_it(host, promise): pass\n@control('a.two')\ndef test_two(host, promise): pass"
    )
    whole = site.verify({"a.one": promise(), "a.two": promise(role="log_retention")})
    assert whole.complete
    for asked in ({"controls": ["a.two"]}, {"roles": ["log_retention"]}):
        part = site.verify(**asked)
        assert not part.complete
        assert list(part.machines["public-1"].controls) == ["a.two"]


def test_evidence_is_what_the_issue_asks_for(verdict, site):
    verdict("promise.observed('fine')")
    evidence = site.verify()
    evidence.write(site.build / "evidence.json")
    written = json.loads((site.build / "evidence.json").read_text())
    assert {"site", "policy_digest", "toolkit", "machines"} <= set(written)
    machine = written["machines"]["public-1"]
    assert machine["class"] == "public"
    assert machine["os"]
    assert {"verdict", "statement", "observed", "at"} <= set(machine["controls"]["print.jobs"])


def test_two_runs_on_one_machine_do_not_get_into_each_others_way(site, promise):
    site.tests("@control('a.one')\ndef test_it(host, promise): host.run('sleep 0.5')")
    site.verify({"a.one": promise()})
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: run(site, start=lambda *_: site.shell), range(3)))
    assert [evidence.counts for evidence in found] == [{"kept": 1}] * 3
