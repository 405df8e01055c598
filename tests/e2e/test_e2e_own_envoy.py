"""Somebody's own Envoy with the snippet's filter: the route comes from its name, or our matcher."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from pipeline.envoy.bootstrap import snippet
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)


def says(text):
    append = {"append": [{"role": "user", "content": f"say: {text}"}]}
    return {"uses": "prompt_decorator", "with": append}


CONFIG = {
    "plugins": {name: says(name) for name in ("named", "matched", "model")},
    "routes": [
        {"name": "model", "match": {"model": "big-*"}, "plugins": ["model"], "backends": ["demo"]},
        {
            "name": "named",
            "match": {"path_prefix": "/v1/"},
            "plugins": ["named"],
            "backends": ["demo"],
        },
        {
            "name": "matched",
            "match": {"headers": {"x-kind": "matched"}},
            "plugins": ["matched"],
            "backends": ["demo"],
        },
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    async with running_stack(CONFIG, rewrite=own, binary=envoy) as made:
        yield made


def own(runtime):
    """Write a bootstrap by hand: two routes, and what the snippet says."""
    part = snippet(runtime.config, runtime.plans)
    port = int(runtime.config.backends["demo"].url.rpartition(":")[2].removesuffix("/v1"))
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    mine = {
        "name": "mine",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "mine", "endpoints": endpoints},
    }
    routes = [
        {"name": "named", "match": {"prefix": "/v1/chat/"}, "route": {"cluster": "mine"}},
        {"name": "theirs", "match": {"prefix": "/"}, "route": {"cluster": "mine"}},
    ]
    manager = {
        "@type": MANAGER,
        "stat_prefix": "own",
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            *part["http_filters"],
            {"name": "router", "typed_config": {"@type": ROUTER}},
        ],
    }
    anywhere = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "admin": {"address": anywhere},
        "layered_runtime": part["layered_runtime"],
        "static_resources": {
            "listeners": [{"name": "own", "address": anywhere, "filter_chains": [chain]}],
            "clusters": [*part["clusters"], mine],
        },
    }


@pytest.mark.parametrize(
    ("path", "model", "headers", "said"),
    [
        ("/v1/chat/completions", "m", {}, "named"),
        # Envoy's route has our route's name: our own order does not count.
        ("/v1/chat/completions", "big-1", {}, "named"),
        ("/x/v1/chat/completions", "m", {"x-kind": "matched"}, "matched"),
        ("/x/v1/chat/completions", "big-1", {"x-kind": "matched"}, "model"),
    ],
)
async def test_the_route_is_chosen(stack, path, model, headers, said):
    call = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    answer = await stack.http.post(path, json=call, headers=headers)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == said
    request = stack.seen["demo"][-1]
    assert request.headers["Authorization"] == "Bearer key-of-demo"
    assert not [name for name in request.headers if name.lower().startswith("x-dragoman")]


async def test_what_no_route_matches_is_refused(stack):
    call = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    answer = await stack.http.post("/x/v1/messages", json=call)

    assert answer.status_code == 404
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["code"] == "route_not_found"


async def test_a_malformed_call_is_refused(stack):
    answer = await stack.http.post("/v1/chat/completions", content=b"{")

    assert answer.status_code == 400
    assert json.loads(answer.content)["error"]["code"] == "invalid_json"
