"""WebSockets: past the body phases where a route passes what is no LLM call, refused elsewhere."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import HeaderEdits, Plugin, Rewrite
from tests.support.stack import running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


class Everything(Plugin):
    """Wants both bodies, and edits headers both ways."""

    def on_request_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-added": exchange.route}))

    def on_request(self, exchange):
        raise AssertionError("a WebSocket is no call")

    def on_response_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-seen": str(exchange.response.status)}))

    def on_response_event(self, exchange, event):
        raise AssertionError("a WebSocket is no answer")


CONFIG = {
    "plugins": {"everything": {"uses": f"{__name__}:Everything"}},
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": backends,
            "other": other,
            "timeout": "2500ms" if name == "brief" else "20s",
        }
        for name, plugins, backends, other in (
            ("bare", [], ["one"], "pass"),
            ("brief", ["everything"], ["one"], "pass"),
            ("plugins", ["everything"], ["one"], "pass"),
            ("several", ["everything"], ["one", "two"], "pass"),
            ("refusing", ["everything"], ["one"], "refuse"),
        )
    ],
}


async def echo(request):
    if request.headers.get("upgrade", "").lower() != "websocket":
        return web.Response(text="plain")
    socket = web.WebSocketResponse(max_msg_size=2**22)
    socket.headers["x-path"] = request.path
    socket.headers["x-key"] = request.headers.get("authorization", "")
    socket.headers["x-got"] = request.headers.get("x-added", "")
    await socket.prepare(request)
    await socket.send_str("hello")  # before the client says anything
    async for message in socket:
        await socket.send_bytes(message.data.encode() if message.type == 1 else message.data)
    return socket


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    async with upstream_of(echo) as url:
        named = {"provider": "openai", "url": url, "models": {"big": "own-big"}}
        backends = {name: {**named, "api_key": f"key-of-{name}"} for name in ("one", "two")}
        async with running_stack({**CONFIG, "backends": backends}, binary=envoy) as made:
            yield made


@pytest.mark.parametrize("route", ["bare", "plugins", "several"])
async def test_a_conversation_goes_on_both_ways_for_as_long_as_it_lasts(stack, route):
    url = f"{stack.url}/{route}/v1/realtime?model=m"
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession() as client,
        client.ws_connect(url, max_msg_size=2**22) as socket,
    ):
        answered = socket._response.headers
        assert await socket.receive_str() == "hello"
        for size in (0, 1, 70_000, 2**21):
            data = bytes(range(256)) * (size // 256 + 1)
            await socket.send_bytes(data[:size])
            assert await socket.receive_bytes() == data[:size]
        await socket.send_str("zwölf 🍒")
        assert (await socket.receive_bytes()).decode() == "zwölf 🍒"

    # Headers had their phases: the path and the credential are the backend's.
    assert answered["x-path"] == "/v1/realtime"
    assert answered["x-key"] == "Bearer key-of-one"
    assert answered["x-got"] == ("" if route == "bare" else route)
    assert answered.get("x-seen") == (None if route == "bare" else "101")


async def test_it_may_outlast_the_routes_timeout(stack):
    url = f"{stack.url}/brief/v1/realtime"
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as socket:
        assert await socket.receive_str() == "hello"
        began_s = loop.time()
        while loop.time() < began_s + 2.7:
            await socket.send_str("still here")
            assert (await asyncio.wait_for(socket.receive_bytes(), 5)) == b"still here"
            await asyncio.sleep(0.05)


async def test_where_a_route_refuses_what_is_no_call_it_refuses_upgrades(stack):
    async with asyncio.timeout(5), aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{stack.url}/refusing/v1/realtime")

    assert refused.value.status == 403


@pytest.mark.parametrize("route", ["plugins", "several"])
async def test_a_call_cannot_pass_for_an_upgrade(stack, route):
    """It must not get past what reads calls with a header that Envoy's routes match on."""
    upgrade = {"upgrade": "websocket"}
    path = f"/{route}/v1/chat/completions"
    half = await stack.http.post(path, content=b"{no json", headers=upgrade)
    whole = await stack.http.post(
        path, content=b"{no json", headers={**upgrade, "connection": "upgrade"}
    )

    assert half.status_code == 400
    assert half.json()["error"]["code"] == "invalid_json"
    assert whole.status_code == 403
    assert (await stack.http.get(path, headers=upgrade)).headers["x-seen"] == "200"
