"""What is wrong with a policy is said with its place and its mend; the cases are the files in refused/."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from readingroom import controls, policy
from readingroom.document import LARGEST_BYTES
from readingroom.errors import Refused

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TODAY = dt.date(2026, 11, 23)
MACHINES = {"desk-1": "public", "desk-2": "staff"}
CATALOGUE = controls.load(ROOT)
CASES = sorted((HERE / "refused").glob("*.yml"))


def refused(path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        policy.load(path, CATALOGUE, root=ROOT, machines=MACHINES, today=TODAY)
    return caught.value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_fault_is_reported_with_its_place_and_its_mend(path: Path) -> None:
    text = path.read_text()
    error = refused(path)
    found = {f"{problem.code} {_place(problem.place, path)}" for problem in error.problems}
    assert found == set(re.findall(r"^# expect: (.+)$", text, re.M))
    for mend in re.findall(r"^# mend: (.+)$", text, re.M):
        assert mend in str(error)
    assert all(problem.mend for problem in error.problems if problem.code != "duplicate-key"), str(error)


def _place(place: object, path: Path) -> str:
    where = str(place).removeprefix(str(path.parent.relative_to(ROOT)) + "/").removeprefix(path.name + ":")
    return where.replace("tests/unit/policy/extended/", "../extended/")


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        pytest.param(b"", "empty-file", "", id="empty"),
        pytest.param(b"# only a remark\n", "empty-file", "", id="only a remark"),
        pytest.param("policy: 1\nname: B\xfccherei\n".encode("latin-1"), "not-utf-8", ":2:8", id="Latin-1"),
        pytest.param(b"policy: 1\n#" + b"x" * 5_000_000, "file-too-large", "", id="5 MB"),
        pytest.param(b"policy: 1\nname: \x00\n", "bad-character", "", id="NUL"),
        pytest.param(b"policy: 1\nname: " + b"[" * 200_000, "too-deep", ":2:56", id="bracket bomb"),
        pytest.param(b"- " * 100_000 + b"x", "too-deep", ":1:101", id="dash bomb"),
        pytest.param(
            b"a: &a [x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n", "alias", ":1:4", id="a billion laughs"
        ),
        pytest.param(b"- a\n- b\n", "wrong-type", ":1:1", id="a list"),
        pytest.param(b"? [a]\n: b\npolicy: 1\n", "key-not-text", ":1:3", id="a list as key"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_policy_at_all_is_refused(tmp_path: Path, raw: bytes, code: str, place: str) -> None:
    path = tmp_path / "policy.yml"
    path.write_bytes(raw)
    first = next(problem for problem in refused(path).problems if problem.code == code)
    assert str(first.place) == f"{path}{place}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert [problem.code for problem in refused(tmp_path / "none.yml").problems] == ["cannot-read"]
    assert [problem.code for problem in refused(tmp_path).problems] == ["cannot-read"]


def test_the_limit_leaves_room_for_the_largest_real_policy() -> None:
    largest = max(path.stat().st_size for path in (ROOT / "policies").rglob("*.yml"))
    assert largest * 100 < LARGEST_BYTES


def test_the_error_reads_as_the_house_style_shows_it() -> None:
    assert str(refused(HERE / "refused" / "looser-than-floor.yml")) == (
        "tests/unit/policy/refused/looser-than-floor.yml:6:30: printing.unclaimed_jobs is looser than its floor"
        "   [looser-than-floor]\n"
        "  you asked for  24h\n"
        "  the floor is   1h, set by valley-consortium 1.2.0 (valley.yml:5)\n"
        "  to mend        choose 1h or shorter, or ask the consortium for a signed waiver of print.unclaimed-jobs"
    )
