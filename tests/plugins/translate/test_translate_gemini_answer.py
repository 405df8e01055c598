"""Gemini's answers, streams and errors in canonical form, and its signatures' way and back."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers, InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.messages import MessagesClient
from plugins.translate.formats import Fault
from plugins.translate.upstreams.gemini import GeminiOptions, GeminiUpstream
from plugins.translate.upstreams.gemini_signatures import NOT_SIGNED, packed
from plugins.translate.upstreams.gemini_vertex import VertexGeminiOptions, VertexGeminiUpstream
from tests.support import decoding
from tests.support.folding import comparable, fold
from tests.support.providers.gemini import embeddings, frames
from tests.support.providers.gemini_answers import GROUNDED, events, response
from tests.support.providers.gemini_rules import SIGNATURE, check, check_embedding

NOW_S = 1_700_000_000
MODEL = "gemini-3-test"
CALL = CanonicalCall("chat", {}, MODEL, stream=True)
UPSTREAM = GeminiUpstream(GeminiOptions(), now_s=lambda: NOW_S)
VERTEX = VertexGeminiUpstream(VertexGeminiOptions(project="p"))
TOOLS = [{"functionDeclarations": [{"name": "weather"}, {"name": "time"}]}]
QUESTIONS = (
    "hello",
    "think",
    "use a tool",
    "think, use a tool",
    "use a named tool, empty",
    "search",
    "refuse",
    "recite",
    "block",
    "long",
    "malformed",
    "two",
)


def body(question):
    config = {"candidateCount": 2} if question == "two" else {}
    if "think" in question:
        config["thinkingConfig"] = {"includeThoughts": True}
    tools = [{"googleSearch": {}}] if question == "search" else TOOLS
    contents = [{"role": "user", "parts": [{"text": question}]}]
    return {"contents": contents, "tools": tools, "generationConfig": config}


def answer(question, model=MODEL):
    return UPSTREAM.answer(response(body(question), model), CALL)


def message(question):
    return answer(question)["choices"][0]["message"]


def streamed(document):
    decoder = UPSTREAM.decoder(CALL)
    found = [one for event in events(document) for one in decoder.event("", json.dumps(event))]
    return [*found, *decoder.end()]


def decoded(pieces):
    return decoding.decoded(UPSTREAM, CALL, pieces)


# --- whole answers
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_and_chunks_are_valid_by_openais_types(question):
    ChatCompletion.model_validate(answer(question))
    for chunk in streamed(response(body(question), MODEL)):
        ChatCompletionChunk.model_validate(chunk)


def test_a_text_is_a_completion():
    found = answer("hello")

    assert (found["id"], found["created"], found["model"]) == ("resp-1", NOW_S, MODEL)
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["choices"][0]["message"]["content"].startswith("You said 'hello'")


def test_thoughts_are_completion_tokens_and_found_pages_prompt_tokens():
    assert answer("hello")["usage"] == {
        "prompt_tokens": 23,
        "completion_tokens": 15,
        "total_tokens": 38,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


def test_function_calls_are_tool_calls_with_ids_that_do_not_change():
    first, again = answer("use a tool"), answer("use a tool")
    calls = first["choices"][0]["message"]["tool_calls"]

    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert calls[0]["function"] == {"name": "weather", "arguments": '{"city":"Paris","at":0}'}
    assert calls == again["choices"][0]["message"]["tool_calls"]
    assert len({call["id"] for call in calls}) == 2
    assert all(len(call["id"]) <= 40 for call in calls)


def test_an_id_that_gemini_gave_is_kept():
    assert message("use a named tool")["tool_calls"][1]["id"] == "fc-1"


def test_thoughts_and_signatures_are_thinking_blocks():
    found = message("think, use a tool")

    thought = "Let me think about it."
    last = {"type": "thinking", "thinking": "", "signature": packed("call0", f"{SIGNATURE}Y2Fs")}
    assert found["reasoning_content"] == thought
    assert found["thinking_blocks"] == [
        {"type": "thinking", "thinking": thought, "signature": ""},
        last,
    ]
    extra = {"google": {"thought_signature": f"{SIGNATURE}Y2Fs"}}
    assert [call.get("extra_content") for call in found["tool_calls"]] == [extra, None]


def test_a_call_right_behind_a_thought_signs_it():
    parts = [
        {"thought": True, "text": "Hm."},
        {"functionCall": {"name": "f"}, "thoughtSignature": "QUJD"},
    ]
    document = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}

    found = UPSTREAM.answer(document, CALL)["choices"][0]["message"]

    assert found["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "gemini:call0:QUJD"}
    ]
    assert found["content"] is None


def test_grounding_is_annotations_at_places_in_characters():
    found = message("search")

    cited = [one["url_citation"] for one in found["annotations"]]
    quoted = [GROUNDED[one["start_index"] : one["end_index"]] for one in cited]
    assert quoted == ["Paris is big.", "It is très belle."]
    assert [one["title"] for one in cited] == ["Paris", "Belle"]


def test_sources_without_a_place_are_annotations_all_the_same():
    grounding = {"groundingChunks": [{"web": {"uri": "https://a.b"}}], "groundingSupports": None}
    content = {"parts": [{"text": "x"}]}
    document = {"candidates": [{"content": content, "groundingMetadata": grounding}]}

    found = UPSTREAM.answer(document, CALL)["choices"][0]["message"]["annotations"]

    told = {"start_index": 0, "end_index": 0, "title": "", "url": "https://a.b"}
    assert found == [{"type": "url_citation", "url_citation": told}]


def test_images_are_data_urls():
    parts = [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]
    document = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}

    found = UPSTREAM.answer(document, CALL)["choices"][0]["message"]["images"]

    url = "data:image/png;base64,QUJD"
    assert found == [{"type": "image_url", "image_url": {"url": url}}]


def test_log_probabilities_are_openais():
    asked = {**body("hello"), "generationConfig": {"responseLogprobs": True}}

    found = UPSTREAM.answer(response(asked, MODEL), CALL)["choices"][0]["logprobs"]

    one = {"token": "You", "logprob": -0.5, "bytes": [89, 111, 117]}
    assert found == {"content": [{**one, "top_logprobs": [one]}], "refusal": None}


@pytest.mark.parametrize(
    ("question", "ending"),
    [
        ("long", {"finish_reason": "length"}),
        ("refuse", {"finish_reason": "content_filter", "native_finish_reason": "SAFETY"}),
        ("recite", {"finish_reason": "content_filter", "native_finish_reason": "RECITATION"}),
        ("malformed", {"finish_reason": "stop", "native_finish_reason": "MALFORMED_FUNCTION_CALL"}),
        (
            "block",
            {"finish_reason": "content_filter", "native_finish_reason": "PROHIBITED_CONTENT"},
        ),
    ],
)
def test_finish_reasons(question, ending):
    choice = answer(question)["choices"][0]

    assert choice | ending == choice


@pytest.mark.parametrize("reason", ["LANGUAGE", "OTHER", "BLOCKLIST", "SPII"])
def test_an_answer_that_gemini_gave_up_is_filtered(reason):
    document = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": reason}]}

    choice = UPSTREAM.answer(document, CALL)["choices"][0]

    assert choice["finish_reason"] == "content_filter"
    assert choice["native_finish_reason"] == reason


def test_a_blocked_prompt_and_a_filtered_answer_say_why():
    assert "PROHIBITED_CONTENT" in message("block")["refusal"]
    assert message("refuse")["refusal"] == "Against the policy."


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": []},
        {"candidates": None, "usageMetadata": None},
        {"candidates": [{}]},
        {"candidates": [{"content": None, "finishReason": None}]},
        {"candidates": [{"content": {"parts": [None, {}, {"unknown": 1}]}}]},
        {"candidates": [{"groundingMetadata": {"groundingChunks": [None, {"web": None}]}}]},
        {"candidates": [{"logprobsResult": {"chosenCandidates": [{}], "topCandidates": [None]}}]},
        [{"candidates": [{"content": {"parts": [{"text": "x"}]}}]}],
    ],
)
def test_odd_answers_are_survived(document):
    ChatCompletion.model_validate(UPSTREAM.answer(document, CALL))


@pytest.mark.parametrize("document", [{}, [], None, {"message": "x"}])
def test_what_is_no_answer_is_told(document):
    with pytest.raises(ValueError, match="no candidates"):
        UPSTREAM.answer(document, CALL)


# --- streams
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("model", [MODEL, "gemini-2.5-test"])
def test_a_folded_stream_is_the_whole_answer(question, model):
    document = response(body(question), model)

    folded = comparable(fold(streamed(document)))

    assert folded == comparable(UPSTREAM.answer(document, CALL))


@given(st.sampled_from(QUESTIONS), st.lists(st.integers(0, 4000), max_size=6))
def test_any_cut_of_the_bytes_gives_the_same_chunks(question, cuts):
    raw = b"".join(frames(body(question), MODEL))
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]

    assert decoded(raw[a:b] for a, b in pairwise(places)) == decoded([raw])


def test_a_model_that_says_stop_in_each_event_ends_once():
    events_said = [
        {"candidates": [{"content": {"parts": [{"text": one}]}, "finishReason": "STOP"}]}
        for one in "ab"
    ]
    decoder = UPSTREAM.decoder(CALL)

    chunks = [one for event in events_said for one in decoder.event("", json.dumps(event))]
    chunks += decoder.end()

    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None, None, "stop"]


def test_a_stream_that_is_cut_ends_in_a_fault():
    assert decoded(frames(body("think, cut"), MODEL))[-1].code == "upstream_stream_cut"
    assert [one.code for one in UPSTREAM.decoder(CALL).end()] == ["upstream_stream_cut"]


def test_an_error_inside_a_stream_is_a_fault_and_the_last():
    found = decoded(frames(body("think, broken stream"), MODEL))

    assert found[-1] == Fault(503, "UNAVAILABLE", "The model is overloaded.")


@pytest.mark.parametrize("data", ["{", "[", "nonsense"])
def test_what_is_no_json_in_a_stream_is_a_fault(data):
    decoder = UPSTREAM.decoder(CALL)

    assert [one.code for one in decoder.event("", data)] == ["bad_upstream_answer"]
    assert list(decoder.end()) == []


@pytest.mark.parametrize("data", ["", "[]", "1", '{"candidates":[1]}', '{"x":1}'])
def test_odd_events_are_passed_over(data):
    assert list(UPSTREAM.decoder(CALL).event("", data)) == []


# --- errors
def google_error(**more):
    error = {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED", **more}
    return json.dumps({"error": error}).encode()


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
VIOLATION = {"fieldViolations": [{"field": "contents[0].role", "description": "x"}]}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (429, google_error(), Fault(429, "RESOURCE_EXHAUSTED", "Quota.")),
        (429, b"[" + google_error() + b"]", Fault(429, "RESOURCE_EXHAUSTED", "Quota.")),
        (
            429,
            google_error(details=[RETRY]),
            Fault(429, "RESOURCE_EXHAUSTED", "Quota.", retry_after_s=34.07),
        ),
        (
            400,
            google_error(status="INVALID_ARGUMENT", details=[VIOLATION]),
            Fault(400, "INVALID_ARGUMENT", "Quota.", param="contents[0].role"),
        ),
        (
            400,
            google_error(status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
            Fault(401, "INVALID_ARGUMENT", "Quota."),
        ),
        (502, b"<html>no</html>", Fault(502, "INTERNAL", "the provider answered 502")),
        (503, b"busy", Fault(503, "UNAVAILABLE", "busy")),
        (401, b'{"error":"invalid_grant"}', Fault(401, "invalid_grant", "invalid_grant")),
        (404, b"null", Fault(404, "NOT_FOUND", "the provider answered 404")),
        (302, b"", Fault(502, "INTERNAL", "the provider answered 502")),
    ],
)
def test_errors_of_every_shape_are_read(status, body, fault):
    assert UPSTREAM.fault(status, Headers(), body) == fault


# --- counts and embeddings
def test_a_count_is_read():
    call = CanonicalCall("count_tokens", {}, MODEL)

    assert UPSTREAM.answer({"totalTokens": 42}, call) == {"input_tokens": 42}


def embedding(upstream, document, model):
    loss = Loss()
    call = CanonicalCall("embedding", document, model)
    outgoing = upstream.request(call, loss)
    verb = outgoing.path.rpartition(":")[2]
    if verb != "predict":
        check_embedding(outgoing.document)
    return outgoing, upstream.answer(embeddings(outgoing.document, verb), call), loss.names


ASKED = {"input": ["a", "b"], "dimensions": 2, "input_type": "query", "encoding_format": "base64"}


def test_ai_studio_embeds_in_batches():
    outgoing, found, lost = embedding(UPSTREAM, ASKED, "gemini-embedding-001")

    one = {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
    assert outgoing.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert outgoing.document["requests"][1] == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "b"}]},
        **one,
    }
    assert [item["embedding"] for item in found["data"]] == [[0.1, 0.2]] * 2
    assert lost == ()


@pytest.mark.parametrize(
    ("model", "given", "verb", "tokens"),
    [
        ("text-embedding-005", ["a", "b"], "predict", 6),
        ("gemini-embedding-001", "a", "embedContent", 3),
        ("gemini-embedding-001", ["a", "b"], "batchEmbedContents", 0),
    ],
)
def test_vertex_embeds_by_the_models_endpoint(model, given, verb, tokens):
    outgoing, found, lost = embedding(VERTEX, {**ASKED, "input": given}, model)

    assert outgoing.path.endswith(f"/{model}:{verb}")
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert [item["index"] for item in found["data"]] == list(range(len(given)))
    assert lost == ()


def test_tokens_cannot_be_embedded_and_unknown_tasks_are_reported():
    with pytest.raises(InvalidCall) as error:
        embedding(UPSTREAM, {"input": [[1, 2]]}, "m")

    assert error.value.param == "input"
    assert embedding(UPSTREAM, {"input": "a", "input_type": "odd"}, "m")[2] == ("input_type",)


def test_an_answer_without_vectors_is_told():
    with pytest.raises(ValueError, match="no embeddings"):
        UPSTREAM.answer({"x": 1}, CanonicalCall("embedding", {}, "m"))


# --- signatures there and back
def next_request(client, turn):
    """Return the body of the request that follows a turn, held against Gemini's rules."""
    document = {"model": "m", "max_tokens": 9, "messages": turn}
    call = CanonicalCall("chat", client.canonical(document, Loss()), MODEL)
    sent = UPSTREAM.request(call, Loss()).document
    check(sent, model=MODEL)
    return sent


