import copy
import time

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Segment, Usage
from pipeline.api.sse import FrameDecoder
from pipeline.dialects import strict_json
from pipeline.dialects.openai_chat import OpenAIChat

CHAT = OpenAIChat()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def read(stream: bytes):
    decoder = FrameDecoder(1 << 20)
    frames = decoder.feed(stream) + decoder.finish()
    return [CHAT.decode_event(f.raw, f.name, f.data) for f in frames]


def chunk(*choices, **fields):
    document = {**HEAD, **fields, "choices": list(choices)}
    return CHAT.decode_event(b"", "", strict_json.dumps(document).decode())


def delta(finish_reason=None, index=0, **fields):
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


LOGPROBS = st.none() | st.fixed_dictionaries(
    {
        "content": st.lists(
            st.fixed_dictionaries(
                {
                    "token": TEXT,
                    "logprob": st.just(-0.5),
                    "bytes": st.none(),
                    "top_logprobs": st.just([]),
                }
            ),
            max_size=3,
        ),
        "refusal": st.none(),
    }
)
TOOL_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT.filter(bool),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": TEXT.filter(bool), "arguments": TEXT}),
        }
    ),
    max_size=3,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXT},
    optional={
        "refusal": st.none() | TEXT,
        "reasoning_content": st.none() | TEXT,
        "tool_calls": TOOL_CALLS,
        "annotations": st.just([]),
        "function_call": st.none() | st.just({"name": "f", "arguments": "{}"}),
        "audio": st.none()
        | st.just({"id": "a", "data": "AAAA", "expires_at": 1, "transcript": "Hi"}),
        "x_new": st.none() | TEXT | st.just({"a": [1], "b": {"c": "d"}}) | st.lists(st.integers()),
    },
)
CHOICES = st.lists(
    st.fixed_dictionaries(
        {"message": MESSAGES, "finish_reason": st.sampled_from(["stop", "length", "tool_calls"])},
        optional={
            "logprobs": LOGPROBS,
            "stop_reason": st.none() | st.just("END"),
            "content_filter_results": st.just({"hate": {"severity": "safe"}}),
        },
    ),
    max_size=3,
).map(lambda choices: [{"index": i, **choice} for i, choice in enumerate(choices)])
ANSWERS = st.fixed_dictionaries(
    {
        "id": st.just("chatcmpl-1"),
        "object": st.just("chat.completion"),
        "created": st.just(1),
        "model": st.just("gpt-5"),
        "choices": CHOICES,
    },
    optional={
        "usage": st.none()
        | st.just(
            {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1},
            }
        ),
        "system_fingerprint": st.none() | st.just("fp_1"),
        "service_tier": st.none() | st.just("default"),
        "prompt_filter_results": st.just([{"prompt_index": 0}]),
    },
)


@given(ANSWERS)
def test_folding_undoes_unfolding(answer):
    before = copy.deepcopy(answer)
    events = CHAT.unfold(answer)

    assert CHAT.fold(events) == before
    assert answer == before
    assert CHAT.fold(read(b"".join(event.raw for event in events))) == before


@given(ANSWERS)
def test_an_unfolded_answer_is_a_stream_that_the_sdk_accepts(answer):
    *events, last = CHAT.unfold(answer)

    assert last.raw == b"data: [DONE]\n\n"
    assert [event.closes for event in [*events, last]] == [False] * len(events) + [True]
    for event in events:
        ChatCompletionChunk.model_validate(event.data)
    assert [e for e in events if e.usage] == (events[-1:] if answer.get("usage") else [])


@given(ANSWERS)
def test_a_folded_stream_has_the_texts_of_its_events(answer):
    events = CHAT.unfold(answer)

    for kind in ("text", "refusal", "reasoning", "tool_argument"):
        streamed = sorted(s.text for e in events for s in e.segments if s.kind == kind)
        whole = sorted(s.text for s in CHAT.answer_segments(answer) if s.kind == kind and s.text)
        assert streamed == whole


