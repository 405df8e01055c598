"""Anthropic's Messages API on the client's side: calls in, answers and streams out."""

from __future__ import annotations

import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.api import Call, FrameDecoder
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.messages import CountTokensClient, MessagesClient
from plugins.translate.formats import Fault
from plugins.translate.translation import error_document
from plugins.translate.upstreams.anthropic import AnthropicOptions, AnthropicUpstream
from tests.support.providers.anthropic_answers import events, message
from tests.support.providers.anthropic_rules import check
from tests.support.translate_matrix import DIALECTS

EVENT = TypeAdapter(RawMessageStreamEvent)
CLIENT = MessagesClient()
CALL = {"model": "sim-test", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
CACHED = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


def canonical(**document):
    loss = Loss()
    return CLIENT.canonical({**CALL, **document}, loss), list(loss.names)


def said(*blocks, role="user"):
    """Return the canonical messages for one turn of blocks, and what was lost."""
    call, lost = canonical(messages=[{"role": role, "content": list(blocks)}])
    return call["messages"], lost


# --- calls
def test_a_plain_call_is_nearly_the_same():
    call, lost = canonical(
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
        system="Be brief.",
    )

    assert call == {
        "model": "sim-test",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop": ["END"],
        "user": "u",
        "service_tier": "default",
    }
    assert lost == []


def test_a_stream_wants_its_usage():
    call, _ = canonical(stream=True)

    assert call["stream_options"] == {"include_usage": True}


def test_what_only_anthropic_has_is_reported():
    _, lost = canonical(
        container="c",
        inference_geo="eu",
        mcp_servers=[{"url": "x"}],
        metadata={"trace": 1},
        service_tier="gold",
        thinking={"type": "between_tools"},
        tool_choice={"type": "guess"},
    )

    assert set(lost) == {
        "container",
        "inference_geo",
        "mcp_servers",
        "metadata.trace",
        "service_tier",
        "thinking.type",
        "tool_choice.type",
    }


def test_system_blocks_keep_their_markers():
    call, _ = canonical(system=[{"type": "text", "text": "One.", "cache_control": CACHED}])

    marked = {"type": "text", "text": "One.", "cache_control": CACHED}
    assert call["messages"][0] == {"role": "system", "content": [marked]}


def test_a_marker_of_the_call_is_the_last_messages():
    call, lost = canonical(cache_control=CACHED)

    assert call["messages"][-1]["cache_control"] == CACHED
    assert lost == []


def test_a_system_message_between_turns_stays_there():
    call, _ = canonical(
        messages=[*CALL["messages"], {"role": "system", "content": "Now in French."}]
    )

    assert call["messages"][-1] == {"role": "system", "content": "Now in French."}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
            },
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            {"type": "file", "file": {"file_id": "f"}},
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "cache_control": CACHED,
            },
            {
                "type": "file",
                "file": {
                    "file_data": "data:application/pdf;base64,AA==",
                    "filename": "T",
                    "title": "T",
                    "context": "C",
                    "citations": {"enabled": True},
                },
                "cache_control": CACHED,
            },
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
            },
            {
                "type": "file",
                "file": {
                    "file_data": "data:text/plain;base64,YWJj",
                    "filename": "document.txt",
                },
            },
        ),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "abc"}]},
            },
            {
                "type": "file",
                "file": {
                    "file_data": "data:text/plain;base64,YWJj",
                    "filename": "document.txt",
                },
            },
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
            {"type": "file", "file": {"file_url": "https://x/a.pdf"}},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            {"type": "file", "file": {"file_id": "f"}},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "abc"}, "title": "T"},
            {
                "type": "file",
                "file": {
                    "file_data": "data:text/plain;base64,YWJj",
                    "filename": "T",
                    "title": "T",
                },
            },
        ),
    ],
)
def test_images_and_documents_become_parts(block, part):
    messages, lost = said({"type": "text", "text": "See:"}, block)

    assert messages[0]["content"][1] == part
    assert lost == []


@pytest.mark.parametrize(
    ("block", "lost"),
    [
        ({"type": "image", "source": {"type": "hologram"}}, ["messages.content.image"]),
        ({"type": "document", "source": {"type": "hologram"}}, ["messages.content.document"]),
        ({"type": "container_upload", "file_id": "f"}, ["messages.content.container_upload"]),
        ({}, ["messages.content"]),
        (None, []),
    ],
)
def test_blocks_without_a_canonical_form_are_reported(block, lost):
    messages, names = said(block)

    assert messages == [{"role": "user", "content": ""}]
    assert names == lost