def signatures(sent):
    return [part.get("thoughtSignature") for part in sent["contents"][1]["parts"]]


@pytest.mark.parametrize("brings_blocks", [True, False])
def test_a_chat_client_brings_signatures_back(brings_blocks):
    said = message("think, use a tool")
    if not brings_blocks:
        said = {"role": "assistant", "content": None, "tool_calls": said["tool_calls"]}
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in said["tool_calls"]
    ]

    sent = next_request(ChatClient(), [{"role": "user", "content": "q"}, said, *results])

    assert [one for one in signatures(sent) if one] == [f"{SIGNATURE}Y2Fs"]


def test_a_chat_client_that_brings_nothing_back_is_served():
    calls = [
        {name: call[name] for name in ("id", "type", "function")}
        for call in message("use a tool")["tool_calls"]
    ]
    said = {"role": "assistant", "content": None, "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in calls]

    sent = next_request(ChatClient(), [{"role": "user", "content": "q"}, said, *results])

    assert signatures(sent) == [NOT_SIGNED, None]


@pytest.mark.parametrize("question", ["think, use a tool", "hello"])
def test_anthropics_client_brings_signatures_back(question):
    client = MessagesClient()
    said = client.answer(answer(question), {"model": "m"})
    uses = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": one, "content": "x"} for one in uses]
    content = [
        {name: value for name, value in block.items() if name != "citations"}
        for block in said["content"]
    ]
    turn = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results or "And?"},
    ]

    sent = next_request(client, turn)

    expected = f"{SIGNATURE}Y2Fs" if uses else f"{SIGNATURE}dGV4"
    assert [one for one in signatures(sent) if one] == [expected]
