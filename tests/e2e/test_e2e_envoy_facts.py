"""What Envoy does at the edges: large bodies, local replies, re-routing, a host that died."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import HeaderEdits, Plugin, Rewrite
from pipeline.demo.upstream import DemoSettings
from tests.support.stack import running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


class Seeing(Plugin):
    """Notes what it saw in the answer's headers."""

    def on_response_headers(self, exchange):
        seen = exchange.response
        facts = f"{seen.status} {'upstream' if seen.via_upstream else 'local'}"
        return Rewrite(headers=HeaderEdits(set={"x-seen": facts}))

    def on_response(self, exchange):
        return None


class Padding(Plugin):
    """Makes every call and every answer a little longer."""

    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(set_params={"added": 1}))

    def on_response(self, exchange):
        answer = exchange.response.answer
        first = answer.segments[0]
        longer = type(first)(first.role, (first.text or "") + "!", first.kind, first.at)
        return Rewrite(answer=answer.replace(segments=[longer]))


class Moving(Plugin):
    """Changes what routes match on, when the call says so."""

    def on_request(self, exchange):
        match exchange.call.segments[-1].text:
            case "header":
                return Rewrite(headers=HeaderEdits(set={"x-tier": "gold"}))
            case "other":
                return Rewrite(headers=HeaderEdits(set={"x-unrelated": "gold"}))
            case "path":
                return Rewrite(headers=HeaderEdits(set={":path": "/gold/v1/chat/completions"}))
            case "model":
                return Rewrite(call=exchange.call.replace(model="big-one"))
        return None


class Closed(Plugin):
    on_error = "closed"

    def on_request(self, exchange):
        return None


def plugin(name):
    return {name.lower(): {"uses": f"{__name__}:{name}"}}


def demos(*names):
    return {name: DemoSettings() for name in names}


CALL = {"model": "m", "messages": [{"role": "user", "content": "say: x"}]}

BODIES = {
    "plugins": {**plugin("Seeing"), **plugin("Padding")},
    "envoy": {"slack": "5s"},
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": ["echo"],
            "timeout": "300ms" if name == "slow" else "10s",
            "other": "pass",
        }
        for name, plugins in (
            ("seeing", ["seeing"]),
            ("slow", ["seeing"]),
            ("padding", ["padding"]),
        )
    ],
}


async def _echo(request):
    body = await request.read()
    if request.headers.get("x-sleep"):
        await asyncio.sleep(float(request.headers["x-sleep"]))
    if request.method == "POST" and not body:
        return web.Response(text="no body")
    if request.method != "POST":
        return web.Response(text=request.method)
    call = json.loads(body)
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * call["answer"]}}
    document = {"id": "1", "choices": [choice], "got": len(body), "added": call.get("added")}
    return web.json_response(document)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bodies(envoy):
    async with upstream_of(_echo) as url:
        backend = {"provider": "openai", "url": url, "api_key": "k"}
        async with running_stack({**BODIES, "backends": {"echo": backend}}, binary=envoy) as stack:
            yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def routes(envoy):
    config = {
        "plugins": plugin("Moving"),
        "routes": [
            {
                "name": "gold",
                "match": {"path_prefix": "/start/", "headers": {"x-tier": "gold"}},
                "backends": ["gold"],
            },
            {"name": "path", "match": {"path_prefix": "/gold/"}, "backends": ["gold"]},
            {
                "name": "big",
                "match": {"path_prefix": "/start/", "model": "big-*"},
                "backends": ["big"],
            },
            {
                "name": "start",
                "match": {"path_prefix": "/start/"},
                "plugins": ["moving"],
                "backends": ["plain"],
            },
            {
                "name": "small",
                "match": {"path_prefix": "/models/", "model": "small-*"},
                "backends": ["plain"],
            },
            {
                "name": "large",
                "match": {"path_prefix": "/models/", "model": "large-*"},
                "backends": ["big", "gold"],
            },
        ],
    }
    async with running_stack(
        config, upstreams=demos("gold", "big", "plain"), binary=envoy
    ) as stack:
        yield stack


