"""The ring remembers the last exchanges, what changed in them, and no text unless told to."""

from __future__ import annotations

import json

import pytest

from pipeline.observability.ring import Ring
from tests.support.host import (
    JSON_RESPONSE,
    SSE_RESPONSE,
    VIA_UPSTREAM,
    ask,
    frames_of,
    runtime_of,
)

CONFIG = """
plugins:
  style: {uses: prompt_decorator, with: {append: [{role: system, content: canary-style}]}}
  odd: {uses: "tests.support.ring_plugin:Odd"}
routes: [{name: chat, match: {path: /v1/chat/completions}, plugins: [style, odd]}]
"""
CALL = {"model": "m", "messages": [{"role": "user", "content": "canary-prompt"}]}
ANSWER = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "canary-answer"},
     "finish_reason": "stop"}]}  # fmt: skip


@pytest.fixture(scope="module")
def runtime():
    runtime = runtime_of(CONFIG)
    yield runtime
    runtime.pool.shutdown()


@pytest.fixture
def exchange(runtime, session_with):
    async def run(ring, number=0, answer=None, streamed=None):
        session = session_with(runtime, ring)
        headers = [("x-request-id", f"id-{number}"), ("authorization", "Bearer canary-key")]
        await ask(runtime, CALL, headers=headers, session=session)
        if answer is not None:
            await session.response_headers(JSON_RESPONSE, ends=False, attributes=VIA_UPSTREAM)
            await session.response_body(json.dumps(answer).encode())
        if streamed is not None:
            await session.response_headers(SSE_RESPONSE, ends=False, attributes=VIA_UPSTREAM)
            await session.response_events(frames_of(streamed), ended=True)
        await session.complete(cancelled=False)

    return run


@pytest.fixture
def session_with():
    from pipeline.host.runtime import Silent
    from pipeline.host.session import Choice, RouterSession

    def make(runtime, ring):
        class Observer(Silent):
            def ended(self, exchange, outcome):
                ring.ended(exchange, outcome)

        return RouterSession(
            runtime, Choice(runtime.candidates), Observer(), lambda: 1.0, lambda: "made", ring
        )

    return make


def ring_of(capacity=4, **options):
    return Ring(capacity, lambda s: s + 100, **options)


async def test_decisions_and_changes_are_remembered_without_texts(exchange):
    ring = ring_of()
    await exchange(ring, answer=ANSWER)

    packed = ring.get("id-0")

    entry = json.loads(packed)
    style, odd, answered = entry["steps"]
    assert entry["route"] == "chat"
    assert entry["started_at"] == 101.0
    assert (style["instance"], style["decision"], style["applied"]) == ("style", "rewrite", True)
    assert style["change"] == {"added": [{"role": "system", "kind": "text", "characters": 12}]}
    assert odd["change"]["headers"] == {"set": ["x-odd"], "removed": []}
    assert odd["change"]["fields"] == ["temperature"]
    assert [one["characters"] for one in answered["change"]["added"]] == [3]
    assert b"canary" not in packed


async def test_texts_are_kept_where_the_config_says_so(exchange):
    ring = ring_of(with_texts=True)
    await exchange(ring)

    entry = json.loads(ring.get("id-0"))

    assert entry["steps"][0]["change"]["added"][0]["text"] == "canary-style"
    assert b"canary-key" not in ring.get("id-0")


async def test_events_are_counted(exchange):
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
    stream = f"data: {json.dumps(chunk)}\n\n".encode() * 3 + b"data: [DONE]\n\n"
    ring = ring_of()
    await exchange(ring, streamed=stream)

    steps = json.loads(ring.get("id-0"))["steps"]
    changes = {s["decision"]: s["change"] for s in steps if s["hook"] == "on_response_event"}

    assert changes["rewrite"] == {"events": {"held back": 3}}
    assert changes["continue"] == {}


async def test_the_oldest_goes_first(exchange):
    ring = ring_of(2)
    for number in range(3):
        await exchange(ring, number)

    assert ring.get("id-0") is None
    assert ring.get("id-1")
    assert ring.get("id-2")


async def test_an_entry_that_is_too_large_loses_its_changes(exchange, monkeypatch):
    monkeypatch.setattr("pipeline.observability.ring._MAX_ENTRY_BYTES", 300)
    ring = ring_of()
    await exchange(ring)

    assert json.loads(ring.get("id-0"))["steps"][0]["change"] == {"omitted": True}


async def test_exchanges_that_never_end_are_forgotten(runtime, session_with, monkeypatch):
    monkeypatch.setattr("pipeline.observability.ring._MAX_OPEN", 3)
    ring = ring_of()
    for _ in range(5):
        await ask(runtime, CALL, session=session_with(runtime, ring))

    assert len(ring._open) == 3
