from __future__ import annotations

import asyncio
import io
import json
from collections import defaultdict

import aiohttp
import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from pipeline.wire import ext_proc_pb2 as wire

pytestmark = pytest.mark.e2e

# What a route with plugins on both sides is configured with.
ROUTER_MODE = {
    "request_header_mode": wire.ProcessingMode.SEND,
    "request_body_mode": wire.ProcessingMode.BUFFERED,
    "request_trailer_mode": wire.ProcessingMode.SKIP,
    "response_header_mode": wire.ProcessingMode.SEND,
    "response_body_mode": wire.ProcessingMode.BUFFERED,
    "response_trailer_mode": wire.ProcessingMode.SEND,
}


@pytest.fixture
async def upstream():
    """A server that answers with what it was sent."""
    runners = []

    async def start(status=200, filler=0):
        async def answer(request):
            body = await request.read()
            seen = {"headers": dict(request.headers), "size": len(body), "filler": "x" * filler}
            forged = {"x-dragoman-plugins": "forged", "server-timing": "model;dur=1"}
            return web.json_response(seen, status=status, headers=forged)

        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://localhost:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


class Host:
    """An ext_proc server that picks the route named by the model, reports, and names backends."""

    def __init__(self):
        self.metadata = []
        self.backends = []
        self.answer_sizes = []
        self.override = wire.ProcessingMode(response_body_mode=wire.ProcessingMode.BUFFERED)

    async def process(self, messages, context):
        metadata = dict(context.invocation_metadata())
        self.metadata.append(metadata)
        level = metadata["x-dragoman-level"]
        async for message in messages:
            answer = wire.ProcessingResponse()
            kind = message.WhichOneof("request")
            getattr(answer, kind).SetInParent()
            if kind == "request_headers" and level == "router":
                answer.dynamic_metadata["dragoman"] = {"plugins": "guard", "overhead_ms": "0.4"}
            elif kind == "request_headers":
                attributes = message.attributes["envoy.filters.http.ext_proc"]
                self.backends.append(attributes["xds.upstream_host_metadata"])
            elif kind == "request_body" and level == "router":
                change = answer.request_body.response
                change.clear_route_cache = True
                option = change.header_mutation.set_headers.add(append_action=2)
                option.header.key = "x-dragoman-route"
                option.header.raw_value = json.loads(message.request_body.body)["model"].encode()
            elif kind == "request_body":
                answer.request_body.response.SetInParent()
            elif kind == "response_headers":
                answer.mode_override.CopyFrom(self.override)
            elif kind == "response_body":
                self.answer_sizes.append(len(message.response_body.body))
            yield answer


@pytest.fixture
async def host(tmp_path):
    made = Host()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handler = grpc.stream_stream_rpc_method_handler(
        made.process, wire.ProcessingRequest.FromString, wire.ProcessingResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "envoy.service.ext_proc.v3.ExternalProcessor", {"Process": handler}
            )
        ]
    )
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(f"unix:{tmp_path}/host.sock")
    await server.start()
    yield made
    await server.stop(None)


@pytest.fixture
async def ask():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:

        async def send(envoy, path="/", method="GET", **options):
            async with session.request(
                method, f"http://{envoy.address}{path}", **options
            ) as response:
                headers = defaultdict(list)
                for name, value in response.headers.items():
                    headers[name.lower()].append(value)
                return response.status, headers, await response.text()

        yield send


def backends(*urls):
    named = {f"b{index}": {"provider": "openai", "url": url} for index, url in enumerate(urls)}
    return {"backends": named}


