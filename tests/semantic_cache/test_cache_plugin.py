"""The cache in a host: what it serves, what it keeps, and what it must not."""

import asyncio
import json
import time

import pytest

from pipeline.api import Plugin, Refuse
from pipeline.testing.host import Host
from pipeline.testing.messages import (
    answer_message,
    call_message,
    json_response,
    post,
    sse_response,
    stream_message,
)

EXACT = {"semantic": {"enabled": False}}
KEY = {"authorization": "Bearer one"}
OTHER_KEY = {"authorization": "Bearer two"}


def host(options=EXACT, **keys):
    return Host.of("semantic_cache", options, **keys)


async def ask(cached, text="What is a dragoman?", answer="An interpreter.", headers=KEY, **fields):
    return await cached.send(call_message(text, headers=headers, **fields), answer)


def said(exchanged):
    return exchanged.client.header("x-dragoman-cache")


async def test_the_same_call_is_answered_without_the_provider():
    async with host() as cached:
        first = await ask(cached)
        again = await ask(cached, answer="Something else.")
    assert said(first) == "MISS; reason=disabled"
    assert again.upstream is None
    assert again.said == "An interpreter."
    assert said(again) == "HIT; kind=exact"
    assert again.client.header("age") == "0"
    assert len(again.client.header("x-dragoman-entry")) == 16