def test_text_before_a_tool_result_stays_before_it():
    messages, _ = said(
        {"type": "text", "text": "Here:"}, {"type": "tool_result", "tool_use_id": "a"}
    )

    assert [one["role"] for one in messages] == ["user", "tool"]


def test_an_assistants_text_alone_is_a_text():
    call, _ = canonical(messages=[*CALL["messages"], {"role": "assistant", "content": "It is"}])

    assert call["messages"][-1] == {"role": "assistant", "content": "It is"}


def test_a_search_results_text_goes_on():
    found = [{"type": "text", "text": "Body."}]
    block = {"type": "search_result", "source": "https://x", "title": "T", "content": found}

    messages, lost = said(block)

    assert messages == [{"role": "user", "content": "T\nhttps://x\nBody."}]
    assert lost == ["messages.content.search_result"]


def test_tool_results_are_messages_of_their_own():
    image = {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}
    messages, lost = said(
        {"type": "tool_result", "tool_use_id": "a", "content": "sun", "cache_control": CACHED},
        {"type": "tool_result", "tool_use_id": "b", "content": [image], "is_error": True},
        {"type": "tool_result", "tool_use_id": "c"},
        {"type": "text", "text": "And?"},
    )

    assert [one["role"] for one in messages] == ["tool", "tool", "tool", "user"]
    assert messages[0]["cache_control"] == CACHED
    assert messages[1]["content"][0]["type"] == "image_url"
    assert (messages[1]["is_error"], messages[2]["content"]) == (True, "")
    assert lost == []


def test_an_assistants_thoughts_text_and_calls_are_kept():
    messages, lost = said(
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "I look.", "citations": None},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"é": 1}, "cache_control": CACHED},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        role="assistant",
    )

    assert messages == [
        {
            "role": "assistant",
            "content": "I look.",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
            ],
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"é":1}'},
                    "cache_control": CACHED,
                }
            ],
        }
    ]
    assert lost == ["messages.content.server_tool_use"]


def test_tools_become_functions_and_web_search_its_own():
    call, lost = canonical(
        tools=[
            {"name": "f", "input_schema": SCHEMA, "description": "D", "strict": True},
            {"type": "custom", "name": "g", "input_schema": SCHEMA, "cache_control": CACHED},
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "max_uses": 2,
                "user_location": {"type": "approximate", "city": "Paris"},
            },
            {"type": "bash_20250124", "name": "bash"},
        ]
    )

    function = {"name": "f", "description": "D", "parameters": SCHEMA, "strict": True}
    search = {"max_uses": 2, "user_location": {"city": "Paris"}}
    assert call["tools"] == [
        {"type": "function", "function": function},
        {
            "type": "function",
            "function": {"name": "g", "parameters": SCHEMA},
            "cache_control": CACHED,
        },
        {"type": "web_search", "web_search": search},
        {"type": "bash_20250124", "name": "bash"},
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {
                "tool_choice": {"type": "function", "function": {"name": "f"}},
                "parallel_tool_calls": False,
            },
        ),
    ],
)
def test_the_choice_of_a_tool_is_carried(choice, expected):
    call, lost = canonical(tool_choice=choice)

    assert call | expected == call
    assert lost == []


@pytest.mark.parametrize(
    ("asked", "reasoning", "lost"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"budget_tokens": 2000}, []),
        ({"thinking": {"type": "adaptive"}}, {"effort": "high"}, []),
        (
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "low"},
            },
            {"effort": "low", "summary": "auto"},
            [],
        ),
        ({"output_config": {"effort": "max"}}, {"effort": "max"}, []),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            {"effort": "none"},
            ["output_config.effort"],
        ),
        ({}, None, []),
    ],
)
def test_thinking_and_effort_are_reasoning(asked, reasoning, lost):
    call, names = canonical(**asked)

    assert call.get("reasoning") == reasoning
    assert names == lost


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_an_output_format_is_a_response_format(name):
    output = {"type": "json_schema", "schema": SCHEMA}

    call, lost = canonical(**{name: {"format": output} if name == "output_config" else output})

    assert call["response_format"]["json_schema"]["schema"] == SCHEMA
    assert lost == []


def test_a_call_comes_back_as_it_was_from_a_round_trip():
    document = {
        **CALL,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": CACHED}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": CACHED}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "sig-1"},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, None]}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1", "is_error": True},
                    {
                        "type": "document",
                        "source": {"type": "url", "url": "https://x/a.pdf"},
                        "title": "T",
                    },
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA, "strict": True, "cache_control": CACHED}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "stream": True,
    }
    check(document)
    loss = Loss()

    call = CanonicalCall("chat", CLIENT.canonical(document, loss), "sim-test", stream=True)
    again = AnthropicUpstream(AnthropicOptions()).request(call, loss).document

    assert again == document
    assert loss.names == ()


