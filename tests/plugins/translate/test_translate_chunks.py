"""A whole answer cut into chunks: each client's stream of them is that client's whole answer."""

from __future__ import annotations

import json
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from pipeline.api import FrameDecoder
from pipeline.dialects.openai_chat import OpenAIChat
from plugins.translate.chunks import chunks_of
from plugins.translate.clients import CLIENTS
from plugins.translate.formats import Client
from tests.support.canonical_answers import USAGE, answer, answers
from tests.support.responses_stream import checked, final, read

EVENT = TypeAdapter(RawMessageStreamEvent)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps)
ANSWERS = answers(ARGUMENTS, st.uuids().map(str))


def written(client: Client, document: dict[str, Any], call: dict[str, Any]) -> bytes:
    encoder = client.encoder(call)
    return b"".join(map(encoder.chunk, chunks_of(document))) + encoder.end()


def told(value: Any) -> Any:
    """Return a value without what says nothing: null, and empty texts and lists."""
    if isinstance(value, dict):
        return {k: t for k, v in value.items() if (t := told(v)) not in (None, "", [], {})}
    return [told(one) for one in value] if isinstance(value, list) else value


@given(ANSWERS)
def test_chat_chunks_fold_to_the_answer(document):
    client = CLIENTS["openai.chat"]
    call = {"model": "m", "messages": [], "stream_options": {"include_usage": True}}
    dialect = OpenAIChat()
    frames = FrameDecoder(2**20).feed(written(client, document, call))
    for frame in frames[:-1]:
        ChatCompletionChunk.model_validate(json.loads(frame.data or ""))

    folded = dialect.fold(dialect.decode_event(f.raw, f.name, f.data) for f in frames)

    for block in folded["choices"][0]["message"].get("thinking_blocks", ()):
        block.pop("index", None)
    expected = told(client.answer(document, call))
    assert told({**folded, "object": "chat.completion"}) == expected


@given(ANSWERS)
def test_anthropics_events_fold_to_the_message(document):
    client = CLIENTS["anthropic.messages"]
    call = {"model": "m", "max_tokens": 9, "messages": []}
    snapshot: Message | None = None
    pieces: dict[int, Any] = {}
    for frame in FrameDecoder(2**20).feed(written(client, document, call)):
        if frame.name != "ping":
            event = EVENT.validate_json(frame.data or "")
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=pieces)

    assert snapshot is not None
    whole = Message.model_validate(client.answer(document, call))
    assert told(snapshot.model_dump()) == told(whole.model_dump())


@given(ANSWERS)
def test_responses_events_fold_to_the_response(document):
    client = CLIENTS["openai.responses"]
    call = {"model": "m", "input": "hi"}

    assert final(read(written(client, document, call))) == checked(client.answer(document, call))


def test_every_choice_and_the_usage_have_their_chunks():
    document = answer({"content": "a"}, "stop", choice={"stop_sequence": "END"})
    other = answer({"content": "b"}, "length")["choices"][0]
    document["choices"].append({**other, "index": 1})

    chunks = list(chunks_of(document))

    assert [[(c["index"], c["finish_reason"]) for c in one["choices"]] for one in chunks] == [
        [(0, None)],
        [(0, "stop")],
        [(1, None)],
        [(1, "length")],
        [],
    ]
    assert chunks[1]["choices"][0]["stop_sequence"] == "END"
    assert chunks[-1]["usage"] == USAGE
