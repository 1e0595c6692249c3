"""The lattice laws, for every type a policy value can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readingroom.controls.durations import Duration, Unfit, parse_duration
from readingroom.controls.values import (
    ChoiceType,
    Conflict,
    DurationType,
    FreeType,
    ListType,
    PinnedType,
    SwitchType,
    ValueType,
)
from readingroom.document import Item
from readingroom.errors import Place

WORDS = {"nightly": "24h"}
SPANS = st.one_of(
    st.sampled_from(["none", "forever", "nightly"]),
    st.builds("{}{}".format, st.integers(1, 999), st.sampled_from("smhdw")),
).map(lambda text: parse_duration(text, WORDS))
LOGINS = st.sets(st.sampled_from(["ada", "ben", "cy", "dot", "eve"])).map(lambda names: tuple(sorted(names)))
TYPES: dict[str, tuple[ValueType, st.SearchStrategy[Any], Callable[[Any, Any], bool]]] = {
    "shorter": (DurationType("shorter", words=WORDS), SPANS, lambda a, b: a <= b),
    "longer": (DurationType("longer", words=WORDS), SPANS, lambda a, b: a >= b),
    "choice": (ChoiceType(("weak", "fair", "strong")), st.sampled_from(["weak", "fair", "strong"]),
               lambda a, b: ["weak", "fair", "strong"].index(a) >= ["weak", "fair", "strong"].index(b)),
    "switch safe on": (SwitchType(safe=True), st.booleans(), lambda a, b: a >= b),
    "switch safe off": (SwitchType(safe=False), st.booleans(), lambda a, b: a <= b),
    "allow-list": (ListType("login", allows=True), LOGINS, lambda a, b: set(a) <= set(b)),
    "deny-list": (ListType("login", allows=False), LOGINS, lambda a, b: set(a) >= set(b)),
    "deny-list of spans": (ListType("span", allows=False), st.sets(SPANS).map(lambda spans: tuple(sorted(spans))),
                           lambda a, b: set(a) >= set(b)),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_combining_obeys_the_lattice_laws_and_only_tightens(name: str) -> None:
    declared, values, at_least_as_strict = TYPES[name]

    @given(values, values, values)
    def laws(a: Any, b: Any, c: Any) -> None:
        combine = declared.combine
        assert combine(a, a) == a
        assert combine(a, b) == combine(b, a)
        assert combine(combine(a, b), c) == combine(a, combine(b, c))
        assert at_least_as_strict(combine(a, b), a)
        assert at_least_as_strict(combine(a, b), b)
        assert declared.looser(a, b) == (not at_least_as_strict(a, b))
        assert not declared.looser(combine(a, b), a)
        assert name == "allow-list" or declared.looser(declared.weakest(a), a) == (declared.weakest(a) != a)

    laws()


@given(st.sampled_from(["ada", "ben"]), st.sampled_from(["ada", "ben"]))
def test_a_pinned_value_agrees_or_conflicts(a: str, b: str) -> None:
    pinned = PinnedType("login")
    assert pinned.combine(a, a) == a
    assert pinned.looser(a, b) == (a != b)
    if a != b:
        with pytest.raises(Conflict):
            pinned.combine(a, b)


def test_a_free_value_is_never_looser() -> None:
    free = FreeType("login")
    assert not free.looser("ada", "ben")
    with pytest.raises(Conflict):
        free.combine("ada", "ben")


def test_a_day_is_spelled_in_hours_and_equal_spans_are_equal() -> None:
    assert str(parse_duration("1d")) == str(parse_duration("24h")) == "24h"
    assert parse_duration("2w") == parse_duration("14d") == parse_duration("336h")
    assert parse_duration("90s").seconds == 90
    assert parse_duration("none").seconds == 0
    assert parse_duration("forever").seconds is None


def test_nightly_ends_no_later_than_a_day() -> None:
    nightly = parse_duration("nightly", WORDS)
    assert nightly.seconds == 86_400
    assert parse_duration("23h") < nightly < parse_duration("24h")


def test_a_list_of_spans_reads_by_length_and_refuses_spans_without_one() -> None:
    def written(*texts: str) -> Item:
        return Item(Place("p"), items=tuple(Item(Place("p"), text=text) for text in texts))

    spans = ListType("span", allows=False)
    assert [str(span) for span in spans.parse(written("10m", "1m", "60s", "5m"))] == ["1m", "5m", "10m"]
    for text in ("none", "forever", "soon"):
        with pytest.raises(Unfit):
            spans.parse(written(text))


@pytest.mark.parametrize(
    "text", ["0", "0h", "24", "h", "-1h", "1.5h", "1 h", "1H", "never", "", "9" * 20 + "d", "1h30m"]
)
def test_a_span_that_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        parse_duration(text)


@given(st.text(max_size=20))
def test_no_text_breaks_a_type(text: str) -> None:
    for declared in (*[one for one, _, _ in TYPES.values()], FreeType("people"), FreeType("hold-areas")):
        for item in (Item(Place("p"), text=text), Item(Place("p"), items=(Item(Place("p"), text=text),))):
            try:
                value = declared.parse(item)
            except Unfit as unfit:
                assert unfit.message
                assert unfit.mend
            else:
                assert not isinstance(value, Duration) or declared.parse(Item(Place("p"), text=str(value))) == value
