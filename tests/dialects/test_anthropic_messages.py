import contextlib
import json
from dataclasses import replace

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.api import Attachment, Call, Event, InvalidCall, Segment, ToolCall, Usage
from pipeline.dialects.anthropic_messages import AnthropicMessages

dialect = AnthropicMessages()
stream_event = TypeAdapter(RawMessageStreamEvent)
create_params = TypeAdapter(MessageCreateParamsNonStreaming)

texts = st.text(max_size=12)
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
inputs = st.dictionaries(texts, values | st.lists(values, max_size=2), max_size=3)


def record(**fields):
    return st.fixed_dictionaries(
        {k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in fields.items()}
    )


text_blocks = record(type="text", text=texts, cache_control={"type": "ephemeral"})
images = record(
    type="image",
    source=st.sampled_from(
        [
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
            {"type": "url", "url": "https://example.org/cat.png"},
            {"type": "file", "file_id": "file_1"},
        ]
    ),
)
documents = record(
    type="document",
    title=texts,
    context=st.none() | texts,
    source=record(type="text", media_type="text/plain", data=texts)
    | record(type="content", content=texts | st.lists(text_blocks | images, max_size=2))
    | record(type="base64", media_type="application/pdf", data="aGk="),
)
tool_uses = record(type="tool_use", id="toolu_1", name=texts, input=inputs)
tool_results = record(
    type="tool_result",
    tool_use_id="toolu_1",
    content=texts | st.lists(text_blocks | images | documents, max_size=2),
)
thinking = record(type="thinking", thinking=texts, signature="c2ln")
opaque = st.sampled_from(
    [
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": 1}},
        {"type": "from_the_future", "deep": [{"text": "?"}]},
    ]
)
blocks = text_blocks | images | documents | tool_uses | tool_results | opaque
messages = record(
    role=st.sampled_from(["user", "assistant"]),
    content=texts | st.lists(blocks | thinking, max_size=4),
    unknown=values,
)
calls = record(
    zeta=values,
    model="claude-sonnet-4-5",
    max_tokens=10,
    system=texts | st.lists(text_blocks, max_size=2),
    messages=st.lists(messages, max_size=4),
    alpha=values,
)
usages = record(
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(0, 99),
    cache_read_input_tokens=st.integers(0, 99),
    service_tier="standard",
)
citations = st.just(
    {
        "type": "char_location",
        "cited_text": "a",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 1,
    }
)
answers = record(
    model="claude-sonnet-4-5",
    id="msg_1",
    type="message",
    role="assistant",
    content=st.lists(
        record(type="text", text=texts, citations=st.none() | st.lists(citations, max_size=2))
        | thinking
        | tool_uses
        | opaque.filter(lambda block: block["type"] != "from_the_future"),
        max_size=4,
    ),
    stop_reason=st.sampled_from(["end_turn", "max_tokens", "tool_use"]),
    stop_sequence=st.none() | texts,
    usage=usages,
)


def call(*messages, **fields):
    return {"model": "claude", "max_tokens": 9, "messages": list(messages), **fields}


def user(content):
    return {"role": "user", "content": content}


# --- requests


def test_every_text_and_attachment_is_found_with_its_role_and_kind():
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    result = [{"type": "text", "text": "sunny"}, {"type": "image", "source": source}]
    document = call(
        user([{"type": "text", "text": "weather?"}, {"type": "image", "source": source}]),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "Rome"}},
            ],
        },
        user([{"type": "tool_result", "tool_use_id": "t1", "content": result}]),
        system=[{"type": "text", "text": "be brief"}],
    )
    png = Attachment("image/png", "base64", "aGk=")

    found = dialect.segments(document)

    assert found == (
        Segment("system", "be brief", at=("system", 0, "text")),
        Segment("user", "weather?", at=("messages", 0, "content", 0, "text")),
        Segment("user", None, "image", ("messages", 0, "content", 1), png),
        Segment("assistant", "hm", "reasoning", ("messages", 1, "content", 0, "thinking")),
        Segment(
            "assistant",
            '{"at":"Rome"}',
            "tool_argument",
            ("messages", 1, "content", 1, "input"),
            name="look",
        ),
        Segment(
            "tool",
            "sunny",
            "tool_result",
            ("messages", 2, "content", 0, "content", 0, "text"),
            name="t1",
        ),
        Segment("tool", None, "image", ("messages", 2, "content", 0, "content", 1), png, "t1"),
    )