def test_counting_is_a_call_whose_answer_is_a_number():
    client = CountTokensClient()

    assert (client.dialect, client.operation) == ("anthropic.count_tokens", "count_tokens")
    assert client.canonical({"model": "m", "messages": CALL["messages"]}, Loss())["messages"]
    assert client.answer({"input_tokens": 5}, CALL) == {"input_tokens": 5}


# --- answers
UPSTREAM = AnthropicUpstream(AnthropicOptions(), now_s=lambda: 0)
CANONICAL = CanonicalCall("chat", {}, "sim-test")
QUESTIONS = ["hello", "use a tool", "use a tool, empty", "think, redacted", "long", "stop", "pause"]


def claude_says(question):
    return message(
        {
            **CALL,
            "messages": [{"role": "user", "content": question}],
            "tools": [{"name": name, "input_schema": {}} for name in ("f", "g")],
            "thinking": {"type": "adaptive" if "think" in question else "disabled"},
            "stop_sequences": ["END"],
        }
    )


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_message_comes_back_as_it_was_from_a_round_trip(question):
    document = claude_says(question)

    again = CLIENT.answer(UPSTREAM.answer(document, CANONICAL), CALL)

    Message.model_validate(again, strict=True)
    for block in again["content"]:
        block.pop("citations", None)
    assert again == document


def answered(given, **choice):
    choices = [{"index": 0, "finish_reason": "stop", **choice, "message": given}]
    found = CLIENT.answer({"id": "chatcmpl-1", "model": "gpt", "choices": choices}, CALL)
    Message.model_validate(found, strict=True)
    return found


def test_reasoning_without_blocks_is_a_thinking_block():
    found = answered({"role": "assistant", "content": "4", "reasoning_content": "2+2"})

    assert found["content"][0] == {"type": "thinking", "thinking": "2+2", "signature": ""}


def test_an_openai_reasoning_item_shows_its_summary():
    item = {
        "type": "reasoning",
        "summary": [{"text": "A"}, {"text": "B"}],
        "encrypted_content": "e",
    }

    found = answered({"content": "4", "thinking_blocks": [item]})

    assert found["content"][0] == {"type": "thinking", "thinking": "A\n\nB", "signature": "e"}


def test_annotations_are_citations():
    place = {"url": "https://x", "title": "T", "start_index": 0, "end_index": 1}
    given = {"content": "See", "annotations": [{"type": "url_citation", "url_citation": place}]}

    (citation,) = answered(given)["content"][0]["citations"]

    assert (citation["type"], citation["url"]) == ("web_search_result_location", "https://x")


@pytest.mark.parametrize(
    ("given", "choice", "reason"),
    [
        ({"content": "x"}, {}, "end_turn"),
        ({"content": "x"}, {"finish_reason": "length"}, "max_tokens"),
        ({"content": "x"}, {"finish_reason": "content_filter"}, "refusal"),
        ({"content": None, "refusal": "No."}, {}, "refusal"),
        ({"content": "x"}, {"stop_sequence": "END"}, "stop_sequence"),
        ({"content": "x"}, {"finish_reason": None}, "end_turn"),
        ({"tool_calls": [{"id": "a", "function": {"name": "f"}}]}, {}, "tool_use"),
    ],
)
def test_finish_reasons_become_stop_reasons(given, choice, reason):
    assert answered(given, **choice)["stop_reason"] == reason


def test_arguments_that_were_cut_off_make_an_empty_input():
    call = {"id": "a", "function": {"name": "f", "arguments": '{"x": "unfin'}}

    found = answered({"tool_calls": [call]}, finish_reason="length")

    assert found["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    assert found["stop_reason"] == "max_tokens"


def test_cached_tokens_are_counted_apart():
    details = {"cached_tokens": 20, "cache_write_tokens": 5}
    usage = {"prompt_tokens": 35, "completion_tokens": 3, "prompt_tokens_details": details}
    answer = {"choices": [{"message": {"content": "x"}}], "usage": usage, "service_tier": "default"}

    assert CLIENT.answer(answer, CALL)["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 20,
        "output_tokens": 3,
        "service_tier": "standard",
    }


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"message": None}]}])
def test_an_answer_without_choices_is_an_empty_message(answer):
    found = CLIENT.answer(answer, CALL)

    Message.model_validate(found, strict=True)
    assert (found["content"], found["model"]) == ([], "sim-test")


