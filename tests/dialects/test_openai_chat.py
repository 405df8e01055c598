import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from pipeline.api import Attachment, Call, InvalidCall, Segment, ToolCall, Usage
from pipeline.dialects import strict_json
from pipeline.dialects.document import value_at
from pipeline.dialects.openai_chat import OpenAIChat

CHAT = OpenAIChat()

FULL = {
    "model": "gpt-5",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?", "x_new": 1},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
                {"type": "hologram", "hologram": {}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hmm.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a dog"}]},
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}],
            "audio": {"id": "a1"},
        },
        {
            "role": "assistant",
            "function_call": {"name": "old", "arguments": "[]"},
            "refusal": "Nope.",
        },
        {"role": "function", "name": "old", "content": "42"},
    ],
    "temperature": 0.5,
    "prediction": {"type": "content", "content": "A cat."},
    "x_unknown": {"z": 1, "a": [2]},
}

FULL_SEGMENTS = (
    Segment("developer", "Be brief.", at=("messages", 0, "content")),
    Segment("user", "What is this?", at=("messages", 1, "content", 0, "text")),
    Segment(
        "user",
        None,
        "image",
        ("messages", 1, "content", 1),
        Attachment("image/png", "base64", "AAAA"),
    ),
    Segment(
        "user",
        None,
        "image",
        ("messages", 1, "content", 2),
        Attachment("", "url", "https://example.com/a.png"),
    ),
    Segment(
        "user",
        None,
        "audio",
        ("messages", 1, "content", 3),
        Attachment("audio/mpeg", "base64", "UklG"),
    ),
    Segment("user", None, "file", ("messages", 1, "content", 4), Attachment("", "id", "file-1")),
    Segment(
        "user",
        None,
        "file",
        ("messages", 1, "content", 5),
        Attachment("application/pdf", "base64", "JVBE"),
    ),
    Segment("user", None, "file", ("messages", 1, "content", 6)),
    Segment("assistant", "Hmm.", "reasoning", ("messages", 2, "reasoning_content")),
    Segment(
        "assistant",
        "{}",
        "tool_argument",
        ("messages", 2, "tool_calls", 0, "function", "arguments"),
        name="look",
    ),
    Segment(
        "assistant",
        "ls",
        "tool_argument",
        ("messages", 2, "tool_calls", 1, "custom", "input"),
        name="run",
    ),
    Segment("tool", "a cat", "tool_result", ("messages", 3, "content"), name="c1"),
    Segment("tool", "a dog", "tool_result", ("messages", 4, "content", 0, "text"), name="c2"),
    Segment("assistant", "No.", "refusal", ("messages", 5, "content", 0, "refusal")),
    Segment("assistant", None, "audio", ("messages", 5, "audio"), Attachment("", "id", "a1")),
    Segment(
        "assistant",
        "[]",
        "tool_argument",
        ("messages", 6, "function_call", "arguments"),
        name="old",
    ),
    Segment("assistant", "Nope.", "refusal", ("messages", 6, "refusal")),
    Segment("tool", "42", "tool_result", ("messages", 7, "content"), name="old"),
    Segment("assistant", "A cat.", at=("prediction", "content")),
)


def call(*messages, **fields) -> Call:
    document = {"model": "m", "messages": list(messages), **fields}
    CHAT.check(document)
    return Call(CHAT, document, strict_json.dumps(document))


def messages_of(call: Call):
    return call.document["messages"]


def test_every_text_and_attachment_is_found_in_document_order():
    CHAT.check(FULL)

    assert CHAT.segments(FULL) == FULL_SEGMENTS


@given(st.sets(st.integers(0, len(FULL_SEGMENTS) - 1)), st.text(max_size=5))
def test_texts_are_rewritten_in_place_and_all_else_stays(chosen, text):
    wanted = [
        Segment(s.role, text, s.kind, s.at, None, s.name) if i in chosen and s.text else s
        for i, s in enumerate(FULL_SEGMENTS)
    ]
    document = CHAT.with_segments(FULL, wanted)

    assert CHAT.segments(document) == tuple(wanted)
    assert list(document) == list(FULL)
    for segment in wanted:
        if segment.text is not None:
            document = _put(document, segment.at, value_at(FULL, segment.at))
    assert strict_json.dumps(document) == strict_json.dumps(FULL)


def _put(document, place, value):
    from pipeline.dialects.document import with_values

    return with_values(document, {place: value})