def test_all_forms_of_a_document_are_seen():
    sources = [
        {"type": "text", "media_type": "text/plain", "data": "plain"},
        {"type": "content", "content": "bare"},
        {"type": "content", "content": [{"type": "text", "text": "block"}]},
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "file", "file_id": "file_9"},
    ]
    blocks = [{"type": "document", "source": source, "title": None} for source in sources]
    search = {
        "type": "search_result",
        "source": "s",
        "title": "about",
        "content": [{"type": "text", "text": "hit"}],
    }

    found = dialect.segments(call(user([*blocks, search])))

    assert [s.text for s in found] == ["plain", "bare", "block", None, None, "about", "hit"]
    assert [s.attachment for s in found if s.attachment] == [
        Attachment("", "url", "https://example.org/a.pdf"),
        Attachment("", "id", "file_9"),
    ]


@given(calls)
def test_the_same_segments_change_nothing(document):
    assert dialect.with_segments(document, dialect.segments(document)) is document


@given(calls, st.data())
def test_every_segment_can_be_rewritten_in_place_and_is_found_again(document, data):
    before = json.dumps(document)
    wanted = []
    for segment in dialect.segments(document):
        if segment.kind == "tool_argument":
            new = data.draw(
                inputs.map(
                    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                )
            )
        elif segment.kind == "reasoning" or segment.text is None:
            new = segment.text
        else:
            new = data.draw(texts)
        wanted.append(replace(segment, text=new))

    rewritten = dialect.with_segments(document, wanted)

    assert dialect.segments(rewritten) == tuple(wanted)
    assert list(rewritten) == list(document)
    assert json.dumps(document) == before


@given(calls, st.data())
def test_what_is_removed_is_gone_and_the_rest_is_as_it_was(document, data):
    segments = dialect.segments(document)
    plain = [s for s in segments if s.at[-1] not in ("title", "context")]
    removed = set(data.draw(st.lists(st.sampled_from(plain), max_size=3)) if plain else ())
    # A document's title goes with the document.
    gone = {s.at[:4] for s in removed}
    kept = [s for s in segments if s not in removed]

    rest = dialect.segments(dialect.with_segments(document, kept))

    def told(segments):
        return [(s.role, s.kind, s.text, s.attachment) for s in segments]

    titles = [s for s in kept if s.at[-1] in ("title", "context") and s.at[:4] in gone]
    if not titles:
        assert told(rest) == told(kept)


def test_a_message_goes_when_nothing_is_left_in_it():
    opaque = {"type": "redacted_thinking", "data": "x"}
    text = {"type": "text", "text": "a"}
    document = call(user("a"), user([text, text]), user([text, opaque]), system=[text])

    assert dialect.with_segments(document, []) == call(user([opaque]))


def test_new_segments_become_messages_and_system_blocks_where_they_stand():
    document = call(user("one"), user("two"), system="base")
    base, one, two = dialect.segments(document)
    new = [
        Segment("system", "first"),
        base,
        Segment("user", "before one"),
        one,
        Segment("developer", "last"),
        Segment("assistant", "before two"),
        two,
        Segment("tool", "42", "tool_result", name="t1"),
    ]

    result = dialect.with_segments(document, new)

    create_params.validate_python(result)
    assert [block["text"] for block in result["system"]] == ["first", "base", "last"]
    assert [(m["role"], m["content"]) for m in result["messages"]] == [
        ("user", "before one"),
        ("user", "one"),
        ("assistant", "before two"),
        ("user", "two"),
        ("user", [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}]),
    ]


def test_a_new_system_segment_makes_the_system_field():
    document = call(user("hi"))

    result = dialect.with_segments(document, [Segment("system", "s"), *dialect.segments(document)])

    assert result == {**document, "system": [{"type": "text", "text": "s"}]}


def test_a_user_segment_before_the_system_prompt_comes_first():
    document = call(user("one"), system="base")

    result = dialect.with_segments(document, [Segment("user", "zero"), *dialect.segments(document)])

    assert result == call(user("zero"), user("one"), system="base")


@pytest.mark.parametrize(
    "segment",
    [
        Segment("tool", "x"),
        Segment("user", None, "image"),
        Segment("assistant", "{}", "tool_argument"),
        Segment("user", "x", at=("messages", 9, "content")),
    ],
)
def test_a_segment_that_fits_nowhere_is_an_error(segment):
    document = call(user("hi"))

    with pytest.raises(ValueError, match=r"segment|new"):
        dialect.with_segments(document, [*dialect.segments(document), segment])


def test_signed_thinking_can_be_removed_and_never_rewritten():
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    document = call({"role": "assistant", "content": [thought, {"type": "text", "text": "a"}]})
    signed, text = dialect.segments(document)

    with pytest.raises(ValueError, match="signed"):
        dialect.with_segments(document, [replace(signed, text="ha"), text])

    (message,) = dialect.with_segments(document, [text])["messages"]
    assert message["content"] == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize("text", ["[1]", "{", "nonsense"])
