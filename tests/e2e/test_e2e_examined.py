"""What an outside examiner tried over a real Envoy: broken HTTP, and plugins that do anything."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
import pytest_asyncio

from pipeline.api import Call, Continue, HeaderEdits, Refuse, Rewrite
from pipeline.config.load import check_config
from pipeline.config.source import parse_source
from pipeline.errors import ConfigError
from tests.support.chain import plugin, uses_of
from tests.support.stack import CHAT, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CALL = {"model": "m", "messages": [{"role": "user", "content": "a CANARY sings"}]}
STREAMED = {**CALL, "stream": True}


class OddError(BaseException):
    """No Exception, like what some libraries raise to get past `except Exception`."""


class Unlookable:
    @property
    def __class__(self):
        raise ValueError("CANARY")


def raising(error):
    def act(_exchange):
        raise error

    return act


def edits(**headers):
    return Rewrite(headers=HeaderEdits(set=headers))


ACTS = {
    "interrupt": raising(KeyboardInterrupt()),
    "odd error": raising(OddError("CANARY")),
    "exit": raising(SystemExit(1)),
    "generator exit": raising(GeneratorExit()),
    "unlookable": lambda _: Unlookable(),
    "message that is no text": lambda _: Refuse(403, "no", "\ud800"),
    "reason that is no text": lambda _: Continue(reason=7),
    "call that is no object": lambda e: Rewrite(call=Call(e.call.dialect, ["CANARY"], None)),
    "content-length": lambda _: edits(**{"content-length": "3"}),
    "transfer-encoding": lambda _: edits(**{"transfer-encoding": "chunked"}),
    "path with a space": lambda _: edits(**{":path": "/v1/x HTTP/1.1"}),
    "relative path": lambda _: edits(**{":path": "v1/x"}),
    "no path": lambda _: Rewrite(headers=HeaderEdits(remove=frozenset({":path"}))),
}


def acting(self, exchange):
    act = exchange.request.headers.get("x-act")
    return ACTS[act](exchange) if act in ACTS else None


def cancelling(self, exchange, event=None):
    where = "event" if event is not None else "call"
    if exchange.request.headers.get("x-cancel") == where:
        asyncio.current_task().cancel()


ACTOR = plugin(on_request=acting)
CANCELLER = plugin(on_request=cancelling, on_response_event=cancelling)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    config = {
        "plugins": {
            "open": {"uses": uses_of(ACTOR), "on_error": "open"},
            "closed": {"uses": uses_of(ACTOR), "on_error": "closed"},
            "canceller": {"uses": uses_of(CANCELLER)},
        },
        "routes": [
            {
                **CHAT,
                "name": name,
                "match": {"path_prefix": f"/{name}/"},
                "dialect": "openai.chat",
                "plugins": [name],
            }
            for name in ("open", "closed", "canceller")
        ],
    }
    async with running_stack(config) as made:
        yield made


async def raw(stack, data):
    """Send bytes and return the status line and the body of the answer."""
    host, _, port = stack.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0].decode(), body


BROKEN = {
    "no HTTP": (b"hello\r\n\r\n", 400, "bad_request"),
    "an unknown method": (b"FOO / HTTP/1.1\r\nhost: x\r\n\r\n", 400, "bad_request"),
    "HTTP/1.0": (
        b"POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
        426,
        "upgrade_required",
    ),
    "large headers": (
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        400,
        "bad_request",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_http_gets_a_json_error_and_not_just_a_closed_connection(stack, case):
    data, status, code = BROKEN[case]

    line, body = await raw(stack, data)

    assert line.split(" ")[1] == str(status)
    error = json.loads(body)["error"]
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("act", ACTS)
async def test_whatever_a_plugin_does_its_policy_decides(stack, act):
    let_through = await stack.http.post(
        "/open/v1/chat/completions", json=CALL, headers={"x-act": act}
    )
    refused = await stack.http.post(
        "/closed/v1/chat/completions", json=CALL, headers={"x-act": act}
    )

    assert let_through.status_code == 200, let_through.text
    assert stack.seen["demo"][-1].path == "/v1/chat/completions"
    assert json.loads(stack.seen["demo"][-1].body) == CALL
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] in {"plugin_error", "plugin_nonsense"}


@pytest.mark.parametrize("where", ["call", "event"])
async def test_a_plugin_that_cancels_its_own_task_leaves_no_client_waiting(stack, where):
    async with asyncio.timeout(5):
        try:
            answer = await stack.http.post(
                "/canceller/v1/chat/completions", json=STREAMED, headers={"x-cancel": where}
            )
        except httpx.HTTPError as error:  # a stream that has begun can only break off
            assert where == "event", error
        else:
            assert answer.status_code in {503, 504} or where == "event"

    after = await stack.http.post("/canceller/v1/chat/completions", json=CALL)
    assert after.status_code == 200


WORDS = {
    "plugins: [a]": "must be a mapping",
    "routes: hello": "must be a list",
    "backends: {b: 7}": "must be a mapping",
    "plugins: {a: {uses: x, mode: 150%}}": "enforce, shadow, or a whole percentage",
    "routes: [{name: r, match: {path: v1/chat}}]": "a path starts with /",
    "routes: [{name: 5}]": "must be a string",
}


@pytest.mark.parametrize("text", WORDS)
async def test_a_config_error_says_what_to_write(text):
    with pytest.raises(ConfigError) as caught:
        check_config(parse_source(text, {}, file="dragoman.yaml"))

    assert WORDS[text] in str(caught.value)
    assert "dragoman.yaml:1: " in str(caught.value)
