"""The table of promises, before and after."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from readingroom.report import plain, rows, summary, table
from readingroom.verify import ControlEvidence, Evidence, MachineEvidence

AT = "2026-11-23T12:04:05Z"


def evidence(**verdicts):
    controls = {}
    for name, verdict in verdicts.items():
        reason = None if verdict in ("kept", "broken") else "a reason [in brackets]"
        controls[f"print.{name}"] = ControlEvidence(
            verdict=verdict, statement=f"The promise {name}.", role="print_queue_purge",
            observed="3 left" if verdict == "broken" else "", reason=reason, at=AT,
        )  # fmt: skip
    machine = MachineEvidence(**{"class": "public"}, os="Debian", controls=controls)
    return Evidence(site="lab", policy_digest="sha256:0", toolkit="0.1", machines={"public-1": machine})


@pytest.fixture
def shown():
    before = evidence(jobs="broken", history="broken", kernel="not-tested", other="not-applicable")
    return rows(evidence(jobs="kept", history="broken", kernel="waived", other="not-applicable"), before)


def test_rows_compare_before_and_after_and_leave_out_what_is_not_promised(shown):
    assert [(row.control, row.before, row.after) for row in shown] == [
        ("print.jobs", "broken", "kept"),
        ("print.history", "broken", "broken"),
        ("print.kernel", "not-tested", "waived"),
    ]


def test_the_ratio_counts_only_what_is_kept(shown):
    assert str(summary(shown)) == "1 of 3 promises kept, 1 broken, 1 waived"
    assert str(summary(rows(evidence(a="kept", b="unsupported")))) == "1 of 2 promises kept, 1 not supported"


def test_plain_text_says_everything_without_colour(shown):
    assert plain(shown).splitlines() == [
        "public-1",
        "  BROKEN → kept           print.jobs     The promise jobs.",
        "  BROKEN → BROKEN         print.history  The promise history.",
        "                          3 left",
        "  not tested → waived     print.kernel   The promise kernel.",
        "                          a reason [in brackets]",
        "",
        "1 of 3 promises kept, 1 broken, 1 waived",
    ]


def test_without_an_earlier_look_there_is_one_verdict():
    assert (
        plain(rows(evidence(jobs="kept"))).splitlines()[1] == "  kept                    print.jobs  The promise jobs."
    )


def test_the_table_for_terminals_shows_the_same(shown):
    out = io.StringIO()
    Console(file=out, width=100).print(table(shown))
    text = out.getvalue()
    for words in (
        "1 of 3 promises kept",
        "The promise history.",
        "3 left",
        "a reason [in brackets]",
        "public-1",
        "before",
    ):
        assert words in text
