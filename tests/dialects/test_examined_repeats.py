"""A Responses stream repeats its texts: a plugin that reads it whole reads the rewritten ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.api import Rewrite
from pipeline.api.sse import FrameDecoder
from pipeline.dialects.openai_responses import OpenAIResponses
from tests.support.chain import Driven, plugin, runtime_with

CALL = {"model": "m", "input": "hello", "stream": True}
ANSWER = OpenAIResponses().compose("a secret", model="m", id="r", created_s=1)
STREAM = b"".join(event.raw for event in OpenAIResponses().unfold(ANSWER))


def masked(segments):
    return [replace(s, text=s.text.replace("secret", "***")) for s in segments]


def mask_events(self, exchange, event):
    return Rewrite(events=[event.replace(segments=masked(event.segments))])


def exclaim(self, exchange):
    answer = exchange.response.answer
    segments = [replace(s, text=s.text + "!") for s in answer.segments]
    return Rewrite(answer=answer.replace(segments=segments))


async def sent(**plugins):
    driven = Driven(runtime_with(**plugins))
    await driven.asked(CALL, path="/v1/responses")
    emits = await driven.streamed(STREAM)
    return b"".join(emit.data for emit in emits)


def final_text(stream):
    *_, last = FrameDecoder(2**20).feed(stream)
    response = json.loads(last.data)["response"]
    return OpenAIResponses().answer_segments(response)[0].text


@pytest.mark.parametrize("order", [("whole", "events"), ("events", "whole")])
async def test_what_a_plugin_made_of_events_is_what_others_read_whole(order):
    made = {
        "whole": plugin(on_response=exclaim),
        "events": plugin(on_response_event=mask_events),
    }

    stream = await sent(**{name: made[name] for name in order})

    assert b"secret" not in stream
    assert final_text(stream) == "a ***!"


async def test_a_plugin_that_only_reads_reads_what_the_client_gets():
    read = []

    def note(self, exchange):
        read.append(exchange.response.answer.text)

    stream = await sent(
        reader=plugin(on_response=note, read_only=True),
        masker=plugin(on_response_event=mask_events),
    )

    assert read == ["a ***"]
    assert final_text(stream) == "a ***"


async def test_events_are_consistent_behind_a_plugin_that_reads_whole_and_before_it():
    stream = await sent(
        outer=plugin(on_response_event=mask_events),
        whole=plugin(on_response=exclaim),
        inner=plugin(on_response_event=mask_events),
    )

    assert b"secret" not in stream
    assert final_text(stream) == "a ***!"
