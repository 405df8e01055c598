"""A process with enough to do: clear answers over a real Envoy, and routes that go on without."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.api import HeaderEdits, Plugin, Rewrite
from pipeline.demo.upstream import DemoSettings
from tests.support.stack import eventually, running_stack

pytestmark = pytest.mark.e2e


class Marks(Plugin):
    def on_request(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-marked": "yes"}))

    def on_response_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-marked": "yes"}))


class Waits(Marks):
    async def on_request(self, exchange):
        await asyncio.sleep(0.2)


def route(name, path, plugin):
    return {"name": name, "match": {"path": path}, "plugins": [plugin], "backends": ["demo"]}


def config_of(**limits):
    return {
        "limits": limits,
        "plugins": {
            "open": {"uses": f"{__name__}:Marks", "on_error": "open"},
            "closed": {"uses": f"{__name__}:Marks", "on_error": "closed"},
            "waits": {"uses": f"{__name__}:Waits", "on_error": "open", "timeout": "5s"},
        },
        "routes": [
            route("open", "/v1/chat/completions", "open"),
            route("closed", "/v1/messages", "closed"),
            route("waits", "/waits/v1/chat/completions", "waits"),
        ],
        "backends": {"demo": {"api_key": "key"}},
    }


ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {**ASK, "max_tokens": 10}
SLOW = {**ASK, "stream": True}


async def test_an_exchange_too_many_is_refused_or_goes_on_without_plugins():
    upstreams = {"demo": DemoSettings(pace_s=0.04)}
    async with running_stack(config_of(exchanges=1), upstreams=upstreams) as stack:
        async with stack.http.stream("POST", "/v1/chat/completions", json=SLOW) as slow:
            pieces = slow.aiter_raw()
            await anext(pieces)
            # In flight: the one exchange that may be, as its route reads the answer's headers.
            assert slow.headers["x-marked"] == "yes"
            passed = await stack.http.post("/v1/chat/completions", json=ASK)
            refused = await stack.http.post("/v1/messages", json=MESSAGE)
            metrics = await stack.metrics()
            async for _ in pieces:
                pass
        again = await stack.http.post("/v1/chat/completions", json=ASK)

    assert passed.status_code == 200
    assert "x-marked" not in passed.headers
    sent = {name.lower(): value for name, value in stack.seen["demo"][1].headers.items()}
    assert sent["authorization"] == "Bearer key"
    assert "x-marked" not in sent
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    # In the form of Anthropic's errors.
    assert refused.json()["type"] == "error"
    assert "too many exchanges" in refused.json()["error"]["message"]
    assert 'dragoman_overloads_total{answer="passed",limit="exchanges"} 1.0' in metrics
    assert 'dragoman_overloads_total{answer="refused",limit="exchanges"} 1.0' in metrics
    assert again.headers["x-marked"] == "yes"


async def test_bodies_over_what_the_process_may_hold_are_refused_and_room_is_given_back():
    text = "x" * 60_000
    large = {**ASK, "messages": [{"role": "user", "content": text}]}
    async with running_stack(config_of(process_bytes="100KB")) as stack:
        first = asyncio.create_task(stack.http.post("/waits/v1/chat/completions", json=large))

        async def holds():
            return "dragoman_held_bytes 0.0" not in await stack.metrics()

        await eventually(holds)
        small = await stack.http.post("/v1/chat/completions", json=ASK)
        second = await stack.http.post("/v1/chat/completions", json=large)
        assert (await first).status_code != 503
        third = await stack.http.post("/v1/chat/completions", json=large)
        metrics = await stack.metrics()

    assert small.status_code == 200
    assert second.status_code == 503
    assert second.json()["error"]["code"] == "overloaded"
    assert second.headers["retry-after"] == "1"
    assert third.status_code == 200
    assert "dragoman_held_bytes 0.0" in metrics
    assert 'dragoman_overloads_total{answer="refused",limit="process_bytes"} 1.0' in metrics