# --- streams
def written(chunks, *, end=True):
    """Encode chunks; return the events, each checked by Anthropic's types."""
    encoder = CLIENT.encoder(CALL)
    raw = b"".join(encoder.chunk(chunk) for chunk in chunks) + (encoder.end() if end else b"")
    found = []
    for frame in FrameDecoder(2**20).feed(raw):
        event = json.loads(frame.data)
        assert frame.name == event["type"]
        if event["type"] not in ("ping", "error"):
            EVENT.validate_python(event, strict=True)
        found.append(event)
    check_order(found)
    return found


def check_order(found):
    """Blocks open and close one after the other, between one start and one stop."""
    opened = None
    expected = 0
    for event in found[1:]:
        kind = event["type"]
        if kind == "content_block_start":
            assert (opened, event["index"]) == (None, expected)
            opened, expected = expected, expected + 1
        elif kind == "content_block_delta":
            assert event["index"] == opened
        elif kind == "content_block_stop":
            assert event["index"] == opened
            opened = None
        elif kind == "message_delta":
            assert opened is None
    assert found[0]["type"] == "message_start"


def blocks(found):
    """Fold events into blocks, as the SDK does."""
    snapshot, pieces = None, {}
    for event in found:
        if event["type"] != "ping":
            parsed = EVENT.validate_python(event)
            snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=pieces)
    return [block.model_dump(exclude_none=True) for block in snapshot.content]


def piece(index, arguments="", **first):
    function = {"arguments": arguments}
    if "name" in first:
        function["name"] = first.pop("name")
    return {"tool_calls": [{"index": index, "function": function, **first}]}


def chunks_of(*deltas, finish="stop", usage=None):
    head = {"id": "chatcmpl-1", "model": "gpt"}
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    if usage:
        yield {**head, "choices": [], "usage": usage}


@pytest.mark.parametrize("question", [*QUESTIONS, "search", "refuse"])
def test_a_stream_folds_to_the_whole_message(question):
    document = claude_says(question)
    decoder = UPSTREAM.decoder(CANONICAL)
    chunks = [c for e in events(document) for c in decoder.event(e["type"], json.dumps(e))]
    whole = CLIENT.answer(UPSTREAM.answer(document, CANONICAL), CALL)

    found = written(chunks)

    joined = [{k: v for k, v in block.items() if v is not None} for block in whole["content"]]
    if question not in ("search", "refuse"):  # whose texts come in parts
        assert blocks(found) == joined
    delta, stop = found[-2:]
    assert stop["type"] == "message_stop"
    assert delta["delta"]["stop_reason"] == whole["stop_reason"]
    assert delta["delta"]["stop_sequence"] == whole["stop_sequence"]
    assert delta["usage"] == whole["usage"]


def test_the_events_come_in_anthropics_order():
    found = written(chunks_of({"role": "assistant", "content": ""}, {"content": "Hi"}))

    assert [event["type"] for event in found] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"]["model"] == "gpt"


def test_usage_after_the_last_choice_is_stated():
    usage = {"prompt_tokens": 7, "completion_tokens": 2}

    found = written(chunks_of({"content": "Hi"}, usage=usage))

    assert found[-2]["usage"]["input_tokens"] == 7
    assert found[-2]["usage"]["output_tokens"] == 2


def test_an_empty_stream_is_an_empty_message():
    found = written([])

    assert [event["type"] for event in found] == ["message_start", "message_delta", "message_stop"]


def test_one_chunk_may_hold_everything():
    delta = {
        "content": "Text.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [
            {"index": 0, "type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"index": 1, "type": "redacted_thinking", "data": "d"},
        ],
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
    }

    found = blocks(written(chunks_of(delta, finish="tool_calls")))

    assert [block["type"] for block in found] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
    ]
    assert found[0]["signature"] == "s"


def test_reasoning_without_blocks_streams_as_thinking():
    found = blocks(written(chunks_of({"reasoning_content": "H"}, {"reasoning_content": "m"})))

    assert found == [{"type": "thinking", "thinking": "Hm", "signature": ""}]


def test_a_second_call_begins_as_soon_as_the_first_is_whole():
    encoder = CLIENT.encoder(CALL)
    deltas = [
        piece(0, id="a", name="f"),
        piece(0, '{"x":'),
        piece(0, "1}"),
        piece(1, id="b", name="g"),
    ]
    *_, second, _ = [encoder.chunk(chunk) for chunk in chunks_of(*deltas)]

    assert b'"name":"g"' in second


