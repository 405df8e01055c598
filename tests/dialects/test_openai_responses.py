import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from pipeline.api import Attachment, Call, Event, InvalidCall, Segment, ToolCall, Usage
from pipeline.dialects.openai_responses import OpenAIResponses

dialect = OpenAIResponses()
stream_event = TypeAdapter(ResponseStreamEvent)
create_params = TypeAdapter(ResponseCreateParamsNonStreaming)

texts = st.text(max_size=12)
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts


def record(**fields):
    parts = {k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in fields.items()}
    return st.fixed_dictionaries(parts)


input_texts = record(type="input_text", text=texts, unknown=values)
attachments = st.sampled_from(
    [
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
        {"type": "input_image", "detail": "low", "file_id": "file_1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "aGk="},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "from_the_future", "deep": [{"text": "?"}]},
    ]
)
part_lists = st.lists(input_texts | attachments, max_size=3)
output_parts = record(
    type="output_text", text=texts, annotations=st.just([]), logprobs=st.just([])
) | record(type="refusal", refusal=texts)
answered = record(
    type="message",
    id="msg_1",
    status="completed",
    role="assistant",
    content=st.lists(output_parts, max_size=2),
)
function_calls = record(
    type="function_call",
    id="fc_1",
    call_id="call_1",
    name=texts,
    arguments=texts,
    status="completed",
)
custom_calls = record(
    type="custom_tool_call", id="ctc_1", call_id="call_2", name=texts, input=texts
)
reasoning = record(
    type="reasoning",
    id="rs_1",
    summary=st.lists(record(type="summary_text", text=texts), max_size=2),
    content=st.none() | st.lists(record(type="reasoning_text", text=texts), max_size=2),
    encrypted_content=st.none() | texts,
)
opaque = st.sampled_from(
    [
        {"type": "item_reference", "id": "msg_0"},
        {"id": "msg_0"},
        {"type": "from_the_future", "content": [{"type": "?"}]},
    ]
)
items = (
    record(role=st.sampled_from(["system", "developer", "user"]), content=texts | part_lists)
    | answered
    | function_calls
    | custom_calls
    | record(type="function_call_output", call_id="call_1", output=texts | part_lists)
    | record(type="custom_tool_call_output", call_id="call_2", output=texts | part_lists)
    | reasoning
    | opaque
)
calls = record(
    zeta=values,
    model="gpt-5",
    instructions=st.none() | texts,
    prompt=st.none() | record(id="p", variables=record(a=texts, b=input_texts)),
    input=texts | st.lists(items, max_size=5),
    alpha=values,
)
usages = record(
    input_tokens=3,
    input_tokens_details={"cached_tokens": 1, "cache_write_tokens": 0},
    output_tokens=4,
    output_tokens_details={"reasoning_tokens": 0},
    total_tokens=7,
)
urls = st.just(
    {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://a.b"}
)
cited = record(
    type="message",
    id="msg_2",
    status="completed",
    role="assistant",
    content=st.lists(
        record(type="output_text", text=texts, annotations=st.lists(urls, max_size=2)), max_size=2
    ),
)
searches = st.just(
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q", "queries": ["q"]},
    }
)


@st.composite
def answers(draw):
    status, reason = draw(
        st.sampled_from([("completed", None), ("incomplete", "max_output_tokens")])
    )
    output = draw(
        st.lists(
            answered | cited | function_calls | custom_calls | reasoning | searches, max_size=4
        )
    )
    numbered = [
        {**item, "id": f"{item['id']}{n}"} | ({"call_id": f"c{n}"} if "call_id" in item else {})
        for n, item in enumerate(output)
    ]
    document = dialect.compose("", model="gpt-5", id="resp_1", created_s=1)
    document |= {"status": status, "output": numbered, "usage": draw(usages)}
    return document | {"incomplete_details": reason and {"reason": reason}, "extra": draw(values)}


def ask(*items, **fields):
    return {"model": "gpt-5", "input": list(items), **fields}


def says(role, content):
    return {"type": "message", "role": role, "content": content}


# --- requests


def test_every_text_and_attachment_is_found_with_its_role_and_kind():
    document = ask(
        {"role": "developer", "content": "be kind"},
        says("user", [{"type": "input_text", "text": "weather?"}, *attached]),
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        says("assistant", [{"type": "refusal", "refusal": "no"}]),
        instructions="be brief",
        prompt={"id": "p", "variables": {"city": "Rome"}},
    )

    found = dialect.segments(document)

    assert found == (
        Segment("system", "be brief", at=("instructions",)),
        Segment("user", "Rome", at=("prompt", "variables", "city")),
        Segment("developer", "be kind", at=("input", 0, "content")),
        Segment("user", "weather?", at=("input", 1, "content", 0, "text")),
        *(
            Segment("user", None, kind, ("input", 1, "content", n + 1), attachment)
            for n, (kind, attachment) in enumerate(seen)
        ),
        Segment("assistant", "hm", "reasoning", ("input", 2, "summary", 0, "text")),
        Segment("assistant", '{"a":1}', "tool_argument", ("input", 3, "arguments"), name="look"),
        Segment("tool", "sunny", "tool_result", ("input", 4, "output"), name="c1"),
        Segment("assistant", "no", "refusal", ("input", 5, "content", 0, "refusal")),
    )


attached = [
    {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
    {"type": "input_image", "image_url": "https://example.org/cat.png"},
    {"type": "input_image", "file_id": "file_1"},
    {"type": "input_file", "file_data": "aGk="},
    {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    {"type": "from_the_future"},
]
seen = [
    ("image", Attachment("image/png", "base64", "aGk=")),
    ("image", Attachment("", "url", "https://example.org/cat.png")),
    ("image", Attachment("", "id", "file_1")),
    ("file", Attachment("", "base64", "aGk=")),
    ("audio", Attachment("audio/wav", "base64", "aGk=")),
    ("file", None),
]


def test_a_screenshot_is_seen():
    shot = {"type": "computer_screenshot", "image_url": "https://example.org/s.png"}
    document = ask({"type": "computer_call_output", "call_id": "c", "output": shot})

    (segment,) = dialect.segments(document)

    assert (segment.kind, segment.attachment.source) == ("image", "url")
    assert dialect.with_segments(document, []) == ask()


@given(calls)
def test_the_same_segments_change_nothing(document):
    assert dialect.with_segments(document, dialect.segments(document)) is document


@given(calls, st.data())
def test_every_segment_can_be_rewritten_in_place_and_is_found_again(document, data):
    before = json.dumps(document)
    wanted = tuple(
        s if s.text is None else replace(s, text=data.draw(texts))
        for s in dialect.segments(document)
    )

    rewritten = dialect.with_segments(document, wanted)

    assert dialect.segments(rewritten) == wanted
    assert list(rewritten) == list(document)
    assert json.dumps(document) == before


@given(calls, st.data())
def test_what_is_removed_is_gone_and_the_rest_is_as_it_was(document, data):
    segments = dialect.segments(document)
    removed = data.draw(st.sets(st.sampled_from(range(len(segments))))) if segments else set()
    kept = [s for n, s in enumerate(segments) if n not in removed]

    rest = dialect.segments(dialect.with_segments(document, kept))

    def told(segments):
        return [(s.role, s.kind, s.text, s.attachment, s.name) for s in segments]

    assert told(rest) == told(kept)


def test_items_go_with_their_last_text_save_what_means_something_without():
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a"}]}
    reference = {"type": "item_reference", "id": "i"}
    part = {"type": "input_text", "text": "a"}
    document = ask(says("user", "a"), says("user", [part, part]), thought, reference)
    document |= {"instructions": "a"}

    assert dialect.with_segments(document, []) == ask({**thought, "summary": []}, reference)


def test_new_segments_become_messages_where_they_stand():
    document = ask(says("user", "one"), says("user", "two"), instructions="base")
    base, one, two = dialect.segments(document)
    new = [
        Segment("system", "first"),
        base,
        Segment("developer", "rules"),
        one,
        Segment("assistant", "between"),
        two,
        Segment("tool", "42", "tool_result", name="c1"),
    ]

    result = dialect.with_segments(document, new)

    create_params.validate_python(result)
    assert result["instructions"] == "base"
    assert result["input"] == [
        says("system", "first"),
        says("developer", "rules"),
        says("user", "one"),
        says("assistant", "between"),
        says("user", "two"),
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ]


def test_an_input_string_becomes_a_message_only_when_it_gets_company():
    document = {"model": "m", "input": "hi"}
    (said,) = dialect.segments(document)

    assert dialect.with_segments(document, [replace(said, text="yo")])["input"] == "yo"
    assert dialect.with_segments(
        document, [Segment("system", "s"), said, Segment("user", "u")]
    ) == {
        "model": "m",
        "input": [says("system", "s"), says("user", "hi"), says("user", "u")],
    }
    assert dialect.with_segments(document, [Segment("user", "u")])["input"] == [says("user", "u")]
    assert dialect.with_segments(document, []) == {"model": "m"}


@pytest.mark.parametrize(
    "segment",
    [
        Segment("tool", "x"),
        Segment("user", None, "image"),
        Segment("assistant", "{}", "tool_argument"),
        Segment("user", "x", at=("input", 9, "content")),
    ],
)
def test_a_segment_that_fits_nowhere_is_an_error(segment):
    document = ask(says("user", "hi"))

    with pytest.raises(ValueError, match=r"segment|new"):
        dialect.with_segments(document, [*dialect.segments(document), segment])


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        ({"model": "m"}, "missing_field", "input"),
        (ask(model=1), "invalid_type", "model"),
        (ask(stream="yes"), "invalid_type", "stream"),
        (ask(instructions=["secret"]), "invalid_type", "instructions"),
        (ask(tools={}), "invalid_type", "tools"),
        ({"input": 7}, "invalid_type", "input"),
        (ask("secret"), "invalid_type", "input[0]"),
        (ask({"type": "message", "content": "a"}), "missing_field", "input[0].role"),
        (ask({"role": "user"}), "missing_field", "input[0].content"),
        (ask(says("user", 7)), "invalid_type", "input[0].content"),
        (ask(says("user", [{"text": "a"}])), "missing_field", "input[0].content[0].type"),
        (
            ask(says("user", [{"type": "input_text", "text": ["secret"]}])),
            "invalid_type",
            "input[0].content[0].text",
        ),
        (
            ask({"type": "function_call", "name": "n", "arguments": {"a": "secret"}}),
            "invalid_type",
            "input[0].arguments",
        ),
        (ask({"type": "function_call_output"}), "missing_field", "input[0].output"),
        (
            ask({"type": "reasoning", "summary": [{"type": "summary_text"}]}),
            "missing_field",
            "input[0].summary[0].text",
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
def test_valid_calls_pass_the_check_unknown_fields_and_items_included(document):
    dialect.check(document)


keys = st.sampled_from(["type", "text", "content", "output", "role", "id", "summary", "delta"])
words = st.sampled_from(["message", "reasoning", "function_call_output", "output_text"])
anything = st.recursive(
    values | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


EVENT_KEYS = st.sampled_from(["item", "part", "delta", "text", "output_index", "summary_index"])
EVENT_TYPES = [
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.reasoning_summary_text.delta",
    "response.output_item.done",
]


@given(anything)
def test_any_json_is_read_without_a_crash(value):
    document = {"input": value, "prompt": value, "output": value, "instructions": value}
    event = Event(dialect, b"", name="response.completed", data={"response": value})

    dialect.segments(document)
    dialect.answer_segments(document)
    dialect.tool_calls(document)
    dialect.unfold(document)
    dialect.restate()(event)
    dialect.fold([event])
    with contextlib.suppress(InvalidCall):
        dialect.check(document)


def test_the_call_reads_model_tools_and_params():
    tools = [
        {"type": "function", "name": "look", "description": "d", "parameters": {}},
        {"type": "web_search"},
        {"type": "namespace", "name": "crm", "tools": [{"type": "custom", "name": "find"}]},
    ]

    made = Call(dialect, ask(tools=tools, temperature=1), None)

    assert (made.model, made.stream, dict(made.params)) == ("gpt-5", False, {"temperature": 1})
    assert [(t.name, t.description, t.at) for t in made.tools] == [
        ("look", "d", ("tools", 0)),
        ("web_search", "", ("tools", 1)),
        ("find", "", ("tools", 2, "tools", 0)),
    ]
    assert list(made.replace(model="other").document) == list(made.document)


# --- whole answers


def test_an_answer_is_read():
    document = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            says("assistant", [{"type": "output_text", "text": "hello"}]),
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'},
            {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "ls"},
        ],
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "input_tokens_details": {"cached_tokens": 2},
        },
    }

    assert [s.text for s in dialect.answer_segments(document)] == ["hello", '{"a":1}', "ls"]
    assert dialect.tool_calls(document) == (
        ToolCall("c1", "look", '{"a":1}'),
        ToolCall("c2", "run", "ls"),
    )
    assert dialect.finish_reason(document) == "max_output_tokens"
    assert dialect.usage(document) == Usage(3, 4, 2)


def test_log_probabilities_that_spell_the_old_text_go_with_it():
    logprob = {"token": "secret", "bytes": [], "logprob": 0, "top_logprobs": []}
    part = {"type": "output_text", "text": "secret", "annotations": [], "logprobs": [logprob]}
    document = {"output": [says("assistant", [part])]}
    (segment,) = dialect.answer_segments(document)

    assert "secret" not in json.dumps(
        dialect.with_answer_segments(document, [replace(segment, text="***")])
    )


@given(answers())
def test_texts_left_out_of_an_answer_become_empty(document):
    emptied = dialect.with_answer_segments(document, [])

    assert {s.text for s in dialect.answer_segments(emptied)} <= {""}
    Response.model_validate(emptied)


@given(texts)
def test_a_composed_answer_is_a_response_saying_the_text(text):
    document = dialect.compose(text, model="gpt-5", id="resp_1", created_s=7)

    response = Response.model_validate(document)
    assert (response.output_text, response.status, response.created_at) == (text, "completed", 7)
    assert dialect.finish_reason(document) == "completed"


# --- streams


@given(answers())
def test_folding_an_unfolded_answer_gives_it_back(document):
    folded = dialect.fold(dialect.unfold(document))

    assert folded == document
    assert list(folded) == list(document)


@given(answers())
def test_the_items_add_up_to_the_answer_when_the_end_repeats_none(document):
    *events, last = dialect.unfold(document)
    bare = {**last.data, "response": {**document, "output": []}}

    assert dialect.fold([*events, Event(dialect, b"", name=last.name, data=bare)]) == document


@given(answers())
def test_deltas_alone_add_up_to_the_texts(document):
    events = dialect.unfold(document)
    deltas = [e for e in events if not e.name.endswith(".done") and not e.closes]

    folded = dialect.fold(deltas)

    def told(document):
        return [(s.at, s.text) for s in dialect.answer_segments(document)]

    assert told(folded) == told(document)
    assert folded["status"] == "incomplete"


@given(answers())
def test_the_sdk_accepts_an_unfolded_answer(document):
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    for number, event in enumerate(dialect.unfold(document)):
        sdk_event = stream_event.validate_python(event.data)
        assert (sdk_event.type, sdk_event.sequence_number) == (event.name, number)
        state.handle_event(sdk_event)


@given(answers())
def test_a_stream_says_the_answer_once_and_closes_once(document):
    events = dialect.unfold(document)

    streamed = "".join(s.text for e in events for s in e.segments)
    assert streamed == "".join(s.text for s in dialect.answer_segments(document))
    assert [e.closes for e in events] == [False] * (len(events) - 1) + [True]
    assert [e.usage for e in events if e.usage] == [Usage(3, 4, 1)]
    assert [e.finish_reason for e in events if e.finish_reason] == [dialect.finish_reason(document)]


@given(answers(), st.data())
def test_events_survive_the_wire(document, data):
    event = data.draw(st.sampled_from(dialect.unfold(document)))
    _, _, payload = event.raw.decode().partition("data: ")

    decoded = dialect.decode_event(event.raw, event.name, payload.removesuffix("\n\n"))

    assert (decoded.name, decoded.data, decoded.closes) == (event.name, event.data, event.closes)


def test_what_is_no_json_object_passes_without_data():
    for data in (None, "", "[DONE]", "{", "[1]"):
        event = dialect.decode_event(b"raw", "", data)
        assert (event.raw, event.data, event.closes, event.segments) == (b"raw", None, False, ())


def test_an_error_ends_a_stream_and_fails_its_answer():
    started, *_ = dialect.unfold(dialect.compose("a", model="m", id="1", created_s=0))
    (event,) = dialect.error_events(status=403, code="refused", message="no")

    stream_event.validate_python(event.data)
    assert event.raw.startswith(b'event: error\ndata: {"type":"error","code":"refused"')
    assert event.closes
    folded = dialect.fold([started, event])
    assert (folded["status"], folded["error"]) == ("failed", {"code": "refused", "message": "no"})


# --- repeats


def shout(event):
    return event.replace(segments=[replace(s, text=s.text.upper() + "!") for s in event.segments])


@given(answers())
def test_repeats_of_untouched_deltas_are_the_same_events(document):
    restate = dialect.restate()

    for event in dialect.unfold(document):
        restate.received(event)
        assert restate(event) is event


@given(answers())
def test_repeats_say_what_was_sent(document):
    restate = dialect.restate()
    sent = []
    for event in dialect.unfold(document):
        restate.received(event)
        sent.append(restate(shout(event) if event.segments else event))

    for event in sent:
        stream_event.validate_python(event.data)
        assert event.raw == dialect.encode_event(event.name, event.data)
    wanted = [
        replace(s, text=s.text.upper() + "!" if s.text else "")
        for s in dialect.answer_segments(document)
    ]
    final = dialect.fold(sent)
    assert final == dialect.with_answer_segments(document, wanted)
    # The done items, the done parts and the done texts say the same as the final answer.
    *before, last = sent
    bare = {**last.data, "response": {**final, "output": []}}
    assert dialect.fold([*before, Event(dialect, b"", name=last.name, data=bare)]) == final
    done_texts = [
        event.data[event.name.split(".")[1] if "refusal" in event.name else "text"]
        for event in sent
        if event.name in {"response.output_text.done", "response.refusal.done"}
    ]
    assert done_texts == [
        s.text for s in dialect.answer_segments(final) if s.kind in ("text", "refusal")
    ]
    parts = [e.data["part"] for e in sent if e.name == "response.content_part.done"]
    assert parts == [p for item in final["output"] for p in item.get("content") or ()]


def test_a_text_that_was_held_back_is_repeated_as_empty():
    restate = dialect.restate()
    sent = []
    for event in dialect.unfold(dialect.compose("secret", model="m", id="1", created_s=0)):
        restate.received(event)
        if not event.segments:
            sent.append(restate(event))

    assert all(b"secret" not in event.raw for event in sent)
    Response.model_validate(dialect.fold(sent))


def test_a_text_that_came_in_no_delta_is_left_as_it_is():
    restate = dialect.restate()
    events = dialect.unfold(dialect.compose("whole", model="m", id="1", created_s=0))

    for event in [e for e in events if not e.segments]:
        restate.received(event)
        assert restate(event) is event


def test_repeats_find_their_item_when_positions_shift():
    restate = dialect.restate()
    document = dialect.compose("a", model="m", id="1", created_s=0)
    shifted = [
        Event(dialect, e.raw, name=e.name, data=e.data | {"output_index": 5}, closes=e.closes)
        if "output_index" in e.data
        else e
        for e in dialect.unfold(document)
    ]

    sent = [restate(shout(e) if e.segments else e) for e in shifted]

    assert Response.model_validate(dialect.fold(sent)).output_text == "A!"


@given(st.lists(st.tuples(st.sampled_from(EVENT_TYPES), st.dictionaries(EVENT_KEYS, anything))))
def test_any_stream_is_folded_and_restated_without_a_crash(stream):
    restate = dialect.restate()
    events = [
        Event(dialect, b"", name=name, data={"output_index": 0, "content_index": 0, **data})
        for name, data in stream
    ]

    for event in events:
        restate.received(event)
        restate(event)
    dialect.fold(events)
