"""Whatever a person writes, they get a compiled policy or errors with a place: never a traceback."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readingroom import controls, policy
from readingroom.compile import compiled
from readingroom.errors import Refused

ROOT = Path(__file__).parents[3]
CATALOGUE = controls.load(ROOT)
SEEDS = [path.read_bytes() for path in sorted((ROOT / "policies").glob("*/*.yml")) if path.parent.name != "controls"]
SEEDS += [path.read_bytes() for path in sorted((Path(__file__).parent / "refused").glob("*.yml"))]
SCRAPS = [b"[", b"]", b"{", b"}", b":", b"- ", b"\n", b"  ", b"\t", b"&a ", b"*a", b"<<: ", b"!!x ", b"|", b">", b"'", b'"',
          b"#", b"%", b"@", b"\x00", b"\xff", b"\xef\xbb\xbf", b"---\n", b"...\n", b"? ", b"null", b"forever", b"none", b"0",
          b"printing", b"like: public", b"machines", b"waivers", b"extends: standard\n", b"legal: {hold: [logs]}\n"]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        scrap = draw(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=4), st.just(b"")))
        again = text[at : at + draw(st.integers(0, 60))]
        text = text[:at] + scrap + draw(st.sampled_from([b"", again])) + text[at + length :]
    return text


@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated())
def test_a_mutated_policy_compiles_or_is_refused_with_a_place(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "library.yml"
    path.write_bytes(raw)
    try:
        found = policy.load(path, CATALOGUE, root=ROOT, machines={"desk-1": "public"}, today=dt.date(2026, 11, 23))
    except Refused as refused:
        assert refused.problems
        for problem in refused.problems:
            assert problem.place.path
            assert problem.code
            assert "\n" not in problem.message
    else:
        assert compiled("site", found, CATALOGUE)