def test_tool_arguments_must_stay_a_json_object(text):
    use = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    document = call({"role": "assistant", "content": [use]})
    (segment,) = dialect.segments(document)

    with pytest.raises(ValueError, match="JSON object"):
        dialect.with_segments(document, [replace(segment, text=text)])


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        ({"messages": []}, "missing_field", "model"),
        ({"model": 1, "messages": []}, "invalid_type", "model"),
        ({"model": "m"}, "missing_field", "messages"),
        (call(stream="yes"), "invalid_type", "stream"),
        (call(system=5), "invalid_type", "system"),
        (call(tools={}), "invalid_type", "tools"),
        (call(tools=["x"]), "invalid_type", "tools[0]"),
        (call("x"), "invalid_type", "messages[0]"),
        (call({"content": "x"}), "missing_field", "messages[0].role"),
        (call({"role": "user"}), "missing_field", "messages[0].content"),
        (call(user(7)), "invalid_type", "messages[0].content"),
        (call(user([{"type": "text"}])), "missing_field", "messages[0].content[0].text"),
        (
            call(user([{"type": "text", "text": "a"}, {"type": "text", "text": 1}])),
            "invalid_type",
            "messages[0].content[1].text",
        ),
        (call(user([{"text": "a"}])), "missing_field", "messages[0].content[0].type"),
        (
            call(user([{"type": "tool_use", "name": "n", "input": "secret"}])),
            "invalid_type",
            "messages[0].content[0].input",
        ),
        (
            call(user([{"type": "image", "source": {"type": "url"}}])),
            "missing_field",
            "messages[0].content[0].source.url",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(document, code, param):
    with pytest.raises(InvalidCall) as raised:
        dialect.check(document)

    assert (raised.value.code, raised.value.param) == (code, param)
    assert param in raised.value.message
    assert "secret" not in raised.value.message


@given(calls)
def test_valid_calls_pass_the_check_unknown_fields_and_blocks_included(document):
    dialect.check(document)


keys = st.sampled_from(["type", "text", "content", "source", "role", "input", "partial_json"])
words = st.sampled_from(["text", "tool_use", "document", "text_delta", "input_json_delta"])
anything = st.recursive(
    values | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(anything)
def test_any_json_is_read_without_a_crash(value):
    document = {"model": "m", "messages": value, "system": value, "content": value}

    dialect.segments(document)
    dialect.answer_segments(document)
    dialect.tool_calls(document)
    dialect.unfold(document)
    with contextlib.suppress(InvalidCall):
        dialect.check(document)


def test_the_call_reads_model_tools_and_params():
    document = call(
        user("hi"),
        tools=[{"name": "look", "description": "d", "input_schema": {}}, {"type": "bash_20250124"}],
        stream=True,
    )

    made = Call(dialect, document, None)

    assert (made.model, made.stream, dict(made.params)) == ("claude", True, {"max_tokens": 9})
    assert [(t.name, t.description, t.at) for t in made.tools] == [
        ("look", "d", ("tools", 0)),
        ("bash_20250124", "", ("tools", 1)),
    ]
    assert list(made.replace(model="other").document) == list(document)


# --- whole answers


def test_an_answer_is_read():
    document = {
        "content": [
            {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5},
    }

    assert [s.text for s in dialect.answer_segments(document)] == ["hello", '{"a":1}']
    assert dialect.tool_calls(document) == (ToolCall("t1", "look", '{"a":1}'),)
    assert dialect.finish_reason(document) == "tool_use"
    assert dialect.usage(document) == Usage(3, 4, 5)


@given(answers)
def test_texts_left_out_of_an_answer_become_empty_and_nothing_else_changes(document):
    emptied = dialect.with_answer_segments(document, [])

    assert [s.text for s in dialect.answer_segments(emptied)] == [
        "{}" if s.kind == "tool_argument" else "" for s in dialect.answer_segments(document)
    ]
    Message.model_validate(emptied)


def test_an_answer_takes_no_new_segment():
    document = dialect.compose("a", model="m", id="1", created_s=0)

    with pytest.raises(ValueError, match="answer"):
        dialect.with_answer_segments(document, [Segment("assistant", "b")])


@given(texts)
def test_a_composed_answer_is_a_message_saying_the_text(text):
    document = dialect.compose(text, model="claude", id="msg_1", created_s=0)

    message = Message.model_validate(document, strict=True)
    assert [block.text for block in message.content] == [text]
    assert dialect.finish_reason(document) == "end_turn"


# --- streams


@given(answers)
def test_folding_an_unfolded_answer_gives_it_back(document):
    folded = dialect.fold(dialect.unfold(document))

    assert folded == document
    assert list(folded) == list(document)


@given(answers)
def test_the_sdk_folds_an_unfolded_answer_alike(document):
    snapshot, buffers = None, {}
    for event in dialect.unfold(document):
        sdk_event = stream_event.validate_python(event.data)
        assert sdk_event.type == event.name
        if event.name != "message_stop":
            snapshot = accumulate_event(
                event=sdk_event, current_snapshot=snapshot, json_bufs=buffers
            )

    told = snapshot.to_dict(mode="json")
    assert len(told["content"]) == len(document["content"])
    for ours, theirs in zip(document["content"], told["content"], strict=True):
        # The SDK keeps a null list of citations where there are none.
        assert {k: theirs[k] or None for k in ours} == {k: v or None for k, v in ours.items()}
    assert told["usage"].items() >= document["usage"].items()


@given(answers)
def test_a_stream_says_the_answer_once_and_closes_once(document):
    events = dialect.unfold(document)

    by_block = {}
    for event in events:
        for segment in event.segments:
            index = event.data["index"]
            by_block[index] = by_block.get(index, "") + segment.text
    expected = {
        s.at[1]: s.text
        for s in dialect.answer_segments(document)
        if s.text != ("{}" if s.kind == "tool_argument" else "")
    }
    assert by_block == expected
    assert [e.closes for e in events] == [False] * (len(events) - 1) + [True]
    usages = [e.usage for e in events if e.usage]
    assert usages[-1].output_tokens == document["usage"]["output_tokens"]
    assert [e.finish_reason for e in events if e.finish_reason] == [document["stop_reason"]]


@given(answers, st.data())
def test_events_survive_the_wire(document, data):
    event = data.draw(st.sampled_from(dialect.unfold(document)))
    _, _, payload = event.raw.decode().partition("data: ")

    decoded = dialect.decode_event(event.raw, event.name, payload.removesuffix("\n\n"))

    assert (decoded.name, decoded.data, decoded.closes) == (event.name, event.data, event.closes)


def test_deltas_are_rewritten_in_place_and_thinking_only_left_out():
    text = delta({"type": "text_delta", "text": "secret"})
    thought = delta({"type": "thinking_delta", "thinking": "hm"})

    rewritten = text.replace(segments=[replace(text.segments[0], text="***")])
    assert rewritten.data["delta"] == {"type": "text_delta", "text": "***"}
    assert rewritten.raw.startswith(b"event: content_block_delta\ndata: {")
    assert thought.replace(segments=[]).data["delta"]["thinking"] == ""
    with pytest.raises(ValueError, match="signed"):
        thought.replace(segments=[replace(thought.segments[0], text="ha")])


def delta(value):
    data = {"type": "content_block_delta", "index": 0, "delta": value}
    return Event(dialect, b"", name="content_block_delta", data=data)


@given(answers, st.data())
def test_a_stream_cut_short_folds_into_what_came(document, data):
    events = dialect.unfold(document)

    folded = dialect.fold(events[: data.draw(st.integers(1, len(events) - 2))])

    assert folded["stop_reason"] is None
    assert len(folded["content"]) <= len(document["content"])
    Message.model_validate(folded)


def test_interleaved_pings_and_foreign_frames_do_not_disturb():
    events = dialect.unfold(dialect.compose("hi", model="m", id="1", created_s=0))
    ping = dialect.decode_event(b"", "ping", '{"type": "ping"}')
    broken = dialect.decode_event(b"", "", "{not json")
    comment = dialect.decode_event(b": hi\n\n", "", None)

    assert (broken.data, comment.data, ping.closes, ping.segments) == (None, None, False, ())
    folded = dialect.fold([ping, *events[:2], broken, comment, ping, *events[2:]])
    assert folded == dialect.fold(events)


stream_keys = st.sampled_from(["message", "content_block", "delta", "usage", "index"])
stream_types = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "error"]
)


@given(st.lists(st.tuples(stream_types, st.dictionaries(stream_keys, anything))))
def test_any_stream_is_folded_without_a_crash(stream):
    events = [
        Event(dialect, b"", name=name, data={"index": 0, **data, "type": name})
        for name, data in stream
    ]

    for event in events:
        _ = event.segments, event.usage, event.finish_reason
    dialect.fold(events)


# --- errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_errors_have_anthropics_types_and_our_code(status, kind):
    document = dialect.error(status=status, code="too_bad", message="no", param="messages[0]")

    assert document["error"] == {
        "type": kind,
        "message": "no",
        "code": "too_bad",
        "param": "messages[0]",
    }
    if kind != "request_too_large":
        ErrorResponse.model_validate(document)


def test_an_error_ends_a_stream():
    (event,) = dialect.error_events(status=403, code="refused", message="no")

    assert event.raw == (
        b'event: error\ndata: {"type":"error","error":{"type":"permission_error",'
        b'"message":"no","code":"refused"}}\n\n'
    )
    assert event.closes