async def test_what_clients_send_in_our_name_or_envoys_reaches_nobody(start_envoy, upstream, ask):
    routes = [
        {"name": "picked", "match": {"model": "x", "path": "/never"}},
        {"name": "open", "backends": ["b0"]},
    ]
    envoy = await start_envoy({**backends(await upstream()), "routes": routes})
    spoofed = {
        "x-dragoman-route": "picked",
        "X-Dragoman-Any": "1",
        "x-envoy-retry-on": "5xx",
        "x-request-id": "mine",
        "x-other": "kept",
    }

    status, _, body = await ask(envoy, headers=spoofed)

    seen = {name.lower(): value for name, value in json.loads(body)["headers"].items()}
    assert status == 200
    assert not [name for name in seen if name.startswith(("x-dragoman-", "x-envoy-"))]
    assert "x-forwarded-for" not in seen
    assert seen["x-request-id"] != "mine"
    assert seen["x-other"] == "kept"
    assert seen["host"].startswith("localhost")


async def test_a_provider_cannot_speak_in_our_name(start_envoy, upstream, ask):
    routes = [{"name": "open", "backends": ["b0"]}]
    envoy = await start_envoy({**backends(await upstream()), "routes": routes})

    _, headers, _ = await ask(envoy)

    assert not [name for name in headers if name.startswith("x-dragoman-")]
    assert headers["server-timing"] == ["model;dur=1"]


async def test_without_the_host_the_routes_policy_decides(start_envoy, upstream, ask, plan):
    routes = [
        {"name": "shut", "match": {"path": "/shut"}, "backends": ["b0"]},
        {"name": "open", "match": {"path": "/open"}, "backends": ["b0"]},
    ]
    envoy = await start_envoy(
        {**backends(await upstream()), "routes": routes}, shut=plan("shut", fails_open=False)
    )

    assert (await ask(envoy, "/open", "POST", data=b"{}"))[0] == 200
    assert (await ask(envoy, "/shut", "POST", data=b"{}"))[0] == 503


async def test_what_no_route_matches_is_a_json_404_even_without_the_host(start_envoy, ask):
    envoy = await start_envoy({"routes": [{"name": "only", "match": {"path": "/x"}}]})

    status, headers, body = await ask(envoy, "/y", "POST", data=b"{}")

    assert status == 404
    assert headers["content-type"] == ["application/json"]
    assert json.loads(body)["error"]["code"] == "route_not_found"


async def test_the_first_route_of_the_config_that_matches_is_taken(start_envoy, ask):
    table = [
        ("host", {"host": "*.example.org"}),
        ("header", {"headers": {"x-team": "red"}}),
        ("exact", {"path": "/v1/chat"}),
        ("prefix", {"path_prefix": "/v1/"}),
    ]
    envoy = await start_envoy({"routes": [{"name": n, "match": match} for n, match in table]})

    async def route(path, **headers):
        error = json.loads((await ask(envoy, path, headers=headers))[2])["error"]
        return error["message"]

    assert "'host'" in await route("/v1/chat", Host="API.example.org:8443")
    assert "'header'" in await route("/v1/chat", Host="example.org", **{"x-team": "red"})
    assert "'exact'" in await route("/v1/chat?x=1")
    assert "'exact'" in await route("//v1/./chat")
    assert "'prefix'" in await route("/v1/chat/")
    assert "no route" in await route("/v2")


async def test_the_next_backend_answers_where_the_first_fails(start_envoy, upstream, ask):
    urls = [await upstream(503), await upstream(429), await upstream()]
    routes = [{"name": "r", "backends": ["b0", "b1", "b2"]}]
    envoy = await start_envoy({**backends(*urls), "routes": routes})

    for _ in range(5):
        status, _, body = await ask(envoy, method="POST", data=b"{}")

        assert status == 200
        assert urls[2].endswith(json.loads(body)["headers"]["Host"])


async def test_an_upgrade_is_refused_and_does_not_hang(start_envoy, upstream, ask):
    routes = [{"name": "r", "backends": ["b0"]}]
    envoy = await start_envoy({**backends(await upstream()), "routes": routes})
    upgrade = {"connection": "Upgrade", "upgrade": "websocket"}

    status, _, _ = await asyncio.wait_for(ask(envoy, headers=upgrade), 5)

    assert status == 403


