"""Content goes where it is going and nowhere else."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from pipeline.api.sse import Frame
from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.host.compile import compile_config
from pipeline.host.session import Choice, RouterSession
from pipeline.host.verdicts import Finish
from pipeline.observability.logs import get_logger, log_loop_fault
from pipeline.observability.metrics import Metrics, exposition
from pipeline.observability.observer import Observation, describe_plugins
from pipeline.observability.tracing import Tracing

CANARIES = {
    "prompt": "canary-prompt-4711",
    "key": "canary-key-4712",
    "authorization": "canary-authorization-4713",
    "cookie": "canary-cookie-4714",
    "answer": "canary-answer-4715",
    "exception": "canary-exception-4716",
    "query": "canary-query-4717",
}
PLUGIN = '''
import asyncio
import logging

from pipeline.api import Plugin, Refuse


class Leaky(Plugin):
    """Raises with everything it can see."""

    def on_request(self, exchange):
        seen = [segment.text for segment in exchange.call.segments]
        seen += [exchange.request.headers.get("authorization"), exchange.request.query]
        asyncio.get_running_loop().create_task(self.leak(seen))
        asyncio.get_running_loop().call_soon(self.leak_now, *seen)
        raise ValueError(f"canary-exception-4716 {seen}")

    def on_response(self, exchange):
        try:
            raise KeyError(exchange.response.answer.text)
        except KeyError as error:
            logging.getLogger("leaky").exception("the answer could not be read")
            raise RuntimeError(f"canary-exception-4716 {exchange.response.answer.text}") from error

    def on_complete(self, exchange, outcome):
        raise ValueError(f"canary-exception-4716 {exchange.call.segments[0].text}")

    async def leak(self, seen):
        raise ValueError(f"canary-exception-4716 {seen}")

    def leak_now(self, *seen):
        raise ValueError(f"canary-exception-4716 {seen}")
'''


def config(on_error):
    return {
        "plugins": {"leaky": {"uses": "leaky_plugin:Leaky", "on_error": on_error}},
        "backends": {"main": {"provider": "openai", "api_key": CANARIES["key"]}},
        "routes": [
            {
                "name": "chat",
                "dialect": "openai.chat",
                "plugins": ["leaky"],
                "backends": ["main"],
            }
        ],
    }


REQUEST_HEADERS = (
    (":method", b"POST"),
    (":path", f"/v1/chat/completions?q={CANARIES['query']}".encode()),
    (":authority", b"api"),
    ("content-type", b"application/json"),
    ("authorization", f"Bearer {CANARIES['authorization']}".encode()),
    ("cookie", CANARIES["cookie"].encode()),
    ("x-request-id", b"req-1"),
)
CALL = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": CANARIES["prompt"]}]}
).encode()
ANSWER = json.dumps(
    {
        "id": "a",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CANARIES["answer"]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
).encode()
CHUNK = json.dumps(
    {"choices": [{"index": 0, "delta": {"content": CANARIES["answer"]}, "finish_reason": None}]}
)
FROM_UPSTREAM = {"response.code_details": "via_upstream"}


@pytest.fixture(params=["json", "console"])
async def host(request, tmp_path, monkeypatch, log_to):
    """A host whose one plugin leaks: run an exchange in it, then read all that operators see."""
    asyncio.get_running_loop().set_exception_handler(log_loop_fault)
    (tmp_path / "leaky_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    log = log_to("debug", request.param)
    registry, exporter = CollectorRegistry(), InMemorySpanExporter()
    metrics = Metrics(registry)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider, lambda s: int(s * 1e9), {"main": "openai"})
    observation = Observation(metrics, get_logger(), time.monotonic, tracing)
    pools = []

    def session(on_error):
        source = Source(None, config(on_error))
        runtime = compile_config(check_config(source), source)
        pools.append(runtime.pool)
        describe_plugins(metrics, runtime)
        choice = Choice(runtime.candidates)
        return RouterSession(runtime, choice, observation, time.monotonic, lambda: "made-id")

    def seen():
        return {
            "log": log.getvalue(),
            "metrics": exposition(registry).decode(),
            "spans": "\n".join(span.to_json() for span in exporter.get_finished_spans()),
        }

    yield SimpleNamespace(session=session, seen=seen)
    observation.shutdown()
    for pool in pools:
        pool.shutdown()


def assert_no_canary(texts):
    for place, text in texts.items():
        for what, canary in CANARIES.items():
            assert canary not in text, f"the {what} is in the {place}"


async def let_background_work_fail():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_content_is_in_no_log_metric_or_span_when_a_plugin_is_let_fail(host):
    session = host.session("open")
    assert not isinstance(
        await session.request_headers(REQUEST_HEADERS, ends=False, attributes={}), Finish
    )
    verdict = await session.request_body(CALL)
    assert not isinstance(verdict, Finish)
    # The key does go where it belongs.
    assert CANARIES["key"] in str(dict(verdict.edits.set))
    pairs = ((":status", b"200"), ("content-type", b"application/json"))
    answered = await session.response_headers(pairs, ends=False, attributes=FROM_UPSTREAM)
    body = await session.response_body(ANSWER)
    await session.complete(cancelled=False)
    await let_background_work_fail()
    report = {"report": str([verdict.report, dict(answered.edits.set), body.body])}
    seen = host.seen()
    # Not because nothing was said:
    assert 'kind="plugin_error",route="chat"' in seen["metrics"]
    assert "leaky on_request" in seen["spans"]
    assert '"gen_ai.usage.output_tokens": 2' in seen["spans"]
    for word in (
        "plugin_error",
        "the answer could not be read",
        "exception in a callback",
        "Task exception was never retrieved",
    ):
        assert word in seen["log"]
    assert_no_canary({**seen, **report})


async def test_content_is_in_no_error_body_when_a_plugin_must_not_fail(host):
    session = host.session("closed")
    await session.request_headers(REQUEST_HEADERS, ends=False, attributes={})
    finish = await session.request_body(CALL)
    await session.complete(cancelled=False)
    await let_background_work_fail()
    assert isinstance(finish, Finish)
    assert finish.status == 503
    assert "refused" in host.seen()["log"]
    assert_no_canary({**host.seen(), "error": f"{finish.body.decode()} {finish}"})


@pytest.mark.parametrize(
    "body",
    [
        CALL[:-1],
        CALL.replace(b'"model": "m"', b'"model": {"canary-prompt-4711": 1}'),
        CALL[:-1] + b', "canary-prompt-4711": 1, "canary-prompt-4711": 2}',
        CALL.replace(b'"user"', b'"canary-prompt-4711"'),
        b"canary-prompt-4711",
    ],
    ids=["cut", "wrong type", "duplicate key", "odd role", "no JSON"],
)
async def test_content_is_in_no_error_body_when_a_call_is_invalid(host, body):
    session = host.session("closed")
    await session.request_headers(REQUEST_HEADERS, ends=False, attributes={})
    finish = await session.request_body(body)
    await session.complete(cancelled=False)
    await let_background_work_fail()
    assert isinstance(finish, Finish)
    assert 400 <= finish.status <= 599
    assert_no_canary({**host.seen(), "error": f"{finish.body.decode()} {finish}"})


async def test_content_is_in_no_log_metric_or_span_of_a_stream(host):
    session = host.session("open")
    await session.request_headers(REQUEST_HEADERS, ends=False, attributes={})
    await session.request_body(CALL)
    pairs = ((":status", b"200"), ("content-type", b"text/event-stream"))
    await session.response_headers(pairs, ends=False, attributes=FROM_UPSTREAM)
    frames = [
        Frame(raw=f"data: {data}\n\n".encode(), name="", data=data) for data in (CHUNK, "[DONE]")
    ]
    emit = await session.response_events(frames, ended=True)
    await session.complete(cancelled=False)
    await let_background_work_fail()
    # The answer does reach the client.
    assert CANARIES["answer"].encode() in emit.data
    assert 'hook="on_response"' in host.seen()["metrics"]
    assert_no_canary(host.seen())