def test_a_recorded_stream_folds_into_the_answer_that_the_sdk_accepts():
    events = [
        chunk(prompt_filter_results=[1], id="", model="", created=0),
        chunk(
            delta(role="assistant", content="", refusal=None),
            system_fingerprint="fp",
            obfuscation="x",
        ),
        chunk(delta(role="assistant", content="", index=1)),
        chunk(
            delta(content="Hel")
            | {
                "logprobs": {
                    "content": [{"token": "Hel", "logprob": -1, "top_logprobs": []}],
                    "refusal": None,
                }
            }
        ),
        chunk(delta(content="B", index=1)),
        chunk(
            delta(content="lo")
            | {
                "logprobs": {
                    "content": [{"token": "lo", "logprob": -1, "top_logprobs": []}],
                    "refusal": None,
                }
            }
        ),
        chunk(
            delta(
                tool_calls=[
                    {
                        "index": 0,
                        "id": "c0",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                    }
                ]
            )
        ),
        chunk(
            delta(
                tool_calls=[
                    {
                        "index": 1,
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "g", "arguments": "["},
                    }
                ]
            )
        ),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}])),
        chunk(
            delta(
                tool_calls=[
                    {"index": 1, "id": "", "function": {"name": "", "arguments": "]"}},
                    {"index": 0, "function": {"arguments": ":1}"}},
                ]
            )
        ),
        chunk(delta("tool_calls"), service_tier="default"),
        chunk(delta("stop", index=1)),
        chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        CHAT.decode_event(b"data: [DONE]\n\n", "", "[DONE]"),
    ]
    document = CHAT.fold(events)
    answer = ChatCompletion.model_validate(document)
    first, second = answer.choices

    assert (answer.id, answer.model, answer.created) == ("chatcmpl-1", "m", 1)
    assert (answer.system_fingerprint, answer.service_tier) == ("fp", "default")
    assert "obfuscation" not in document
    assert document["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "tool_calls": [
            {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "c1", "type": "function", "function": {"name": "g", "arguments": "[]"}},
        ],
    }
    assert [t.token for t in first.logprobs.content] == ["Hel", "lo"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert second.message.content == "B"
    assert answer.usage.total_tokens == 3


def test_tool_calls_without_an_index_are_kept_as_they_come():
    calls = [
        {"id": str(i), "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for i in range(2)
    ]
    document = CHAT.fold([chunk(delta(tool_calls=[one])) for one in calls])

    assert document["choices"][0]["message"]["tool_calls"] == calls


@pytest.mark.parametrize("message", [True, None, "text", [1]])
def test_a_stream_whose_message_is_no_object_is_folded(message):
    chunks = [chunk({"index": 0, "message": message}), chunk({"index": 0, "finish_reason": "stop"})]

    assert CHAT.fold(chunks)["choices"][0]["message"] == message


ODD = (
    st.none() | TEXT | st.lists(TEXT | st.fixed_dictionaries({"index": st.integers()}), max_size=2)
)
ODD |= st.dictionaries(TEXT, TEXT, max_size=2)


@given(st.lists(ODD, min_size=1, max_size=4))
def test_a_field_that_changes_its_type_is_folded_all_the_same(values):
    document = CHAT.fold([chunk(delta(x_new=value)) for value in values])

    assert strict_json.loads(strict_json.dumps(document)) == document


def test_an_event_is_read():
    event = chunk(delta(content="Hi", reasoning_content="Hm", role="assistant"))

    assert event.segments == (
        Segment("assistant", "Hi", at=("choices", 0, "delta", "content")),
        Segment("assistant", "Hm", "reasoning", ("choices", 0, "delta", "reasoning_content")),
    )
    assert event.finish_reason == ""
    assert event.usage is None
    assert chunk(delta("length")).finish_reason == "length"
    assert chunk(usage={"prompt_tokens": 1, "completion_tokens": 2}).usage == Usage(1, 2)
    assert chunk(delta(role="assistant", content="")).segments == ()


def test_the_texts_of_an_event_are_rewritten_and_those_left_out_become_empty():
    event = chunk(delta(content="Hi", reasoning_content="Hm", x_new=1))
    [new] = event.replace(segments=[Segment("assistant", "Bye", at=event.segments[0].at)]).segments

    assert new.text == "Bye"
    assert event.replace(segments=event.segments) is event
    after = event.replace(segments=())
    assert after.data["choices"][0]["delta"] == {"content": "", "reasoning_content": "", "x_new": 1}
    [again] = read(after.raw)
    assert again.data == after.data


@pytest.mark.parametrize("data", ["{", "[1]", "3", "", "nonsense"])
def test_a_frame_without_an_object_is_passed_on_unread(data):
    event = CHAT.decode_event(b"raw", "n", data)

    assert (event.raw, event.name, event.data, event.closes) == (b"raw", "n", None, False)
    assert event.segments == ()


def test_only_the_terminal_frame_closes():
    comment, done = read(b": ping\n\ndata: [DONE]\n")

    assert (comment.data, comment.closes) == (None, False)
    assert (done.data, done.closes, done.raw) == (None, True, b"data: [DONE]\n")


def test_an_error_in_a_stream_survives_and_is_what_the_sdk_raises():
    events = [
        chunk(delta(content="Hi")),
        *CHAT.error_events(status=500, code="boom", message="It broke"),
    ]
    body = b"".join(CHAT.encode_event("", e.data) if e.data else e.raw for e in events)
    assert CHAT.fold(read(body))["error"]["code"] == "boom"

    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )
    with openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)) as client:
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        assert next(stream).choices[0].delta.content == "Hi"
        with pytest.raises(openai.APIError, match="It broke") as caught:
            next(stream)
    assert caught.value.code == "boom"


def test_folding_takes_linear_time():
    def seconds(count: int) -> float:
        events = [chunk(delta(content="x" * 40)) for _ in range(count)]
        started = time.thread_time()
        CHAT.fold(events)
        return time.thread_time() - started

    small = min(seconds(500) for _ in range(5))
    assert min(seconds(5_000) for _ in range(3)) < 10 * 6 * small
