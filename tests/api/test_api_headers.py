"""Header edits are legal HTTP or are refused, and two in a row are one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api import HeaderEdits, Headers, InvalidHeader

NAMES = st.sampled_from(["a", "b", "c", "x-y", ":path"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
EDITS = st.builds(
    HeaderEdits,
    set=st.dictionaries(NAMES, VALUES, max_size=3),
    remove=st.frozensets(NAMES, max_size=3),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES.map(str.encode)), max_size=6).map(Headers)
TOKEN = re.compile(rb":?[a-z0-9!#$%&'*+.^_`|~-]+")


@settings(max_examples=300)
@given(st.text(max_size=12), st.text(max_size=12) | st.text("\r\n\t\x00\x7f\ud800\udc80aé "))
def test_any_edit_that_is_accepted_is_legal_http(name, value):
    try:
        edits = HeaderEdits(set={name: value})
    except InvalidHeader:
        return
    [(wire_name, wire_value)] = Headers().edited(edits).pairs
    assert TOKEN.fullmatch(wire_name.encode())
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", wire_value)


@pytest.mark.parametrize(
    "name", ["", "Upper", "a b", "a:b", ":", ":scheme", "a\n", "é", "a\r\nb", "host\x00"]
)
def test_a_name_that_is_no_lower_case_token_is_refused(name):
    with pytest.raises(InvalidHeader):
        HeaderEdits(set={name: "x"})
    with pytest.raises(InvalidHeader):
        HeaderEdits(remove=frozenset({name}))


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r", "\x00", "\x7f", "\ud800", "x" * 61441, "é" * 30721]
)
def test_a_value_that_http_cannot_carry_is_refused_and_not_quoted(value):
    with pytest.raises(InvalidHeader) as caught:
        HeaderEdits(set={"a": value})

    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["", "a\tb", "é", "\udcff", "x" * 61440])
def test_what_http_can_carry_is_accepted(value):
    assert HeaderEdits(set={"a": value}).set == {"a": value}


@given(HEADERS, EDITS, EDITS)
def test_one_edit_then_another_does_what_both_do_in_turn(headers, first, second):
    at_once = headers.edited(first.then(second))
    in_turn = headers.edited(first).edited(second)

    assert sorted(at_once.pairs) == sorted(in_turn.pairs)


@given(HEADERS, EDITS, EDITS, EDITS)
def test_how_edits_are_grouped_does_not_matter(headers, first, second, third):
    left = headers.edited(first.then(second).then(third))
    right = headers.edited(first.then(second.then(third)))

    assert sorted(left.pairs) == sorted(right.pairs)


@given(EDITS)
def test_no_edits_before_or_after_change_nothing(edits):
    none = HeaderEdits()

    assert not none
    assert none.then(edits) == edits
    assert edits.then(none).set == edits.set


@given(EDITS)
def test_edits_without_pseudo_headers_keep_all_others(edits):
    rest = edits.without_pseudo()

    assert rest.set == {k: v for k, v in edits.set.items() if k != ":path"}
    assert rest.remove == edits.remove - {":path"}


def test_edits_do_not_follow_the_mapping_they_were_made_of():
    given_mapping = {"a": "1"}
    edits = HeaderEdits(set=given_mapping)
    given_mapping["b"] = "\n"

    assert edits.set == {"a": "1"}
    with pytest.raises(TypeError):
        edits.set["b"] = "2"  # type: ignore[index]


@given(st.lists(st.tuples(NAMES, st.binary(max_size=4)), max_size=8))
def test_headers_keep_order_duplicates_and_bytes(pairs):
    headers = Headers(pairs)

    assert headers.pairs == tuple(pairs)
    assert list(headers) == [name for name, _ in pairs]
    assert len(headers) == len(pairs)
    for name, _ in pairs:
        values = headers.get_all(name)
        assert headers.get(name) == values[0]
        assert [v.encode("utf-8", "surrogateescape") for v in values] == [
            value for key, value in pairs if key == name
        ]


def test_headers_show_names_and_no_values():
    headers = Headers([("authorization", b"Bearer sesame"), ("x", b"")])

    assert repr(headers) == "Headers(authorization, x)"
    assert "x" in headers
    assert "y" not in headers
    assert headers.get("y", "none") == "none"
