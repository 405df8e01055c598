"""OpenAI's Responses API on the client's side: answers and streams out."""

from __future__ import annotations

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api import Call
from plugins.translate.canonical import Loss
from plugins.translate.chunks import chunks_of
from plugins.translate.clients.responses import ResponsesClient
from plugins.translate.formats import Fault
from plugins.translate.translation import error_document
from tests.support.canonical_answers import (
    CITATION,
    CITED,
    HEAD,
    OWN_THOUGHT,
    REDACTED,
    TEXT,
    THOUGHT,
    USAGE,
    answer,
    answers,
    tool_call,
)
from tests.support.responses_stream import checked, final, read
from tests.support.translate_matrix import DIALECTS

CLIENT = ResponsesClient()
CALL = {"model": "m", "input": "hi"}


def response(message, finish="stop", call=CALL, **more):
    return checked(CLIENT.answer(answer(message, finish, **more), call))


def piece(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def streamed(chunks, call=CALL):
    encoder = CLIENT.encoder({**call, "stream": True})
    return read(b"".join(encoder.chunk(one) for one in chunks) + encoder.end())


def kinds(events):
    return [event["type"].removeprefix("response.") for event in events]


# --- whole answers
def test_a_text_is_a_message():
    found = response({"content": "Hello"})

    assert found["id"] == "resp_abc"
    assert found["created_at"] == 7
    assert found["model"] == "m-1"
    assert found["status"] == "completed"
    assert found["incomplete_details"] is None
    assert found["output"] == [
        {
            "id": "msg_abc_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
            ],
        }
    ]


def test_usage_is_told_in_responses_words():
    assert response({"content": "x"})["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }
    assert response({"content": "x"}, usage=None)["usage"] is None


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_why_it_ended_is_its_status(finish, status, reason):
    found = response({"content": "x", "tool_calls": [tool_call("a")]}, finish)

    assert found["status"] == status
    assert found["incomplete_details"] == ({"reason": reason} if reason else None)
    assert [item["status"] for item in found["output"]] == ["completed", status]


def test_thoughts_come_first_then_text_then_calls():
    found = response(
        {
            "content": "Hi",
            "refusal": "No.",
            "reasoning_content": "Hm.",
            "thinking_blocks": [THOUGHT, REDACTED, OWN_THOUGHT],
            "tool_calls": [tool_call("a"), tool_call("b", "g")],
        },
        "tool_calls",
    )

    assert found["output"][:3] == [
        {
            "id": "rs_abc_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "dragoman:thinking:sig==",
        },
        {
            "id": "rs_abc_1",
            "type": "reasoning",
            "summary": [],
            "encrypted_content": "dragoman:redacted_thinking:xx",
        },
        OWN_THOUGHT,
    ]
    assert [part["type"] for part in found["output"][3]["content"]] == ["output_text", "refusal"]
    assert found["output"][4:] == [
        {
            "id": f"fc_abc_{number}",
            "type": "function_call",
            "status": "completed",
            "call_id": call_id,
            "name": name,
            "arguments": '{"a":1}',
        }
        for number, (call_id, name) in enumerate([("a", "f"), ("b", "g")])
    ]


def test_reasoning_without_blocks_is_a_thought():
    found = response({"content": "x", "reasoning_content": "Hm."})

    assert found["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm."}]


def test_citations_and_log_probabilities_belong_to_the_text():
    tokens = [
        {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": []},
        {
            "token": "i",
            "logprob": -0.1,
            "bytes": None,
            "top_logprobs": [{"token": "o", "logprob": -2.0, "bytes": [111]}],
        },
    ]
    message = {"content": "Hi", "annotations": [CITATION, {"type": "file_citation"}]}

    part = response(message, choice={"logprobs": {"content": tokens}})["output"][0]["content"][0]

    assert part["annotations"] == [{"type": "url_citation", **CITED}]
    assert part["logprobs"] == [tokens[0], {**tokens[1], "bytes": []}]


def test_calls_of_custom_tools_are_items_of_their_own():
    call = {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}

    assert response({"tool_calls": [call]})["output"] == [
        {
            "id": "fc_abc_0",
            "type": "custom_tool_call",
            "call_id": "a",
            "name": "sh",
            "input": "ls",
        }
    ]


def test_every_call_has_an_id_of_its_own():
    calls = [tool_call("a"), tool_call("a"), tool_call(""), tool_call(None)]

    ids = [item["call_id"] for item in response({"tool_calls": calls})["output"]]

    assert ids[0] == "a"
    assert len(set(ids)) == 4


def test_the_response_repeats_what_was_asked():
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "max_tool_calls": 2,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "service_tier": "flex",
        "temperature": 0.5,
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
        "top_logprobs": 2,
        "top_p": 0.5,
        "user": "u",
    }
    shape = {"type": "json_object"}

    found = response(
        {"content": "x"},
        call={**CALL, **asked, "reasoning": {"effort": "low"}, "text": {"format": shape}},
    )

    tool = {"type": "function", "name": "f", "description": None, "parameters": None}
    asked["tools"][0] = {**tool, "strict": None}
    assert {name: found[name] for name in asked} == asked
    assert found["reasoning"] == {"effort": "low", "summary": None}
    assert found["text"] == {"format": shape}