@given(st.sets(st.integers(0, len(FULL_SEGMENTS) - 1)))
def test_what_the_list_leaves_out_disappears_and_nothing_else(gone):
    kept = [s for i, s in enumerate(FULL_SEGMENTS) if i not in gone]
    document = CHAT.with_segments(FULL, kept)
    left = CHAT.segments(document)

    assert [(s.role, s.kind, s.text, s.attachment, s.name) for s in left] == [
        (s.role, s.kind, s.text, s.attachment, s.name) for s in kept
    ]
    assert all(CHAT.segments({"messages": [m]}) for m in document["messages"])
    assert document["x_unknown"] == FULL["x_unknown"]


def test_an_unchanged_list_leaves_the_call_untouched():
    before = call({"role": "user", "content": "Hi"})

    assert before.replace(segments=before.segments) is before


def test_new_segments_become_messages_where_they_stand():
    before = call(
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
    )
    a, b, c = before.segments
    new = [Segment(role, role) for role in ("system", "developer", "user", "assistant")]
    after = before.replace(
        segments=[
            new[0],
            new[1],
            a,
            b,
            new[2],
            c,
            new[3],
            Segment("tool", "r", "tool_result", name="c9"),
        ]
    )

    assert messages_of(after) == [
        {"role": "system", "content": "system"},
        {"role": "developer", "content": "developer"},
        messages_of(before)[0],
        {"role": "user", "content": "user"},
        messages_of(before)[1],
        {"role": "assistant", "content": "assistant"},
        {"role": "tool", "tool_call_id": "c9", "content": "r"},
    ]


def test_a_new_segment_stands_with_the_messages_even_before_a_prediction():
    before = call({"role": "user", "content": "a"}, prediction={"type": "content", "content": "p"})
    after = before.replace(segments=[before.segments[0], Segment("user", "b"), before.segments[1]])

    assert [s.text for s in after.segments] == ["a", "b", "p"]


def test_a_message_with_tool_calls_outlives_its_text_and_not_the_last_call():
    before = call(
        {
            "role": "assistant",
            "content": "x",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "user", "content": "y"},
    )
    text, _, second, user = before.segments
    [message, _] = messages_of(before.replace(segments=[second, user]))

    assert message["content"] is None
    assert [c["id"] for c in message["tool_calls"]] == ["2"]
    assert messages_of(before.replace(segments=[text, user]))[0] == {
        "role": "assistant",
        "content": "x",
    }
    assert messages_of(before.replace(segments=[user])) == [{"role": "user", "content": "y"}]


@pytest.mark.parametrize(
    "wrong",
    [
        Segment("tool", "r", "tool_result"),
        Segment("tool", "r"),
        Segment("assistant", "{}", "tool_argument", name="f"),
        Segment("assistant", "r", "reasoning"),
        Segment("user", None, "image", attachment=Attachment("", "url", "https://example.com")),
        Segment("user", "r", at=("messages", 9, "content")),
        Segment("user", None, at=("messages", 0, "content")),
    ],
)
def test_what_a_chat_cannot_carry_is_an_error(wrong):
    before = call({"role": "user", "content": "a"}, {"role": "user", "content": "b"})

    with pytest.raises(ValueError, match=r"."):
        before.replace(segments=[wrong, before.segments[1]])


def test_model_tools_and_params():
    before = call(
        {"role": "user", "content": "a"},
        stream=True,
        tools=[
            {"type": "function", "function": {"name": "f", "description": "does f"}},
            {"type": "custom", "custom": {"name": "c"}},
            {"type": "web_search"},
        ],
        functions=[{"name": "old"}],
        top_p=1,
    )

    assert [(t.name, t.description, t.at) for t in before.tools] == [
        ("f", "does f", ("tools", 0)),
        ("c", "", ("tools", 1)),
        ("web_search", "", ("tools", 2)),
        ("old", "", ("functions", 0)),
    ]
    assert before.stream
    assert dict(before.params) == {"top_p": 1}
    assert before.replace(model="other").model == "other"
    assert list(before.replace(model="other").document) == list(before.document)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": 5}, "invalid_type", "model"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"messages": None}, "invalid_type", "messages"),
        ({"messages": "hi"}, "invalid_type", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": ["hi"]}, "invalid_type", "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "missing_field", "messages[0].role"),
        ({"messages": [{"role": 1}]}, "invalid_type", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "invalid_type", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [1]}]},
            "invalid_type",
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "missing_field",
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "invalid_type",
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": {}}]},
            "invalid_type",
            "messages[0].tool_calls",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]},
            "invalid_type",
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": "f"}]},
            "invalid_type",
            "messages[0].function_call",
        ),
        ({"tools": [1]}, "invalid_type", "tools[0]"),
        ({"prediction": {"content": 1}}, "invalid_type", "prediction.content"),
    ],
)
def test_a_call_that_cannot_be_read_is_refused_by_field(change, code, param):
    document = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **change}
    with pytest.raises(InvalidCall) as caught:
        CHAT.check(document)

    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_call_without_messages_lacks_a_field():
    with pytest.raises(InvalidCall) as caught:
        CHAT.check({"model": "m"})

    assert (caught.value.code, caught.value.param) == ("missing_field", "messages")


