import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from pipeline.api import Call, InvalidCall, Segment, Usage
from pipeline.api.sse import FrameDecoder
from pipeline.dialects import strict_json
from pipeline.dialects.openai_completions import OpenAICompletions

COMPLETIONS = OpenAICompletions()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def call(**fields) -> Call:
    document = {"model": "m", **fields}
    COMPLETIONS.check(document)
    return Call(COMPLETIONS, document, strict_json.dumps(document))


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("Once", [("Once", "text", ("prompt",))]),
        (["a", "b"], [("a", "text", ("prompt", 0)), ("b", "text", ("prompt", 1))]),
        ([1, 2], [(None, "file", ("prompt",))]),
        ([[1, 2], [3]], [(None, "file", ("prompt", 0)), (None, "file", ("prompt", 1))]),
        ([], []),
    ],
)
def test_texts_are_found_and_tokens_are_seen(prompt, found):
    segments = call(prompt=prompt, suffix="end").segments

    assert [(s.text, s.kind, s.at) for s in segments] == [*found, ("end", "text", ("suffix",))]
    assert {s.role for s in segments} == {"user"}


def test_texts_are_rewritten_in_place():
    before = call(prompt=["a", "b"], suffix="c", n=2)
    after = before.replace(
        segments=[Segment("user", f"{s.text}!", at=s.at) for s in before.segments]
    )

    assert dict(after.document) == {"model": "m", "prompt": ["a!", "b!"], "suffix": "c!", "n": 2}
    assert before.replace(segments=before.segments) is before


def test_what_the_list_leaves_out_disappears_and_the_prompt_field_stays():
    several = call(prompt=["a", [1], "b"], suffix="c")

    assert dict(several.replace(segments=several.segments[2:3]).document) == {
        "model": "m",
        "prompt": ["b"],
    }
    assert dict(several.replace(segments=()).document) == {"model": "m", "prompt": []}
    assert dict(call(prompt="a").replace(segments=()).document) == {"model": "m", "prompt": ""}


def test_a_new_text_joins_the_prompt_that_it_stands_before_or_the_last():
    one = call(prompt="a", suffix="z")
    a, z = one.segments
    first, second = Segment("system", "1"), Segment("user", "2")
    several = call(prompt=["a", "b"])

    assert one.replace(segments=[first, second, a, z]).document["prompt"] == "1\n\n2\n\na"
    assert one.replace(segments=[first, a, second, z]).document["prompt"] == "1\n\na\n\n2"
    assert one.replace(segments=[first, second]).document == {"model": "m", "prompt": "1\n\n2"}
    assert several.replace(
        segments=[several.segments[0], first, several.segments[1], second]
    ).document["prompt"] == ["a", "1\n\nb\n\n2"]


@pytest.mark.parametrize(
    ("prompt", "wrong"),
    [
        ("a", Segment("tool", "r", "tool_result", name="c")),
        ("a", Segment("assistant", "r")),
        ("a", Segment("user", "r", "reasoning")),
        ("a", Segment("user", "r", at=("prompt", 3))),
        ([1, 2], Segment("user", "r")),
        ([], Segment("user", "r")),
    ],
)
def test_what_a_prompt_cannot_carry_is_an_error(prompt, wrong):
    before = call(prompt=prompt)

    with pytest.raises(ValueError, match=r"."):
        before.replace(segments=[*before.segments, wrong])


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        ({}, "missing_field", "prompt"),
        ({"prompt": 1}, "invalid_type", "prompt"),
        ({"prompt": "a", "suffix": []}, "invalid_type", "suffix"),
        ({"prompt": "a", "model": []}, "invalid_type", "model"),
        ({"prompt": "a", "stream": 1}, "invalid_type", "stream"),
    ],
)
def test_a_call_that_cannot_be_read_is_refused_by_field(document, code, param):
    with pytest.raises(InvalidCall) as caught:
        COMPLETIONS.check(document)

    assert (caught.value.code, caught.value.param) == (code, param)


LOGPROBS = st.fixed_dictionaries(
    {
        "tokens": st.lists(TEXT, max_size=2),
        "token_logprobs": st.just([-0.5]),
        "top_logprobs": st.lists(st.dictionaries(TEXT, st.just(-0.5)), max_size=2),
        "text_offset": st.lists(st.integers(0, 9), max_size=2),
    }
)
ANSWERS = st.fixed_dictionaries(
    {
        "id": st.just("cmpl-1"),
        "object": st.just("text_completion"),
        "created": st.just(1),
        "model": st.just("m"),
        "choices": st.lists(
            st.fixed_dictionaries(
                {"text": TEXT, "finish_reason": st.sampled_from(["stop", "length"])},
                optional={"logprobs": st.none() | LOGPROBS},
            ),
            max_size=3,
        ).map(lambda choices: [{"index": i, **choice} for i, choice in enumerate(choices)]),
    },
    optional={
        "usage": st.just({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        "system_fingerprint": st.just("fp"),
    },
)


@given(ANSWERS)
def test_folding_undoes_unfolding_through_bytes_that_the_sdk_accepts(answer):
    before = copy.deepcopy(answer)
    events = COMPLETIONS.unfold(answer)
    for event in events[:-1]:
        assert event.data["object"] == "text_completion"
        Completion.model_validate(
            {
                **event.data,
                "choices": [
                    {**c, "finish_reason": c["finish_reason"] or "stop"}
                    for c in event.data["choices"]
                ],
            }
        )
    frames = FrameDecoder(1 << 20).feed(b"".join(event.raw for event in events))
    again = [COMPLETIONS.decode_event(f.raw, f.name, f.data) for f in frames]

    assert COMPLETIONS.fold(again) == before == answer
    assert again[-1].closes
    texts = [s.text for s in COMPLETIONS.answer_segments(answer) if s.text]
    assert [s.text for event in events for s in event.segments] == texts


def test_an_answer_is_composed_read_and_rewritten():
    document = COMPLETIONS.compose("Hi", model="m", id="cmpl-1", created_s=7)
    Completion.model_validate(document)
    after = COMPLETIONS.with_answer_segments(
        document, [Segment("assistant", "Bye", at=("choices", 0, "text"))]
    )

    assert COMPLETIONS.answer_segments(document)[0].text == "Hi"
    assert COMPLETIONS.finish_reason(document) == "stop"
    assert COMPLETIONS.usage(document) == Usage(0, 0)
    assert after["choices"][0]["text"] == "Bye"
    [event, *_] = COMPLETIONS.unfold(document)
    assert event.replace(segments=()).data["choices"][0]["text"] == ""
