"""The upstream fails: reset, or silent; a client is never told that half an answer is whole."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import Plugin
from tests.support.chain import chat_answer, chat_stream, uses_of
from tests.support.faulty import faulty_stack, nothing_in_flight

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES = {**CHAT, "max_tokens": 9}
TIMEOUT_S = 1.0
ENDS = []
REACHED = asyncio.Queue()


class Ends(Plugin):
    """Notes how exchanges end; routes without it read no answers."""

    def on_complete(self, exchange, outcome):
        ENDS.append((outcome.ending, outcome.status))


class Reads(Ends):
    """Reads answers, whole or event by event."""

    def on_response(self, exchange):
        return None

    def on_response_event(self, exchange, event):
        return None


class Heads(Ends):
    """Reads the headers of answers."""

    def on_response_headers(self, exchange):
        return None


def route(name):
    match = {"path_prefix": f"/{name}/"}
    timeout = f"{TIMEOUT_S}s"
    return {
        "name": name,
        "match": match,
        "plugins": [name],
        "backends": ["demo"],
        "timeout": timeout,
    }


CONFIG = {
    "plugins": {
        "ends": {"uses": uses_of(Ends)},
        "reads": {"uses": uses_of(Reads), "on_error": "closed"},
        "heads": {"uses": uses_of(Heads)},
    },
    "routes": [route("ends"), route("reads"), route("heads")],
}


async def handler(request):
    """An upstream that goes as far as it is told, and waits."""
    phase = request.headers.get("x-phase", "")
    body = await request.json()
    if phase == "headers":
        REACHED.put_nowait(phase)
        await asyncio.Event().wait()
    raw = json.dumps(chat_answer("a long answer")).encode()
    headers = {"content-type": "application/json", "content-length": str(len(raw))}
    if body.get("stream"):
        raw = chat_stream("one ", "two ", "three")
        headers = {"content-type": "text/event-stream"}
    answer = web.StreamResponse(headers=headers)
    await answer.prepare(request)
    await answer.write(raw[: len(raw) // 2])
    if phase == "body":
        REACHED.put_nowait(phase)
        await asyncio.Event().wait()
    await answer.write(raw[len(raw) // 2 :])
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory):
    async with faulty_stack(tmp_path_factory.mktemp("upstream"), CONFIG, handler) as faulty:
        yield faulty


@pytest_asyncio.fixture(loop_scope="module")
async def faulty(made):
    while not REACHED.empty():
        REACHED.get_nowait()
    await nothing_in_flight(made.stack)
    ENDS.clear()
    yield made
    made.heal()
    await nothing_in_flight(made.stack)
    # It serves on.
    answer = await made.stack.http.post("/reads/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200, answer.text


async def ask(faulty, name, phase, path="chat/completions", body=CHAT):
    """Ask; return the status and the bytes that came, and whether they ended in order."""
    data = b""
    async with faulty.stack.http.stream(
        "POST", f"/{name}/v1/{path}", json=body, headers={"x-phase": phase}
    ) as answer:
        try:
            async for piece in answer.aiter_bytes():
                data += piece
        except httpx.RemoteProtocolError:
            return answer.status_code, data, False
    return answer.status_code, data, True


async def reset_in(faulty, name, phase, *how):
    """Reset the upstream's connection as soon as the phase is reached."""
    asked = asyncio.ensure_future(ask(faulty, name, phase, *how))
    async with asyncio.timeout(10):
        await REACHED.get()
    await asyncio.sleep(0.05)  # what it sent is on its way through Envoy
    faulty.to_upstream.reset()
    return await asked


async def ends(faulty):
    await nothing_in_flight(faulty.stack)
    return ENDS