FIELDS = [
    *("role", "content", "text", "type", "tool_calls", "function", "arguments", "custom", "input"),
    *(
        "audio",
        "data",
        "refusal",
        "image_url",
        "url",
        "file",
        "choices",
        "message",
        "delta",
        "index",
    ),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function_call", "audio"]), JSON
        )
    ),
    JSON,
)
def test_nothing_that_a_check_lets_through_breaks_the_reading(messages, prediction):
    document = {"messages": messages, "prediction": prediction}
    try:
        CHAT.check(document)
    except InvalidCall:
        return
    segments = CHAT.segments(document)

    assert CHAT.with_segments(document, segments) == document
    assert CHAT.segments(CHAT.with_segments(document, ())) == ()


@given(JSON)
def test_an_answer_of_any_shape_can_be_read(value):
    for document in (
        {"choices": value},
        {"choices": [{"message": value, "delta": value}]},
        {"usage": value},
    ):
        segments = CHAT.answer_segments(document)
        assert CHAT.with_answer_segments(document, segments) == document
        CHAT.tool_calls(document), CHAT.finish_reason(document), CHAT.usage(document)
        CHAT.event_segments("", document), CHAT.fold(CHAT.unfold(document))


ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning_content": "Hmm.",
                "content": "Hello",
                "refusal": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "refusal": "No."},
            "finish_reason": "stop",
        },
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}


def test_an_answer_is_read():
    at = ("choices", 0, "message")

    assert CHAT.answer_segments(ANSWER) == (
        Segment("assistant", "Hmm.", "reasoning", (*at, "reasoning_content")),
        Segment("assistant", "Hello", at=(*at, "content")),
        Segment(
            "assistant",
            "{}",
            "tool_argument",
            (*at, "tool_calls", 0, "function", "arguments"),
            name="f",
        ),
        Segment("assistant", "No.", "refusal", ("choices", 1, "message", "refusal")),
    )
    assert CHAT.tool_calls(ANSWER) == (ToolCall("c", "f", "{}"),)
    assert CHAT.finish_reason(ANSWER) == "tool_calls"
    assert CHAT.usage(ANSWER) == Usage(9, 2, 4)


def test_the_texts_of_an_answer_are_rewritten_and_those_left_out_become_empty():
    _, hello, *_ = CHAT.answer_segments(ANSWER)
    new = Segment("assistant", "Bye", at=hello.at)
    document = CHAT.with_answer_segments(ANSWER, [new])

    assert [s.text for s in CHAT.answer_segments(document)] == ["", "Bye", "", ""]
    with pytest.raises(ValueError, match="needs the place"):
        CHAT.with_answer_segments(ANSWER, [Segment("assistant", "more")])


def test_a_composed_answer_is_one_that_the_sdk_accepts():
    document = CHAT.compose("Hello", model="m", id="chatcmpl-1", created_s=7)
    answer = ChatCompletion.model_validate(document)

    assert answer.choices[0].message.content == "Hello"
    assert answer.usage.total_tokens == 0
    assert (answer.id, answer.created, answer.model) == ("chatcmpl-1", 7, "m")


def test_an_error_document_is_what_the_sdk_reads():
    from openai.types.shared import ErrorObject

    for status, kind in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "service_unavailable_error"),
    ]:
        document = CHAT.error(status=status, code="c", message="m", param="p")
        error = ErrorObject.model_validate(document["error"])

        assert (error.type, error.code, error.message, error.param) == (kind, "c", "m", "p")
