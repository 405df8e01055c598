"""The cache behind a real Envoy."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
CONFIG = {
    "plugins": {
        "cache": {"uses": "semantic_cache", "with": {"semantic": {"enabled": False}}},
    },
    "routes": [
        {
            "name": "chat",
            "match": {"path_prefix": "/v1/"},
            "plugins": ["cache"],
            "backends": ["demo"],
        }
    ],
}
KEY = {"authorization": "Bearer key-of-a"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    async with running_stack(CONFIG, binary=envoy) as made:
        yield made


@pytest.fixture
def ask(stack):
    async def send(text, headers=KEY, **fields):
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        return await stack.http.post("/v1/chat/completions", json=body, headers=headers)

    return send


async def test_the_second_call_does_not_reach_the_provider(stack, ask):
    first = await ask("What is 6 * 7?")
    before = len(stack.seen["demo"])
    again = await ask("What is 6 * 7?")
    assert first.headers["x-dragoman-cache"] == "MISS; reason=disabled"
    assert again.headers["x-dragoman-cache"] == "HIT; kind=exact"
    assert len(stack.seen["demo"]) == before
    assert again.json()["choices"] == first.json()["choices"]
    assert again.json()["id"] != first.json()["id"]


async def test_an_answer_that_was_streamed_is_streamed_again(ask):
    first = await ask("Say something long.", stream=True)
    again = await ask("Say something long.", stream=True)
    assert again.headers["x-dragoman-cache"] == "HIT; kind=exact"
    assert again.headers["content-type"].startswith("text/event-stream")
    assert said(again) == said(first)
    assert again.text.endswith("data: [DONE]\n\n")


async def test_equal_calls_at_once_make_one_call_upstream(stack, ask):
    before = len(stack.seen["demo"])
    answers = await asyncio.gather(*(ask("Only once, please.") for _ in range(100)))
    assert len(stack.seen["demo"]) == before + 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 100


async def test_tenants_do_not_see_each_other(ask):
    await ask("Whose is this?")
    other = await ask("Whose is this?", headers={"authorization": "Bearer key-of-b"})
    assert other.headers["x-dragoman-cache"] == "MISS; reason=disabled"


async def test_only_if_cached_is_an_error_of_the_clients_api(ask):
    found = await ask("Never asked.", headers={**KEY, "cache-control": "only-if-cached"})
    assert found.status_code == 504
    assert found.json()["error"]["code"] == "not_cached"


def said(response):
    """Return the words of a streamed answer."""
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)