@pytest.mark.parametrize("megabytes", [2, 8])
@pytest.mark.parametrize("route", ["seeing", "padding"])
async def test_large_bodies_both_ways(bodies, route, megabytes):
    size = megabytes * 2**20
    call = {**CALL, "answer": size, "pad": "x" * size}
    answer = await bodies.http.post(f"/{route}/v1/chat/completions", json=call)

    assert answer.status_code == 200, answer.text[:200]
    text = answer.json()["choices"][0]["message"]["content"]
    assert len(text) == size + (route == "padding")
    assert answer.json()["got"] > size
    assert answer.json()["added"] == (1 if route == "padding" else None)


async def test_requests_without_a_body_have_no_body_message(bodies):
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        answer = await bodies.http.request(method, "/padding/v1/anything")
        assert answer.status_code == 200
    answer = await bodies.http.post("/padding/v1/anything", headers={"content-length": "0"})
    assert answer.text == "no body"
    answer = await bodies.http.post("/padding/v1/chat/completions", headers={"content-length": "0"})
    assert answer.json()["error"]["code"] == "empty_body"


async def test_answers_of_envoys_own_are_not_the_providers(bodies, envoy_version):
    call = {**CALL, "answer": 1}
    url = "/v1/chat/completions"

    good = await bodies.http.post(f"/seeing{url}", json=call)
    late = await bodies.http.post(f"/slow{url}", json=call, headers={"x-sleep": "2"})

    assert (good.status_code, good.headers["x-seen"]) == (200, "200 upstream")
    # Before 1.37 plugins are not shown them at all.
    seen = "504 local" if envoy_version >= (1, 37) else None
    assert (late.status_code, late.headers.get("x-seen")) == (504, seen)


@pytest.mark.parametrize(
    ("text", "backend"),
    [("stay", "plain"), ("other", "plain"), ("header", "gold"), ("path", "gold"), ("model", "big")],
)
async def test_a_route_is_chosen_anew_only_when_what_routes_changed(routes, text, backend):
    for requests in routes.seen.values():
        requests.clear()
    call = {**CALL, "messages": [{"role": "user", "content": text}]}
    answer = await routes.http.post("/start/v1/chat/completions", json=call)

    assert answer.status_code == 200, answer.text
    assert [name for name, requests in routes.seen.items() if requests] == [backend]
    (request,) = routes.seen[backend]
    assert request.headers["Authorization"] == f"Bearer key-of-{backend}"
    assert "x-dragoman-route" not in {name.lower() for name in request.headers}


@pytest.mark.parametrize(
    ("model", "backend"), [("small-1", "plain"), ("large-1", "big"), ("huge", None)]
)
async def test_the_model_chooses_the_cluster(routes, model, backend):
    for requests in routes.seen.values():
        requests.clear()
    answer = await routes.http.post("/models/v1/chat/completions", json={**CALL, "model": model})

    assert [name for name, requests in routes.seen.items() if requests] == (
        [backend] if backend else []
    )
    assert answer.status_code == (200 if backend else 404)


async def test_without_a_host_each_routes_policy_decides(envoy):
    config = {
        "plugins": plugin("Closed"),
        "routes": [
            {"name": "open", "match": {"path_prefix": "/open/"}, "backends": ["a", "b"]},
            {
                "name": "closed",
                "match": {"path_prefix": "/closed/"},
                "plugins": ["closed"],
                "backends": ["a", "b"],
            },
            {"name": "one", "match": {"path_prefix": "/one/"}, "backends": ["a"]},
        ],
    }
    async with running_stack(config, upstreams=demos("a", "b"), binary=envoy) as stack:
        url = "/v1/chat/completions"
        for route in ("open", "closed", "one"):
            assert (await stack.http.post(f"/{route}{url}", json=CALL)).status_code == 200
        await stack.host._grpc.stop(0)

        before = len(stack.seen["a"])
        for route in ("closed", "one"):
            answer = await stack.http.post(f"/{route}{url}", json=CALL)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "upstream_unavailable"
        assert len(stack.seen["a"]) == before
        # Open for the chain; the key is added upstream of it, and without one nothing goes out.
        answer = await stack.http.post(f"/open{url}", json=CALL)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "upstream_unavailable"
        assert len(stack.seen["a"]) == before
        answer = await stack.http.post("/nowhere", json=CALL)
        assert answer.json()["error"]["code"] == "route_not_found"