@pytest.mark.parametrize("name", ["ends", "heads", "reads"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_reset_before_the_answer_is_an_error_in_the_clients_format(faulty, name, stream):
    status, data, in_order = await reset_in(
        faulty, name, "headers", "chat/completions", {**CHAT, "stream": stream}
    )

    assert (status, in_order) == (503, True)
    assert json.loads(data)["error"]["code"] == "upstream_unavailable"
    # The answer is Envoy's own; where the host reads none it is not told how that went.
    assert await ends(faulty) == [("completed", 0 if name == "ends" else 503)]


async def test_a_reset_before_the_answer_is_worded_for_anthropics_api_too(faulty):
    status, data, _ = await reset_in(faulty, "reads", "headers", "messages", MESSAGES)

    assert status == 503
    assert (json.loads(data)["type"], "error" in json.loads(data)) == ("error", True)


async def test_a_reset_in_a_body_that_plugins_read_is_an_error_and_no_half_answer(faulty):
    status, data, _ = await reset_in(faulty, "reads", "body")

    assert status >= 500, data
    assert json.loads(data)["error"]["code"]
    [(ending, _)] = await ends(faulty)
    assert ending != "completed"


@pytest.mark.parametrize("name", ["ends", "heads"])
async def test_a_reset_in_a_body_that_passes_by_resets_the_client(faulty, name):
    status, data, in_order = await reset_in(faulty, name, "body")

    assert (status, in_order) == (200, False)
    assert data
    assert await ends(faulty) == [("completed", 200 if name == "heads" else 0)]


@pytest.mark.parametrize("name", ["ends", "heads", "reads"])
async def test_a_reset_in_a_stream_never_ends_it_in_order(faulty, name):
    status, data, in_order = await reset_in(
        faulty, name, "body", "chat/completions", {**CHAT, "stream": True}
    )

    assert status == 200
    assert b"one " in data
    assert b"[DONE]" not in data
    assert not in_order or b'"error"' in data
    [(ending, _)] = await ends(faulty)
    assert (ending == "completed") == (name != "reads")


@pytest.mark.parametrize("name", ["ends", "reads"])
@pytest.mark.parametrize(
    ("path", "body"), [("chat/completions", CHAT), ("messages", MESSAGES)], ids=["openai", "claude"]
)
async def test_an_upstream_that_never_answers_is_a_timeout_in_the_clients_format(
    faulty, name, path, body
):
    began_s = time.monotonic()
    status, data, in_order = await ask(faulty, name, "headers", path, body)

    assert (status, in_order) == (504, True)
    assert json.loads(data)["error"]["code"] == "upstream_timeout"
    assert TIMEOUT_S <= time.monotonic() - began_s < TIMEOUT_S + 3


async def test_a_black_hole_before_the_upstream_is_a_timeout(faulty):
    faulty.to_upstream.swallow()
    status, data, _ = await ask(faulty, "reads", "")
    faulty.to_upstream.heal()
    faulty.to_upstream.reset()

    assert status == 504
    assert json.loads(data)["error"]["code"] == "upstream_timeout"


async def test_an_upstream_that_drips_is_waited_for(faulty):
    faulty.to_upstream.down.bytes_per_s = 2_000
    status, data, in_order = await ask(faulty, "reads", "", "chat/completions", CHAT)

    assert (status, in_order) == (200, True)
    assert json.loads(data)["choices"][0]["message"]["content"] == "a long answer"


async def test_an_upstream_that_stalls_in_a_stream_ends_it_with_an_error_or_a_reset(faulty):
    status, data, in_order = await ask(
        faulty, "reads", "body", "chat/completions", {**CHAT, "stream": True}
    )

    assert status == 200
    assert b"[DONE]" not in data
    assert not in_order or b'"error"' in data
    [(ending, _)] = await ends(faulty)
    assert ending != "completed"


async def test_an_upstream_that_talks_garbage_is_an_error_in_the_clients_format(faulty):
    faulty.to_upstream.down.garbles = 1
    status, data, _ = await ask(faulty, "reads", "")

    assert status >= 500
    assert json.loads(data)["error"]["code"]
