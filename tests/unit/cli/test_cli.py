"""The command line as a person meets it: words, exit codes, and never a traceback for their mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def readingroom(*arguments: str, home: Path = ROOT) -> subprocess.CompletedProcess[str]:
    script = "import sys; from readingroom.cli import main; sys.argv[0] = 'readingroom'; main()"
    environment = {**os.environ, "READINGROOM_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["harden", "lib"], "there is no such policy"),
        (["compile", "../etc"], "there is no such policy"),
        (["explain", "printing.unclaimed_job"], "did you mean printing.unclaimed_jobs?"),
        (["check", "no-such-file.yml"], "cannot be read"),
        (["check", "tests/unit/policy/refused/unknown-key.yml"], "did you mean unclaimed_jobs?"),
        (["check", "tests/unit/policy/refused/looser-than-floor.yml"], "choose 1h or shorter"),
        (["hardn"], "No such command"),
        (["verify", "--contrl", "x"], "No such option"),
    ],
)
def test_bad_input_is_explained_and_exits_with_2(arguments: list[str], said: str) -> None:
    done = readingroom(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_every_policy_that_is_shipped_is_without_fault() -> None:
    done = readingroom("check")
    assert done.returncode == 0, done.stderr
    for name in ("lab.yml", "springfield.yml", "elm-street.yml", "valley-consortium.yml"):
        assert f"{name}: " in done.stdout


def test_explain_says_the_value_the_promise_and_who_set_it() -> None:
    done = readingroom("explain", "printing.unclaimed_jobs")
    assert done.returncode == 0, done.stderr
    assert "public: 1h" in done.stdout
    assert "preset standard" in done.stdout
    assert readingroom("explain", "print.unclaimed-jobs").stdout == done.stdout


def test_the_schema_can_be_piped_into_a_file() -> None:
    assert readingroom("schema").stdout == (ROOT / "policies" / "policy.schema.json").read_text()


def test_outside_a_checkout_it_says_what_is_missing(tmp_path: Path) -> None:
    done = readingroom("check", home=tmp_path)
    assert done.returncode == 2
    assert "set READINGROOM_HOME to the checkout" in done.stderr


def test_without_a_command_it_teaches() -> None:
    done = readingroom()
    assert "harden" in done.stdout + done.stderr