def test_the_tier_that_served_is_told():
    call = {**CALL, "service_tier": "auto"}

    assert response({}, call=call, service_tier="priority")["service_tier"] == "priority"
    assert response({}, call=call, service_tier="on-demand")["service_tier"] == "auto"
    assert response({}, call={**CALL, "service_tier": "gold"})["service_tier"] is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None, "finish_reason": None}], "usage": {}},
        {"choices": [{"message": {"content": None, "tool_calls": None, "annotations": None}}]},
        {"choices": [{"message": {"tool_calls": [{}], "thinking_blocks": [{}]}}]},
        {"choices": [{"message": {"annotations": [None, {"url_citation": None}]}}]},
        {"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{}, None]}}]},
        {"usage": {"prompt_tokens": None, "prompt_tokens_details": None}},
    ],
)
def test_odd_answers_are_survived(odd):
    whole = checked(CLIENT.answer(odd, CALL))

    assert final(streamed(chunks_of(odd))) == whole


# --- streams
def test_a_text_streams_as_documented():
    tokens = [{"token": "lo", "logprob": -0.5, "bytes": [108, 111], "top_logprobs": []}]

    events = streamed(
        [
            piece({"role": "assistant", "content": ""}),
            piece({"content": "Hel"}),
            piece({"content": "lo"}, logprobs={"content": tokens}),
            piece({"annotations": [CITATION]}),
            piece({}, "stop"),
            {**HEAD, "choices": [], "usage": USAGE},
        ]
    )

    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    message = {"content": "Hello", "annotations": [CITATION]}
    assert final(events) == response(message, choice={"logprobs": {"content": tokens}})


