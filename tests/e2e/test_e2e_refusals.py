"""Refusals, replies and header edits in every phase, for both client APIs, streamed or not."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from pipeline.api import HeaderEdits, Plugin, Refuse, Reply, Rewrite
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

NO = Refuse(451, "no_more", "no more of this", headers=HeaderEdits(set={"x-why": "no"}))


def _does(exchange, at):
    return exchange.request.headers.get("x-at") == at


class Refusing(Plugin):
    """Refuses in the phase that a header names."""

    on_error = "closed"

    def on_request_headers(self, exchange):
        return NO if _does(exchange, "request headers") else None

    def on_request(self, exchange):
        return NO if _does(exchange, "request") else None

    def on_response_headers(self, exchange):
        return NO if _does(exchange, "response headers") else None

    def on_response(self, exchange):
        streamed = exchange.response.streamed
        return NO if _does(exchange, "response") and not streamed else None

    def on_response_event(self, exchange, event):
        return NO if _does(exchange, "response") and event.text else None


class Replying(Plugin):
    """Answers by itself."""

    def on_request(self, exchange):
        return Reply(exchange.answer("by myself"))


EDITS = {
    "a line more": ("x-v", "a\r\nx-injected: 1"),
    "a bare line feed": ("x-v", "a\nb"),
    "a NUL": ("x-v", "a\0b"),
    "DEL": ("x-v", "\x7f"),
    "too long": ("x-v", "x" * 70_000),
    "an empty value": ("x-v", ""),
    "beyond ASCII": ("x-v", "zwölf 🍒"),
    "a lone surrogate": ("x-v", "\ud800"),
    "a byte that is no text": ("x-v", "\udcff"),
    "a name with a space": ("x v", "1"),
    "a name in capitals": ("X-V", "1"),
    "no name": ("", "1"),
    "a pseudo-header that is none": (":scheme2", "1"),
    "the length": ("content-length", "3"),
    "the framing": ("transfer-encoding", "chunked"),
    "the connection": ("connection", "close"),
    "a host": ("host", "elsewhere.example"),
    "an authority": (":authority", "elsewhere.example"),
    "a path that is none": (":path", "no slash"),
    "a path with a line": (":path", "/v1/a\r\nx: y"),
    "a method that is none": (":method", "get it"),
    "a status in a request": (":status", "999"),
    "an order to Envoy": ("x-envoy-upstream-rq-timeout-ms", "1"),
    "a route of ours": ("x-dragoman-route", "refusing"),
}


class Editing(Plugin):
    """Sets the header that a header names, on both sides."""

    def on_request(self, exchange):
        return self._edit(exchange)

    def on_response_headers(self, exchange):
        return self._edit(exchange)

    def _edit(self, exchange):
        name, value = EDITS[exchange.request.headers.get("x-case")]
        return Rewrite(headers=HeaderEdits(set={name: value}))


PLUGINS = ("Refusing", "Replying", "Editing")
CONFIG = {
    "plugins": {name.lower(): {"uses": f"{__name__}:{name}"} for name in PLUGINS},
    "routes": [
        {
            "name": name.lower(),
            "match": {"path_prefix": f"/{name.lower()}/"},
            "plugins": [name.lower()],
            "backends": ["demo"],
        }
        for name in PLUGINS
    ],
}
CALL = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "say: one two"}]}
PHASES = ("request headers", "request", "response headers", "response")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    async with running_stack(CONFIG, binary=envoy) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "messages"])
@pytest.mark.parametrize("at", PHASES)
async def test_a_refusal_is_an_error_of_the_clients_api(stack, at, path, stream):
    call = {**CALL, "stream": stream}
    answer = await stack.http.post(f"/refusing/v1/{path}", json=call, headers={"x-at": at})

    if at == "response" and stream:
        # The stream has begun: its last event is the error.
        assert answer.status_code == 200
        last = answer.text.strip().rpartition("data: {")[2]
        assert "no more of this" in last
        assert "one" not in answer.text
        return
    assert (answer.status_code, answer.headers["x-why"]) == (451, "no")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "no_more"
    assert answer.json().get("type") == ("error" if path == "messages" else None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "messages"])
async def test_a_reply_is_a_stream_where_the_client_asked_for_one(stack, path, stream):
    before = len(stack.seen["demo"])
    answer = await stack.http.post(f"/replying/v1/{path}", json={**CALL, "stream": stream})

    assert answer.status_code == 200
    kind = "text/event-stream" if stream else "application/json"
    assert answer.headers["content-type"].startswith(kind)
    assert "by myself" in answer.text
    assert len(stack.seen["demo"]) == before


@pytest.mark.parametrize("case", EDITS)
async def test_no_header_edit_costs_the_request(stack, case):
    """Envoy answers 500 to some of them; what is taken is set, and the rest is left out."""
    answer = await stack.http.post(
        "/editing/v1/chat/completions", json=CALL, headers={"x-case": case}
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "one two"
    assert "x-injected" not in answer.headers
    request = stack.seen["demo"][-1]
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert request.method == "POST"
    assert request.path == "/v1/chat/completions"
    assert json.loads(request.body) == CALL
    assert sent["host"].startswith("127.0.0.1:")
    assert not {"x-injected", "x-dragoman-route", "x-envoy-upstream-rq-timeout-ms"} & set(sent)