def test_calls_whose_pieces_are_mixed_come_apart():
    mixed = chunks_of(
        piece(0, id="a", name="f"),
        piece(1, id="b", name="g"),
        piece(0, '{"x":'),
        piece(1, '{"y":'),
        piece(0, "1}"),
        piece(1, "2}"),
        finish="tool_calls",
    )

    found = blocks(written(mixed))

    assert [(b["id"], b["name"], b["input"]) for b in found] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {"y": 2}),
    ]


def test_what_comes_late_for_a_call_that_was_whole_changes_nothing():
    late = [piece(0, "{}", id="a", name="f"), piece(1, "{}", id="b", name="g"), piece(0, " ")]

    found = blocks(written(chunks_of(*late)))

    assert [(b["id"], b["input"]) for b in found] == [("a", {}), ("b", {})]


def test_annotations_stream_as_citations_of_the_text():
    place = {"url": "https://x", "title": "T", "start_index": 0, "end_index": 3}
    told = {"type": "url_citation", "url_citation": place}

    (block,) = blocks(written(chunks_of({"content": "See"}, {"annotations": [told, {}]})))

    assert block["citations"][0]["url"] == "https://x"


def test_calls_that_all_say_index_0_are_told_apart_by_id():
    found = blocks(
        written(chunks_of(piece(0, "{}", id="a", name="f"), piece(0, '{"x":1}', id="b", name="g")))
    )

    assert [(b["id"], b["input"]) for b in found] == [("a", {}), ("b", {"x": 1})]


def test_other_choices_than_the_first_are_left_out():
    chunks = [{"choices": [{"index": 1, "delta": {"content": "other"}}]}]

    assert blocks(written(chunks)) == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(529, "overloaded_error", "m"), "overloaded_error"),
        (Fault(429, "rate_limit_exceeded", "m"), "rate_limit_error"),
        (Fault(502, "bad_upstream_answer", "m"), "api_error"),
        (Fault(418, "odd", "m", param="x"), "invalid_request_error"),
    ],
)
def test_a_fault_is_an_error_event(fault, kind):
    call = Call(DIALECTS[CLIENT.dialect], CALL, None)
    raw = CLIENT.encoder(CALL).fault(error_document(call, fault), fault.status)

    name, data = raw.decode().split("\n")[:2]
    error = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert (error["type"], error["error"]["type"]) == ("error", kind)


DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=5)),
    st.builds(lambda text: {"reasoning_content": text}, st.text(max_size=5)),
    st.builds(
        lambda index, text: {
            "thinking_blocks": [{"index": index, "type": "thinking", "thinking": text}]
        },
        st.integers(0, 2),
        st.text(max_size=5),
    ),
)
CALLS = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)),
    max_size=4,
    unique_by=lambda pair: pair[0],
)


@given(st.lists(DELTAS, max_size=8), CALLS, st.randoms(use_true_random=False))
def test_whatever_comes_the_events_are_in_order_and_no_call_is_lost(deltas, calls, random):
    pieces = []
    for index, given_ in calls:
        text = json.dumps(given_)
        cut = random.randint(0, len(text))
        pieces.append(
            [
                piece(index, id=f"call_{index}", name="f"),
                piece(index, text[:cut]),
                piece(index, text[cut:]),
            ]
        )
    mixed = []
    while any(pieces):
        mixed.append(random.choice([queue for queue in pieces if queue]).pop(0))

    found = blocks(written(chunks_of(*deltas, *mixed, finish="tool_calls")))

    uses = {block["id"]: block["input"] for block in found if block["type"] == "tool_use"}
    assert uses == {f"call_{index}": given_ for index, given_ in calls}
    assert "".join(block.get("text", "") for block in found) == "".join(
        delta.get("content", "") for delta in deltas
    )


IN_A_PAGE = {
    "type": "page_location",
    "cited_text": "so",
    "document_index": 0,
    "document_title": "t",
    "start_page_number": 1,
    "end_page_number": 2,
}


def test_citations_of_documents_reach_a_client_who_has_words_for_them():
    cohere = {"start": 0, "end": 2, "text": "so", "sources": []}

    (block,) = answered({"content": "So.", "citations": [IN_A_PAGE, cohere]})["content"]
    streamed = written([{"choices": [{"delta": {"content": "So.", "citations": [IN_A_PAGE]}}]}])

    assert block["citations"] == [IN_A_PAGE]
    deltas = [event["delta"] for event in streamed if event["type"] == "content_block_delta"]
    assert deltas[-1] == {"type": "citations_delta", "citation": IN_A_PAGE}
