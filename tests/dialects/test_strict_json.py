import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects import strict_json
from pipeline.errors import InvalidCall

# Text that looks like structure, so that counting characters naively would go wrong.
TEXT = st.text(st.sampled_from(':\\"[]{},u003aA0é😀\x7f'), max_size=12) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=25,
)


def code_of(raw: bytes) -> str:
    with pytest.raises(InvalidCall) as caught:
        strict_json.loads(raw)
    return caught.value.code


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_the_standard_library_reads(document, ascii_only, indent):
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    raw = text.encode("utf-8", "surrogatepass")

    assert strict_json.loads(raw) == json.loads(text)


@given(DOCUMENTS)
def test_what_is_written_is_read_back(document):
    assert strict_json.loads(strict_json.dumps(document)) == document


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS, TEXT, st.integers(0, 20), st.booleans(), st.booleans())
def test_a_duplicate_key_is_found_wherever_it_hides(
    before, first, second, key, depth, ascii_only, escaped
):
    name = json.dumps(key, ensure_ascii=ascii_only)
    again = '"' + "".join(f"\\u{ord(c):04x}" for c in key if ord(c) < 0x10000) + '"'
    if not escaped or json.loads(again) != key:
        again = name
    raw = (
        '{"before":' + json.dumps(before) + ',"x":' + '[{"y":' * depth
        + "{" + name + ":" + json.dumps(first) + "," + again + ":" + json.dumps(second) + "}"
        + "}]" * depth + "}"
    )  # fmt: skip

    assert code_of(raw.encode()) == "duplicate_key"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_64_levels_are_read_and_65_are_not(opening, closing):
    assert strict_json.loads(opening * 64 + b"0" + closing * 64)
    assert code_of(opening * 65 + b"0" + closing * 65) == "too_deep"
    assert code_of(opening * 100_000 + b"0" + closing * 100_000) == "too_deep"


def test_brackets_in_strings_and_side_by_side_are_not_depth():
    assert strict_json.loads(b'["' + b"[{" * 1000 + b'"]')
    assert len(strict_json.loads(b"[" + b",".join([b"[{}]"] * 500) + b"]")) == 500


@pytest.mark.parametrize(
    "raw", [b'"\xff"', b'"\xed\xa0\x80"', b'{"a":"\xc3"}', b"\xff\xfe{\x00}\x00"]
)
def test_bad_utf8_is_refused_with_its_place(raw):
    with pytest.raises(InvalidCall, match="at byte ") as caught:
        strict_json.loads(raw)

    assert caught.value.code == "invalid_utf8"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"tru", b"01", b"+1", b"1.", b"'a'", b'{"a":1,}', b'{"a" 1}', b"[1] 2",
        b"NaN", b"Infinity", b"[-Infinity]", b"1e999", b'"\\ud800"', b'"\x01"', b'"\\q"',
        b"\xef\xbb\xbf{}", b"[NaN,12345678901234567890123]", b'["\\ud800\\u003a"]',
        b"1" * 5000, b"// no\n1",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(raw):
    assert code_of(raw) == "invalid_json"


def test_a_refusal_says_where_and_never_what():
    with pytest.raises(InvalidCall) as caught:
        strict_json.loads(b'{"secret":\n "canary" oops}')

    assert "line 2, column" in caught.value.message
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**300])
def test_big_integers_keep_every_digit(number):
    raw = b'{"seed":%d}' % number

    assert strict_json.dumps(strict_json.loads(raw)) == raw


def test_a_duplicate_beside_a_big_integer_is_found():
    assert code_of(b'{"n":123456789012345678901234,"a":1,"a":2}') == "duplicate_key"


def test_only_an_object_is_a_request_body():
    assert strict_json.loads_object(b'{"a":1}') == {"a": 1}
    for raw in (b"[]", b"1", b"null", b'"{}"'):
        with pytest.raises(InvalidCall, match="must be a JSON object"):
            strict_json.loads_object(raw)


@given(st.dictionaries(TEXT, DOCUMENTS, max_size=4), st.booleans())
def test_an_event_is_read_as_the_standard_library_reads_it(document, ascii_only):
    text = json.dumps(document, ensure_ascii=ascii_only)

    assert strict_json.loads_event(text) == json.loads(text)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300])
def test_big_integers_of_an_event_keep_every_digit(number):
    assert strict_json.loads_event(json.dumps({"x": [number]})) == {"x": [number]}


def test_of_equal_keys_of_an_event_the_last_counts():
    assert strict_json.loads_event('{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("data", ["", "{", "[1]", "3", "[DONE]", '{"a":NaN}'])
def test_an_event_without_an_object_is_none(data):
    assert strict_json.loads_event(data) is None


@pytest.mark.parametrize("levels", [129, 300, 1000, 100_000])
def test_an_event_too_deep_to_be_written_again_is_not_read(levels):
    deepest = '{"a":' * 128 + "0" + "}" * 128

    assert strict_json.dumps(strict_json.loads_event(deepest)).decode() == deepest
    assert strict_json.loads_event('{"a":' * levels + "0" + "}" * levels) is None


@pytest.mark.parametrize(
    "item",
    [b'"A number 12345 and: more [{"', b"[[{}]]", b'{"a":"\\u003a"}', b"12345678901234567890"],
)
def test_huge_bodies_take_linear_time(item):
    def seconds(count: int) -> float:
        raw = b"[" + b",".join([item] * count) + b"]"
        started = time.thread_time()
        strict_json.loads(raw)
        return time.thread_time() - started

    small = min(seconds(2_000) for _ in range(5))
    large = min(seconds(40_000) for _ in range(3))
    assert large < 20 * 8 * small