async def test_a_replayed_answer_is_a_new_one_with_the_same_words():
    async with host() as cached:
        first = await ask(cached)
        again = await ask(cached)
    one, other = first.client.document, again.client.document
    assert one["id"] != other["id"]
    assert one["choices"] == other["choices"]
    assert other["usage"]["total_tokens"] == one["usage"]["total_tokens"]
    cached_tokens = other["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached_tokens == one["usage"]["prompt_tokens"]


@pytest.mark.parametrize("first_streams", [True, False])
@pytest.mark.parametrize("then_streams", [True, False])
@pytest.mark.parametrize(
    "dialect", ["openai.chat", "openai.completions", "openai.responses", "anthropic.messages"]
)
async def test_streamed_and_whole_answers_serve_each_other(first_streams, then_streams, dialect):
    async with host() as cached:
        first = await ask(cached, dialect=dialect, stream=first_streams)
        again = await ask(cached, dialect=dialect, stream=then_streams)
    assert again.upstream is None, said(again)
    assert again.client.is_stream == then_streams
    assert again.said == first.said == "An interpreter."


async def test_tenants_never_share():
    async with host() as cached:
        await ask(cached)
        other = await ask(cached, headers=OTHER_KEY, answer="Theirs.")
    assert said(other) == "MISS; reason=disabled"
    assert other.said == "Theirs."


async def test_without_a_tenant_nothing_is_cached():
    async with host() as cached:
        for _ in range(2):
            found = await ask(cached, headers={})
            assert said(found) == "BYPASS; reason=no_tenant"


async def test_tenants_share_where_the_config_says_so():
    async with host({**EXACT, "scope": "shared"}) as cached:
        await ask(cached, headers={})
        assert said(await ask(cached, headers=OTHER_KEY)) == "HIT; kind=exact"


@pytest.mark.parametrize(
    "answer",
    [
        answer_message(status=500),
        json_response({"error": {"message": "no"}}),
        json_response({"choices": [{"finish_reason": "length", "message": {"content": "a"}}]}),
        json_response(
            {"choices": [{"finish_reason": "content_filter", "message": {"content": "a"}}]}
        ),
        json_response(
            {"choices": [{"finish_reason": "stop", "message": {"content": None, "refusal": "I"}}]}
        ),
        json_response({"choices": [{"finish_reason": "stop", "message": {"content": ""}}]}),
        json_response({"choices": [{"message": {"content": "a"}}]}),
        json_response({"choices": []}),
        json_response({"choices": "odd"}),
        json_response(b"[]"),
        json_response(b"no json"),
        sse_response(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'),
    ],
)
async def test_only_clean_answers_are_kept(answer):
    async with host() as cached:
        await ask(cached, answer=answer)
        again = await ask(cached, answer="Good.")
        assert again.upstream is not None
        assert again.said == "Good."


async def test_a_stream_that_was_cut_off_is_not_kept():
    whole = stream_message("An ", "interpreter.")
    cut = sse_response(whole.body[: whole.body.index(b"[DONE]") - 6])
    async with host() as cached:
        await ask(cached, answer=cut, stream=True)
        assert (await ask(cached, stream=True)).upstream is not None


class Refusing(Plugin):
    """Refuses all answers."""

    def on_response(self, exchange):
        """Refuse."""
        return Refuse(502, "unwanted", "no")


async def test_an_answer_that_a_guard_refuses_is_not_kept():
    cached = Host.of("semantic_cache", EXACT, before=[Refusing])
    async with cached:
        assert (await ask(cached)).client.status == 502
        assert (await ask(cached)).upstream is not None


async def test_a_hit_passes_the_guards_too():
    class Counting(Plugin):
        """Counts answers."""

        seen = 0

        def on_response(self, exchange):
            """Count."""
            Counting.seen += 1

    cached = Host.of("semantic_cache", EXACT, before=[Counting])
    async with cached:
        await ask(cached)
        assert (await ask(cached)).upstream is None
    assert Counting.seen == 2


@pytest.mark.parametrize(
    ("control", "wanted"),
    [
        ("no-cache", "MISS; reason=no_cache"),
        ("max-age=0", "MISS; reason=no_cache"),
        ("no-store", "BYPASS; reason=no_store"),
        ("max-age=3600", "HIT; kind=exact"),
        ("only-if-cached", "HIT; kind=exact"),
    ],
)
async def test_a_client_controls_the_cache(control, wanted):
    async with host() as cached:
        await ask(cached)
        found = await ask(cached, headers={**KEY, "cache-control": control})
    assert said(found) == wanted


async def test_no_cache_refreshes_what_is_stored():
    async with host() as cached:
        await ask(cached, answer="Old.")
        await ask(cached, answer="New.", headers={**KEY, "cache-control": "no-cache"})
        assert (await ask(cached)).said == "New."


async def test_no_store_keeps_nothing():
    async with host() as cached:
        await ask(cached, headers={**KEY, "cache-control": "no-store"})
        assert (await ask(cached)).upstream is not None


async def test_only_if_cached_is_refused_where_nothing_is():
    async with host() as cached:
        found = await ask(cached, headers={**KEY, "cache-control": "only-if-cached"})
        assert found.upstream is None
        assert found.client.status == 504
        assert found.error["code"] == "not_cached"
        # Nobody waits for an answer that will not come.
        assert (await ask(cached)).upstream is not None


async def test_a_client_controls_nothing_where_the_config_says_so():
    async with host({**EXACT, "client_control": False}) as cached:
        await ask(cached)
        found = await ask(cached, headers={**KEY, "cache-control": "no-store"})
        assert said(found) == "HIT; kind=exact"


def later(cached, seconds):
    """Let time go by; not for the store, which forgets what is over."""
    plugin = cached.plugin()
    plugin._now = plugin._cache._now = lambda: time.time() + seconds


async def test_an_entry_ages_and_expires():
    async with host({**EXACT, "ttl": "10s", "ttl_jitter": 0}) as cached:
        later(cached, 0)
        await ask(cached)
        later(cached, 9)
        found = await ask(cached)
        assert found.client.header("age") == "9"
        young = await ask(cached, headers={**KEY, "cache-control": "max-age=5"}, answer="Young.")
        assert young.said == "Young."
        later(cached, 20)
        assert (await ask(cached)).upstream is not None


async def test_a_stale_entry_is_served_while_one_request_fetches_anew():
    options = {**EXACT, "ttl": "10s", "ttl_jitter": 0, "stale": "60s"}
    async with host(options) as cached:
        later(cached, 0)
        await ask(cached, answer="Old.")
        later(cached, 30)
        leader = cached.open()
        assert await leader.request(call_message("What is a dragoman?", headers=KEY)) is not None
        meanwhile = await ask(cached)
        assert said(meanwhile) == "STALE; kind=exact"
        assert meanwhile.said == "Old."
        await leader.respond(answer_message("New."))
        await leader.close()
        assert (await ask(cached)).said == "New."


def waiting(cached):
    """Return how many calls wait for another one."""
    return sum(flight.waiting for flight in cached.plugin()._flights._flights.values())


async def test_equal_calls_in_flight_make_one_upstream_call():
    async with host() as cached:
        leader = cached.open()
        request = call_message("What is a dragoman?", headers=KEY)
        assert await leader.request(request) is not None
        others = [asyncio.create_task(ask(cached, stream=n % 2 == 0)) for n in range(99)]
        async with asyncio.timeout(10):
            while waiting(cached) < 99:  # noqa: ASYNC110 - nobody says when they do
                await asyncio.sleep(0.01)
        await leader.respond(answer_message("An interpreter."))
        await leader.close()
        found = await asyncio.gather(*others)
    assert all(one.upstream is None and one.said == "An interpreter." for one in found)
    assert {said(one) for one in found} == {"HIT; kind=exact; reason=coalesced"}
    ids = {one.client.document["id"] for one in found if not one.client.is_stream}
    assert len(ids) == 49


async def test_when_the_call_in_flight_fails_one_of_those_that_wait_goes_next():
    async with host() as cached:
        leader = cached.open()
        await leader.request(call_message("What is a dragoman?", headers=KEY))
        others = [asyncio.create_task(ask(cached)) for _ in range(10)]
        await asyncio.sleep(0.05)
        await leader.close()  # the client went away
        found = await asyncio.gather(*others)
    assert sum(one.upstream is not None for one in found) == 1
    assert all(one.said == "An interpreter." for one in found)


async def test_waiting_for_a_call_in_flight_is_bounded():
    async with host({**EXACT, "coalesce_wait": "20ms"}) as cached:
        leader = cached.open()
        await leader.request(call_message("What is a dragoman?", headers=KEY))
        found = await ask(cached)
        assert found.upstream is not None
        await leader.close()


async def test_embeddings_are_cached_by_the_whole_call():
    body = {"model": "e", "input": ["a", "b"]}
    answer = {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 2}}
    async with host({}) as cached:
        request = post("/v1/embeddings", body, KEY)
        first = await cached.send(request, json_response(answer))
        again = await cached.send(request, json_response(answer))
    assert said(first) == "MISS; reason=no_text"
    assert again.upstream is None
    assert again.client.document["data"] == answer["data"]


async def test_a_conversation_on_the_providers_side_is_not_cached():
    async with host() as cached:
        for _ in range(2):
            found = await ask(cached, dialect="openai.responses", conversation="conv_1")
            assert said(found) == "BYPASS; reason=stateful"


async def test_an_answer_that_the_provider_keeps_has_the_id_it_knows():
    async with host() as cached:
        document = answer_message("An interpreter.", dialect="openai.responses").document
        known = json_response({**document, "id": "resp_1"})
        await ask(cached, dialect="openai.responses", answer=known)
        again = await ask(cached, dialect="openai.responses")
        assert again.upstream is None
        assert again.client.document["id"] == "resp_1"
        first = await ask(cached, dialect="openai.responses", store=False, text="Another.")
        again = await ask(cached, dialect="openai.responses", store=False, text="Another.")
        assert again.client.document["id"] != first.client.document["id"]


async def test_tool_calls_and_their_ids_are_replayed():
    call = {
        "id": "call_7",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at": "a"}'},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {
        "id": "x",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
    }
    tools = [{"type": "function", "function": {"name": "look"}}]
    async with host() as cached:
        await ask(cached, answer=json_response(answer), tools=tools)
        again = await ask(cached, tools=tools)
    assert again.upstream is None
    assert again.client.document["choices"][0]["message"]["tool_calls"] == [call]


async def test_headers_say_nothing_where_the_config_says_so():
    async with host({**EXACT, "debug_headers": False}) as cached:
        await ask(cached)
        found = await ask(cached)
    assert found.upstream is None
    assert said(found) == ""
    assert found.client.header("x-dragoman-entry") == ""


async def test_an_answer_over_the_limit_is_not_kept():
    async with host({**EXACT, "max_entry_bytes": "1KiB"}) as cached:
        await ask(cached, answer="word " * 1000)
        assert (await ask(cached)).upstream is not None


def test_the_answers_document_is_not_in_any_repr():
    from plugins.semantic_cache.records import Body

    assert "secret" not in repr(Body("secret", "openai.chat", json.dumps("secret").encode()))
