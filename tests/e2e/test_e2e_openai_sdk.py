"""OpenAI's own clients, through Envoy and a chain of built-in and local plugins."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
import pytest_asyncio

from pipeline.demo.upstream import DemoSettings
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

LOCAL_PLUGIN = '''
from dataclasses import replace

from pipeline.api import Plugin, Rewrite


class Louder(Plugin):
    """Says BANANA where a prompt says banana, and cherry in capitals in every answer."""

    def on_request(self, exchange):
        segments = [
            replace(s, text=s.text.replace("banana", "BANANA")) if s.text else s
            for s in exchange.call.segments
        ]
        return Rewrite(call=exchange.call.replace(segments=segments))

    def on_response(self, exchange):
        answer = exchange.response.answer
        if answer is None:
            return None
        return Rewrite(answer=answer.replace(segments=[_loud(s) for s in answer.segments]))

    def on_response_event(self, exchange, event):
        return Rewrite(events=[event.replace(segments=[_loud(s) for s in event.segments])])


def _loud(segment):
    if not segment.text:
        return segment
    return replace(segment, text=segment.text.replace("cherry", "CHERRY"))
'''
PATHS = ("chat/completions", "completions", "embeddings", "responses")
CONFIG = {
    "plugins": {
        "greeting": {
            "uses": "prompt_template",
            "with": {
                "templates": {
                    "fruit": {
                        "messages": [{"role": "user", "content": "say: {{fruit}} cherry"}],
                        "variables": {"fruit": {"type": "string"}},
                    }
                }
            },
        },
        "rules": {
            "uses": "prompt_decorator",
            "with": {
                "prepend": [{"role": "system", "content": "Be kind to {{header:x-user|all}}"}]
            },
        },
        "louder": {"uses": "louder"},
    },
    "routes": [
        {
            "name": path.replace("/", "-"),
            "match": {"path": f"/v1/{path}"},
            "plugins": ["greeting", "rules", "louder"] if path in PATHS[::3] else ["louder"],
            "backends": ["demo"],
        }
        for path in PATHS
    ]
    + [
        {"name": "keys", "match": {"path_prefix": "/keys/"}, "backends": ["locked"]},
        {"name": "busy", "match": {"path_prefix": "/busy/"}, "backends": ["broken"]},
        {
            "name": "rest",
            "match": {"path_prefix": "/v1/models"},
            "backends": ["demo"],
            "other": "pass",
        },
    ],
    "backends": {"locked": {"api_key": None}},
}
QUESTION = [{"role": "user", "content": "say: banana cherry"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module", params=["sync", "async"])
def kind(request):
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "louder.py").write_text(LOCAL_PLUGIN)
    upstreams = {
        "demo": DemoSettings(),
        "locked": DemoSettings(require_key=True),
        "broken": DemoSettings(fail_status=503),
    }
    async with running_stack(CONFIG, upstreams=upstreams, folder=folder) as made:
        yield made


class Client:
    """Either of the two clients, called the same way."""

    def __init__(self, kind, base_url, **options):
        made = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
        options = {"api_key": "sk-client", "max_retries": 0, **options}
        self.sdk = made(base_url=base_url, timeout=10, **options)
        self.is_sync = kind == "sync"

    async def call(self, method, **arguments):
        """Call a method; a stream comes back as the list of its events."""
        if not self.is_sync:
            result = await method(**arguments)
            if not arguments.get("stream"):
                return result
            async with result:
                return [event async for event in result]

        def run():
            result = method(**arguments)
            if not arguments.get("stream"):
                return result
            with result:
                return list(result)

        return await asyncio.to_thread(run)


@pytest_asyncio.fixture(loop_scope="module")
async def connect(kind, stack):
    made = []

    def start(prefix="", **options):
        made.append(Client(kind, f"{stack.url}{prefix}/v1", **options))
        return made[-1]

    yield start
    for client in made:
        if client.is_sync:
            client.sdk.close()
        else:
            await client.sdk.close()


@pytest.fixture
def client(connect):
    return connect()


def last_body(stack, upstream="demo"):
    return json.loads(stack.seen[upstream][-1].body)


async def test_chat(client, stack):
    answer = await client.call(
        client.sdk.chat.completions.create,
        model="gpt-5",
        messages=QUESTION,
        extra_headers={"x-user": "ann"},
    )

    assert answer.choices[0].message.content == "BANANA CHERRY"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens > 0
    assert last_body(stack)["messages"] == [
        {"role": "system", "content": "Be kind to ann"},
        {"role": "user", "content": "say: BANANA cherry"},
    ]
    assert stack.seen["demo"][-1].headers["Authorization"] == "Bearer key-of-demo"


async def test_chat_with_a_template(client, stack):
    answer = await client.call(
        client.sdk.chat.completions.create,
        model="gpt-5",
        messages=[{"role": "user", "content": "{template://fruit}"}],
        extra_body={"properties": {"fruit": "kiwi"}},
    )

    assert answer.choices[0].message.content == "kiwi CHERRY"
    assert "properties" not in last_body(stack)


async def test_streamed_chat(client):
    chunks = await client.call(
        client.sdk.chat.completions.create,
        model="gpt-5",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
    )

    text = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in text if piece] == ["BANANA", " CHERRY"]
    assert chunks[-1].usage.completion_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_tools(client, stream):
    answer = await client.call(
        client.sdk.chat.completions.create,
        model="gpt-5",
        messages=[{"role": "user", "content": "use the tool"}],
        tools=[TOOL],
        stream=stream,
    )

    if stream:
        deltas = [chunk.choices[0].delta for chunk in answer if chunk.choices]
        calls = [call for delta in deltas for call in delta.tool_calls or ()]
        finish = [c.choices[0].finish_reason for c in answer if c.choices][-1]
    else:
        calls, finish = answer.choices[0].message.tool_calls, answer.choices[0].finish_reason
    assert finish == "tool_calls"
    assert [call.function.name for call in calls if call.function.name] == ["weather"]
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert json.loads(arguments) == {"city": "demo"}


async def test_a_tools_result_goes_back(client):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    answer = await client.call(
        client.sdk.chat.completions.create,
        model="gpt-5",
        messages=[
            {"role": "user", "content": "use the tool"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "banana"},
        ],
        tools=[TOOL],
    )

    assert answer.choices[0].message.content == "The tool said: BANANA"


async def test_completions(client):
    arguments = {"model": "gpt-5", "prompt": "say: banana cherry"}
    answer = await client.call(client.sdk.completions.create, **arguments)
    chunks = await client.call(client.sdk.completions.create, **arguments, stream=True)

    assert answer.choices[0].text == "BANANA CHERRY"
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "BANANA CHERRY"


async def test_embeddings(client, stack):
    answer = await client.call(
        client.sdk.embeddings.create, model="e", input=["banana", "kiwi"], dimensions=8
    )

    assert [len(one.embedding) for one in answer.data] == [8, 8]
    assert last_body(stack)["input"] == ["BANANA", "kiwi"]


async def test_responses(client, stack):
    answer = await client.call(
        client.sdk.responses.create, model="gpt-5", input="say: banana cherry"
    )

    assert answer.output_text == "BANANA CHERRY"
    assert answer.status == "completed"
    assert "Be kind to all" in stack.seen["demo"][-1].body.decode()


async def test_streamed_responses(client):
    events = await client.call(
        client.sdk.responses.create, model="gpt-5", input="say: banana cherry", stream=True
    )

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "BANANA CHERRY"
    done = [event.text for event in events if event.type == "response.output_text.done"]
    assert done == ["BANANA CHERRY"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "BANANA CHERRY"
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_models(client):
    listed = await client.call(client.sdk.models.list)

    assert "demo-small" in {model.id for model in listed.data}


async def test_a_malformed_call_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.call(client.sdk.chat.completions.create, model="m", messages="not a list")

    assert caught.value.code == "invalid_type"
    assert caught.value.param == "messages"
    assert caught.value.type == "invalid_request_error"


async def test_an_unknown_path_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.call(client.sdk.moderations.create, input="x")

    assert caught.value.code == "route_not_found"


async def test_a_clients_own_key_goes_to_a_backend_that_has_none(connect, stack):
    client = connect("/keys", api_key="sk-mine")

    await client.call(client.sdk.chat.completions.create, model="m", messages=QUESTION)

    assert stack.seen["locked"][-1].headers["Authorization"] == "Bearer sk-mine"
    assert stack.seen["locked"][-1].path == "/v1/chat/completions"


async def test_a_providers_own_error_comes_through(connect):
    client = connect("/busy")

    with pytest.raises(openai.InternalServerError) as caught:
        await client.call(client.sdk.chat.completions.create, model="m", messages=QUESTION)

    assert caught.value.status_code == 503
    assert caught.value.code == "demo_failure"