def test_a_thought_is_closed_before_the_text_begins():
    events = streamed(
        [
            piece(
                {
                    "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "H"}],
                    "reasoning_content": "H",
                }
            ),
            piece({"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "m."}]}),
            piece({"thinking_blocks": [{"index": 0, "type": "thinking", "signature": "sig=="}]}),
            piece({"thinking_blocks": [{"index": 1, **REDACTED}]}),
            piece({"content": "x"}, "stop"),
        ]
    )

    assert kinds(events)[2:13] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
    ]
    message = {"content": "x", "thinking_blocks": [THOUGHT, REDACTED]}
    assert final(events) == response(message, usage=None)


def test_signatures_that_come_late_cut_no_message():
    def signed(index, signature, **delta):
        block = {"index": index, "type": "thinking", "signature": signature}
        return piece({"thinking_blocks": [block], **delta})

    events = streamed(
        [
            piece({"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "Hm."}]}),
            signed(0, "sig=="),
            piece({"content": "Hi "}),
            signed(1, "gemini:text:x", content="there"),
            signed(2, "gemini:call0:y", tool_calls=[{"index": 0, **tool_call("a")}]),
            piece({}, "length"),
        ]
    )

    output = final(events)["output"]
    assert [item["type"] for item in output] == [
        "reasoning",
        "message",
        "function_call",
        "reasoning",
        "reasoning",
    ]
    assert output[2]["status"] == "incomplete"
    late = [
        {"type": "thinking", "thinking": "", "signature": signature}
        for signature in ("gemini:text:x", "gemini:call0:y")
    ]
    for items in (output, [item for item in output if item["type"] != "function_call"]):
        said = CLIENT.canonical({**CALL, "input": items}, Loss())["messages"]
        assert [one["thinking_blocks"] for one in said] == [[THOUGHT, *late]]
        assert said[0]["content"] == "Hi there"


def test_a_refusal_streams_as_one():
    events = streamed([piece({"refusal": "N"}), piece({"refusal": "o."}), piece({}, "stop")])

    assert kinds(events)[4:7] == ["refusal.delta", "refusal.delta", "refusal.done"]
    assert final(events) == response({"refusal": "No."}, usage=None)


def test_calls_stream_side_by_side():
    def part(index, arguments, **first):
        function = {"arguments": arguments, **first.pop("function", {})}
        return piece({"tool_calls": [{"index": index, **first, "function": function}]})

    events = streamed(
        [
            piece({"content": "See."}),
            part(0, "", id="a", function={"name": "f"}),
            part(1, '{"a"', id="b", function={"name": "g"}),
            part(0, "{}"),
            part(1, ":1}"),
            piece({}, "tool_calls"),
        ]
    )

    deltas = [(e["output_index"], e["delta"]) for e in events if "arguments.delta" in e["type"]]
    assert deltas == [(2, '{"a"'), (1, "{}"), (2, ":1}")]
    calls = [tool_call("a", "f", "{}"), tool_call("b", "g")]
    assert final(events) == response({"content": "See.", "tool_calls": calls}, usage=None)


def test_another_id_under_the_same_index_is_another_call():
    events = streamed(
        [
            piece({"tool_calls": [{"index": 0, **tool_call("a")}]}),
            piece({"tool_calls": [{"index": 0, **tool_call("b", "g")}]}),
        ]
    )

    assert [item["call_id"] for item in final(events)["output"]] == ["a", "b"]


def test_text_after_a_call_is_a_message_after_it():
    events = streamed(
        [
            piece({"content": "One."}),
            piece({"tool_calls": [{"index": 0, **tool_call("a")}]}),
            piece({"content": "Two."}),
            piece({}, "length"),
        ]
    )

    found = final(events)
    assert kinds(events)[-1] == "incomplete"
    assert [item["type"] for item in found["output"]] == ["message", "function_call", "message"]
    assert [item["status"] for item in found["output"]] == ["completed", "completed", "incomplete"]


def test_custom_calls_stream_their_input():
    call = {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}

    events = streamed([piece({"tool_calls": [{"index": 0, **call}]}, "tool_calls")])

    assert kinds(events)[3:5] == ["custom_tool_call_input.delta", "custom_tool_call_input.done"]
    assert final(events) == response({"tool_calls": [call]}, usage=None)


def test_a_stream_without_chunks_is_an_empty_response():
    assert final(streamed([]))["output"] == []


def test_only_the_first_choice_is_the_response():
    other = piece({"content": "other"})
    other["choices"][0]["index"] = 1

    assert final(streamed([piece({"content": "x"}), other])) == response(
        {"content": "x"}, usage=None
    )


def worded(fault):
    return error_document(Call(DIALECTS[CLIENT.dialect], CALL, None), fault)


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (502, "server_error", "server_error"),
        (400, "server_error", "invalid_request_error"),
    ],
)
def test_a_fault_fails_the_response_and_is_an_error(status, word, kind):
    encoder = CLIENT.encoder(CALL)
    raw = encoder.chunk(piece({"content": "x"}))
    raw += encoder.fault(worded(Fault(status, "some_code", "words", param="p")), status)

    *_, failed, error = read(raw)

    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": word, "message": "words"}
    said = {"message": "words", "param": "p", "code": "some_code"}
    assert {name: error[name] for name in said} == said
    assert error["error"] == {**said, "type": kind}


def test_a_fault_before_anything_else_is_an_error_alone():
    raw = CLIENT.encoder(CALL).fault(worded(Fault(502, "c", "words")), 502)

    assert kinds(read(raw)) == ["error"]


# --- OpenAI's own client
def sdk(raw):
    def served(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/v1/responses"
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw)

    transport = httpx2.Client(transport=httpx2.MockTransport(served))
    return openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=transport, max_retries=0)


MESSAGE = {
    "content": "Hi there",
    "thinking_blocks": [THOUGHT, REDACTED],
    "annotations": [CITATION],
    "tool_calls": [tool_call("a"), tool_call("b", "g", "{}")],
}