async def test_the_host_picks_among_routes_that_only_the_model_tells_apart(
    start_envoy, host, upstream, ask, plan
):
    urls = [await upstream(), await upstream(), await upstream()]
    routes = [
        {"name": "gpt", "match": {"model": "gpt"}, "backends": ["b0"]},
        {"name": "mid", "match": {"path_prefix": "/v1"}, "backends": ["b1"]},
        {"name": "rest", "backends": ["b2"]},
    ]
    envoy = await start_envoy({**backends(*urls), "routes": routes})

    for index, name in enumerate(("gpt", "mid", "rest")):
        status, headers, body = await ask(envoy, "/v1", "POST", json={"model": name})

        seen = json.loads(body)["headers"]
        assert status == 200
        assert urls[index].endswith(seen["Host"])
        assert "x-dragoman-route" not in {header.lower() for header in seen}
        assert host.metadata[-1]["x-dragoman-route"] == "gpt,mid,rest"
        assert host.metadata[-1]["x-dragoman-level"] == "router"
        # Reported although no response phase was asked for.
        assert headers["x-dragoman-plugins"] == ["guard"]
        assert headers["x-dragoman-overhead-ms"] == ["0.4"]


async def test_each_attempt_asks_the_host_with_the_backend_and_the_whole_body(
    start_envoy, host, upstream, ask, plan
):
    routes = [{"name": "r", "backends": ["b0", "b1"]}]
    envoy = await start_envoy(
        {**backends(await upstream(503), await upstream()), "routes": routes},
        r=plan("r", request_body=False, attempts=True, attempt_body=True),
    )

    status, _, body = await ask(envoy, method="POST", data=b"x" * 300_000)

    assert status == 200
    assert json.loads(body)["size"] == 300_000
    assert ['"b0"' in host.backends[0], '"b1"' in host.backends[1]] == [True, True]
    upstream_level = [each for each in host.metadata if each["x-dragoman-level"] == "upstream"]
    assert [each["x-dragoman-route"] for each in upstream_level] == ["r", "r"]


async def test_bodies_beyond_envoys_own_limit_pass_whole(start_envoy, host, upstream, ask, plan):
    size = 5 * 2**20
    envoy = await start_envoy(
        {
            **backends(await upstream(filler=size)),
            "routes": [{"name": "r", "backends": ["b0"]}],
        },
        r=plan("r", response_body=True, budget_s=5.0),
    )

    call = io.BytesIO(json.dumps({"model": "r", "pad": "x" * size}).encode())
    status, _, body = await ask(envoy, method="POST", data=call)

    assert status == 200
    assert len(json.loads(body)["filler"]) == size
    assert json.loads(body)["size"] > size
    assert host.answer_sizes == [len(body)]


@pytest.mark.parametrize("rest", [{}, ROUTER_MODE])
async def test_a_stream_flows_where_the_host_asks_for_it(rest, start_envoy, host, plan):
    streamed = {"response_body_mode": wire.ProcessingMode.STREAMED}
    host.override = wire.ProcessingMode(**(rest | streamed))
    first_was_read = asyncio.Event()

    async def stream(request):
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        await first_was_read.wait()  # forever, if Envoy waits for the end
        await answer.write(b"data: 2\n\n")
        return answer

    app = web.Application()
    app.router.add_get("/", stream)
    async with TestServer(app) as server:
        envoy = await start_envoy(
            {**backends(str(server.make_url("/"))), "routes": [{"name": "r", "backends": ["b0"]}]},
            r=plan("r", response_body=True),
        )
        async with (
            aiohttp.ClientSession() as session,
            asyncio.timeout(5),
            session.get(f"http://{envoy.address}/") as response,
        ):
            first = await response.content.readuntil(b"\n\n")
            first_was_read.set()
            rest = await response.content.read()

    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")
    assert [size for size in host.answer_sizes if size] == [9, 9]


async def test_the_host_is_asked_about_what_no_route_matches(start_envoy, host, ask):
    envoy = await start_envoy({"routes": [{"name": "only", "match": {"path": "/x"}}]})

    assert (await ask(envoy, "/y"))[0] == 404
    assert host.metadata[-1]["x-dragoman-level"] == "router"
    assert "x-dragoman-route" not in host.metadata[-1]
