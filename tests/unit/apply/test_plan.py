"""The plan: what a dry run said, put under the promises it serves; nothing secret, and one schema."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from readingroom import controls, policy, toolkit
from readingroom.apply import ApplyResult, Change, Engine, MachineResult, Plan, planned
from readingroom.apply.planned import published, schema
from readingroom.apply.serving import RoleList
from readingroom.compile import compile_site
from readingroom.fleet import Machine, Site
from readingroom.report import plan_text

ROOT = toolkit.root()
CATALOGUE = controls.load(ROOT)
TITLES = {control.id: control.title for control in CATALOGUE.controls.values()}

CUPSD = Change(
    "print_queue_purge", "Write /etc/cups/cupsd.conf", "@@ -1 +1 @@\n-Old\n+New", "write", "/etc/cups/cupsd.conf"
)
PROGRAM = Change("print_queue_purge", "Write settings: /usr/local/lib/readingroom/print_ages.py", "", "write",
                 "/usr/local/lib/readingroom/print_ages.py")  # fmt: skip
COPIERS = Change("print_queue_purge", "Enable and start readingroom-print-copiers.timer", "", "unit",
                 "readingroom-print-copiers.timer")  # fmt: skip
RESTART = Change("print_queue_purge", "Restart cups.service", "", "restart", "cups.service")
INSTALL = Change("shared_login_removal", "Install sudo", "", "install", "libpam0g\nsudo")
LOCK = Change("shared_login_removal", "Logins: shared logins: lock the login circdesk: no password, no shell, expired")
SENDMAIL = Change("log_retention", "Write /usr/sbin/sendmail", "", "write", "/usr/sbin/sendmail")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    build = tmp_path_factory.mktemp("build")
    names = {"public-1": "public", "staff-1": "staff"}
    compile_site(
        "lab", policy.load(ROOT / "policies" / "lab.yml", CATALOGUE, root=ROOT, machines=names), CATALOGUE, build
    )
    machines = tuple(Machine(name, kind, kind, {}) for name, kind in names.items())  # type: ignore[arg-type]
    return Site("lab", ROOT, Path("hosts.yml"), build, Path("ssh_config"), machines)


def plan(site: Site, *changes: Change, engine: Engine = "ansible") -> Plan:
    message = f"{len(changes)} changes would be made; nothing was touched." if changes else "Nothing to change."
    result = ApplyResult(engine, True, {"public-1": MachineResult("ok", changes, message)})
    return planned(result, site, CATALOGUE, complete=True)


def text(plan: Plan, *, full: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200)
    for line in plan_text(plan, TITLES, full=full):
        console.print(line)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        (COPIERS, {"print.copier-jobs"}),  # by what the unit's state is worked out from
        (SENDMAIL, {"log.system-mail"}),  # by `when`, and a path that is a constant of the role
        (LOCK, {"account.shared-logins"}),  # by the topic of a step
        (dataclasses.replace(CUPSD, subject="/etc/cups/cups-files.conf"), {"print.log-contents"}),  # by its template
        (
            dataclasses.replace(SENDMAIL, act="remove", subject="/etc/tmpfiles.d/00-readingroom-logins.conf"),
            {"log.logins"},
        ),
        (PROGRAM, set()),  # a program serves them all
        (INSTALL, set()),
    ],
)
def test_what_a_change_serves_follows_from_what_it_reads(change: Change, serves: set[str]) -> None:
    assert RoleList(ROOT / "roles" / change.role, CATALOGUE).serves(change) == serves


def test_a_restart_serves_what_asked_for_it() -> None:
    role = RoleList(ROOT / "roles" / "print_queue_purge", CATALOGUE)
    files = dataclasses.replace(CUPSD, subject="/etc/cups/cups-files.conf")
    assert role.serves(RESTART, [files, RESTART]) == {"print.log-contents"}
    assert role.serves(RESTART, [files, CUPSD, RESTART]) > {"print.log-contents", "print.unclaimed-jobs"}


@pytest.mark.parametrize("role", CATALOGUE.roles)
def test_every_promise_of_a_role_is_served_by_something_that_it_manages(role: str) -> None:
    known = RoleList(ROOT / "roles" / role, CATALOGUE)
    entries = [entry for part in known.manages.values() if isinstance(part, list) for entry in part]
    served = frozenset().union(*(known._behind(entry) for entry in entries if isinstance(entry, dict)))
    assert known.promises - served == set()


def test_a_plan_fits_the_published_schema_which_is_the_models(site: Site) -> None:
    written = json.loads(published(ROOT).read_text(encoding="utf-8"))
    assert written == schema(), "write readingroom.apply.planned.schema() there again"
    jsonschema.validate(json.loads(plan(site, CUPSD, INSTALL, RESTART).text()), written)
    assert Plan.model_validate_json(plan(site, CUPSD).text()) == plan(site, CUPSD)


def test_changes_are_told_under_the_promise_they_serve(site: Site) -> None:
    said = text(plan(site, INSTALL, CUPSD, PROGRAM, COPIERS, LOCK)).splitlines()
    assert "  For every promise of shared_login_removal" in said
    assert said[said.index("  Jobs waiting in copiers (print.copier-jobs)") + 1].split() == [
        "service", "Enable", "and", "start", "readingroom-print-copiers.timer",
    ]  # fmt: skip
    assert any(line.strip().startswith("install") and line.endswith("libpam0g, sudo") for line in said)
    assert "        -Old" in said
    assert "        +New" in said


def test_what_is_deleted_for_good_and_what_people_notice_is_told(site: Site) -> None:
    said = text(plan(site, CUPSD, RESTART, LOCK))
    assert "print jobs with their documents, in /var/spool/cups" in said
    assert "Printing pauses for a few seconds" in said
    assert "people need their own" in said
    assert "    No." in text(plan(site, SENDMAIL))


def test_a_handler_that_names_no_unit_is_a_step_and_what_people_notice_of_it_is_told(site: Site) -> None:
    greeter = Change("session_reset", "Restart the login screen, unless somebody is logged in")
    made = plan(site, greeter).machines["public-1"]
    assert (made.changes[0].act, made.changes[0].subject) == ("step", "")
    assert "The login screen starts anew" in text(plan(site, greeter))
    cups = plan(site, dataclasses.replace(RESTART, act="step", subject="")).machines["public-1"]
    assert (cups.changes[0].act, cups.changes[0].subject) == ("restart", "cups.service")


def test_a_role_that_does_not_say_what_people_notice_is_not_taken_to_mean_nothing(site: Site) -> None:
    quiet = plan(site, SENDMAIL)
    machine = quiet.machines["public-1"].model_copy(update={"unsure": ("vpn",)})
    said = text(quiet.model_copy(update={"machines": {"public-1": machine}}))
    assert "vpn does not say" in said
    assert "    No." not in said


def test_an_unchanged_machine_is_one_line(site: Site) -> None:
    assert text(plan(site)).strip() == "public-1: Nothing to change."


def test_what_belongs_to_no_role_is_told_beside_the_changes(site: Site) -> None:
    cut_short = Change("", "Restart what an interrupted run may have left waiting")
    machine = plan(site, cut_short, RESTART).machines["public-1"]
    assert [change.what for change in machine.changes] == [RESTART.what]
    assert machine.notes == (cut_short.what,)


def test_new_files_are_named_and_shown_in_full_only_when_asked(site: Site) -> None:
    new = dataclasses.replace(CUPSD, detail="--- a\n+++ a\n@@ -0,0 +1,2 @@\n+one\n+two")
    assert "/etc/cups/cupsd.conf  (2 lines)" in text(plan(site, new))
    assert "+one" not in text(plan(site, new))
    assert "+one" in text(plan(site, new), full=True)


def test_a_long_diff_is_cut_and_says_so(site: Site) -> None:
    long = dataclasses.replace(CUPSD, detail="@@ -1 +1 @@\n" + "\n".join(f"-{n}" for n in range(99)))
    assert "60 more lines: --full shows them" in text(plan(site, long))


@pytest.mark.parametrize("engine", ["ansible", "pyinfra"])
def test_the_content_of_a_secret_file_is_in_no_plan(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoleList, "entry", lambda self, change: {"path": change.subject, "no_diff": True})
    secret = dataclasses.replace(CUPSD, detail="@@ -1 +1 @@\n-hunter1\n+hunter2")
    made = plan(site, secret, engine=engine)
    assert "hunter" not in made.text() + text(made, full=True)
    assert "content not shown" in text(made)
