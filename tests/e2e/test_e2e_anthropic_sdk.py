"""Anthropic's own clients, through Envoy and a chain of built-in and local plugins."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import anthropic
import pytest
import pytest_asyncio

from pipeline.api import Plugin, Refuse, Reply, Rewrite
from pipeline.demo.upstream import DemoSettings
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


def _loud(segment):
    return replace(segment, text=segment.text.replace("cherry", "CHERRY"))


class Louder(Plugin):
    """Answers `stop` and `here` itself, and says cherry in capitals in every answer."""

    def on_request(self, exchange):
        said = exchange.call.segments[-1].text
        if said == "stop":
            return Refuse(403, "stopped", "this is where it ends")
        if said == "here":
            return Reply(exchange.answer("from here", model="mine"))
        return None

    def on_response(self, exchange):
        answer = exchange.response.answer
        return Rewrite(answer=answer.replace(segments=[_loud(s) for s in answer.segments]))

    def on_response_event(self, exchange, event):
        return Rewrite(events=[event.replace(segments=[_loud(s) for s in event.segments])])


CONFIG = {
    "plugins": {
        "rules": {
            "uses": "prompt_decorator",
            "with": {"prepend": [{"role": "system", "content": "Be kind."}]},
        },
        "louder": {"uses": f"{__name__}:Louder"},
    },
    "routes": [
        {
            "name": "messages",
            "match": {"path": "/v1/messages"},
            "plugins": ["rules", "louder"],
            "backends": ["demo"],
        }
    ],
    "backends": {"demo": {"provider": "anthropic"}},
}
CALL = {
    "model": "claude",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "say: a cherry"}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    upstreams = {"demo": DemoSettings(require_key=True)}
    async with running_stack(CONFIG, upstreams=upstreams) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", params=["sync", "async"])
async def create(request, stack):
    """Give `messages.create` of either client; a stream comes as the list of its events."""
    options = {"base_url": stack.url, "api_key": "sk-ant-client", "max_retries": 0, "timeout": 10}
    if request.param == "async":
        async with anthropic.AsyncAnthropic(**options) as sdk:

            async def create_async(**call):
                result = await sdk.messages.create(**call)
                return [event async for event in result] if call.get("stream") else result

            yield create_async
        return

    with anthropic.Anthropic(**options) as sdk:

        def run(call):
            result = sdk.messages.create(**call)
            return list(result) if call.get("stream") else result

        async def create_sync(**call):
            return await asyncio.to_thread(run, call)

        yield create_sync


async def test_messages(create, stack):
    message = await create(**CALL)

    assert message.content[0].text == "a CHERRY"
    assert message.stop_reason == "end_turn"
    sent = stack.seen["demo"][-1]
    assert json.loads(sent.body)["system"] == [{"type": "text", "text": "Be kind."}]
    assert sent.headers["x-api-key"] == "key-of-demo"
    assert "sk-ant-client" not in str(sent)


async def test_streamed_messages(create):
    events = await create(**CALL, stream=True)

    assert [event.type for event in events][:2] == ["message_start", "content_block_start"]
    assert events[-1].type == "message_stop"
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert deltas == ["a", " CHERRY"]


async def test_the_streaming_helper_accumulates_what_was_sent(stack):
    client = anthropic.AsyncAnthropic(base_url=stack.url, api_key="k", max_retries=0)
    async with client, client.messages.stream(**CALL) as stream:
        final = await stream.get_final_message()

    assert final.content[0].text == "a CHERRY"


async def test_tools(create):
    tool = {
        "name": "weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    asked = {**CALL, "messages": [{"role": "user", "content": "use the tool"}], "tools": [tool]}

    message = await create(**asked)
    events = await create(**asked, stream=True)

    assert (message.content[0].name, message.content[0].input) == ("weather", {"city": "demo"})
    assert message.stop_reason == "tool_use"
    partial = [e.delta.partial_json for e in events if e.type == "content_block_delta"]
    assert json.loads("".join(partial)) == {"city": "demo"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plugins_reply(create, stack, stream):
    before = len(stack.seen["demo"])
    asked = {**CALL, "messages": [{"role": "user", "content": "here"}], "stream": stream}

    answer = await create(**asked)

    if stream:
        assert answer[-1].type == "message_stop"
        text = "".join(e.delta.text for e in answer if e.type == "content_block_delta")
    else:
        assert answer.model == "mine"
        text = answer.content[0].text
    assert text == "from here"
    assert len(stack.seen["demo"]) == before


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plugins_refusal(create, stream):
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        await create(**{**CALL, "messages": [{"role": "user", "content": "stop"}]}, stream=stream)

    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "permission_error"
    assert caught.value.body["error"]["code"] == "stopped"


async def test_a_malformed_call_is_a_bad_request(create):
    with pytest.raises(anthropic.BadRequestError) as caught:
        await create(**{**CALL, "messages": "not a list"})

    assert caught.value.body["error"]["code"] == "invalid_type"
    assert "messages" in caught.value.body["error"]["message"]