def test_openais_client_accumulates_the_same_response():
    whole = answer(MESSAGE, "tool_calls")
    encoder = CLIENT.encoder(CALL)
    raw = b"".join(map(encoder.chunk, chunks_of(whole))) + encoder.end()

    with sdk(raw) as client, client.responses.stream(model="m", input="hi") as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        found = stream.get_final_response()

    assert "".join(texts) == found.output_text == "Hi there"
    expected = openai.types.responses.Response.model_validate(response(MESSAGE, "tool_calls"))
    parsed = found.to_dict(mode="python", exclude_unset=False)
    for item in parsed["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    assert parsed == expected.to_dict(mode="python", exclude_unset=False)


def test_openais_client_raises_on_an_error_in_the_stream():
    encoder = CLIENT.encoder(CALL)
    raw = encoder.chunk(piece({"content": "x"}))
    raw += encoder.fault(worded(Fault(429, "c", "slow down")), 429)

    with sdk(raw) as client:
        stream = client.responses.create(model="m", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="slow down"):
            list(stream)


def test_what_was_answered_can_be_sent_back():
    found = response(MESSAGE, "tool_calls")
    results = [
        {"type": "function_call_output", "call_id": call_id, "output": "1"} for call_id in "ab"
    ]
    loss = Loss()

    call = CLIENT.canonical({**CALL, "input": [*found["output"], *results]}, loss)

    said = call["messages"][0]
    for name in ("content", "thinking_blocks", "tool_calls"):
        assert said[name] == MESSAGE[name]
    assert [m.get("tool_call_id") for m in call["messages"][1:]] == ["a", "b"]
    assert loss.names == ()


# --- properties
ANSWERS = answers(TEXT, st.sampled_from(["", "a", "b", "c"]))


def shortened(chunk, size):
    """Split the text of a chunk's delta into deltas of at most so many characters."""
    choice = chunk["choices"][0] if chunk["choices"] else {}
    delta = choice.get("delta") or {}
    if delta.get("tool_calls"):
        yield from _mixed_calls(chunk, delta, size)
        return
    texts = [name for name in ("content", "refusal", "thinking_blocks") if delta.get(name)]
    if texts != ["content"] or choice.get("logprobs"):
        yield chunk
        return
    text = delta["content"]
    for start in range(0, len(text), size):
        more = {} if start else {k: v for k, v in delta.items() if k != "annotations"}
        if start + size >= len(text) and "annotations" in delta:
            more["annotations"] = delta["annotations"]
        yield {
            **chunk,
            "choices": [{**choice, "delta": {**more, "content": text[start : start + size]}}],
        }


def _mixed_calls(chunk, delta, size):
    """Give all calls first, then their arguments in turn."""
    choice = chunk["choices"][0]

    def with_calls(calls, **more):
        return {**chunk, "choices": [{**choice, "delta": {**more, "tool_calls": calls}}]}

    calls = delta["tool_calls"]
    begun = [{**c, "function": {**c["function"], "arguments": ""}} for c in calls]
    yield with_calls(begun, **{k: v for k, v in delta.items() if k != "tool_calls"})
    choice = {**choice, "logprobs": None}
    longest = max(len(call["function"]["arguments"]) for call in calls)
    for start in range(0, longest, size):
        for call in calls:
            if text := call["function"]["arguments"][start : start + size]:
                yield with_calls([{"index": call["index"], "function": {"arguments": text}}])


@settings(max_examples=150)
@given(ANSWERS, st.integers(1, 5))
def test_a_stream_folds_to_the_whole_answer(document, size):
    whole = checked(CLIENT.answer(document, CALL))
    chunks = [short for chunk in chunks_of(document) for short in shortened(chunk, size)]

    assert final(streamed(chunks)) == whole


@given(ANSWERS)
def test_what_was_thought_said_and_called_survives_a_round_trip(document):
    found = CLIENT.answer(document, CALL)
    loss = Loss()

    messages = CLIENT.canonical({**CALL, "input": found["output"]}, loss)["messages"]

    message = document["choices"][0]["message"]
    said = messages[0] if messages else {}
    text = message.get("content")
    has_more = text or message.get("refusal") or message.get("tool_calls")
    if has_more:
        told = message.get("reasoning_content")
        unsigned = [{"type": "thinking", "thinking": told, "signature": ""}] if told else []
        assert said.get("thinking_blocks", []) == (message.get("thinking_blocks") or unsigned)
        assert (said.get("content") or "") == (text or "")
        assert said.get("refusal", "") == (message.get("refusal") or "")
        names = [call["function"] for call in message.get("tool_calls") or ()]
        assert [call["function"] for call in said.get("tool_calls", ())] == names
