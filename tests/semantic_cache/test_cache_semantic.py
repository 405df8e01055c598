"""Another wording of a question: when it is answered from the cache, and when not."""

import asyncio
import time

import numpy as np
import pytest

from pipeline.api import Plugin
from pipeline.testing.host import Host
from pipeline.testing.messages import call_message
from plugins.semantic_cache import metrics

KEY = {"authorization": "Bearer one"}
STORED = "How do I connect my new router to the wireless network in the office?"
REWORDED = "How can I connect my new router to the wireless network in the office?"


def host(options=None, **inference):
    return Host(
        {
            "inference": {"tier": "tiny", "device": "cpu", **inference},
            "plugins": {"plugin": {"uses": "semantic_cache", "with": options or {}}},
            "routes": [{"name": "test", "other": "pass", "plugins": ["plugin"]}],
        }
    )


async def ask(cached, text, answer="By its button.", headers=KEY, **fields):
    return await cached.send(call_message(text, headers=headers, **fields), answer)


def said(exchanged):
    return exchanged.client.header("x-dragoman-cache")


async def test_another_wording_is_answered_from_the_cache():
    async with host() as cached:
        await ask(cached, STORED)
        found = await ask(cached, REWORDED, "Something else.")
    assert said(found) == "HIT; kind=semantic"
    assert found.upstream is None
    assert found.said == "By its button."
    assert float(found.client.header("x-dragoman-similarity")) > 0.9


@pytest.mark.parametrize(
    "asked", ["what is the population of germany", "What is the  population of Germany ? "]
)
async def test_case_spaces_and_closing_marks_are_no_other_question(asked):
    async with host() as cached:
        await ask(cached, "What is the population of Germany?")
        assert said(await ask(cached, asked)) == "HIT; kind=semantic"


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("What does `Foo` do?", "What does `foo` do?"),
        ("What is 6 * 7?", "What is 6 * 8?"),
        ("Turn on the lights in the kitchen.", "Turn off the lights in the kitchen."),
        ("Is it safe to take aspirin daily?", "Is it not safe to take aspirin daily?"),
        ("Did Alice beat Bob at chess?", "Did Bob beat Alice at chess?"),
        ("What is the capital of France?", "What is the capital of Italy?"),
        ("Who was president in 1990?", "Who was president in 1991?"),
        ("Is a whale larger than a bus?", "Is a whale smaller than a bus?"),
        ("What should I do before the exam?", "What should I do after the exam?"),
        ("Convert 10 miles to km.", "Convert 10 km to miles."),
    ],
)
async def test_a_difference_that_matters_is_a_miss(stored, asked):
    async with host() as cached:
        await ask(cached, stored)
        found = await ask(cached, asked, "The right answer.")
    assert said(found) == "MISS; reason=unverified"
    assert found.said == "The right answer."


async def test_what_has_nothing_to_do_with_it_is_a_miss():
    async with host() as cached:
        await ask(cached, STORED)
        found = await ask(cached, "Bread needs flour, water, salt.")
    assert said(found) == "MISS; reason=nothing_near"


async def test_another_tenants_wording_finds_nothing():
    async with host() as cached:
        await ask(cached, STORED)
        found = await ask(cached, REWORDED, headers={"authorization": "Bearer two"})
    assert said(found) == "MISS; reason=nothing_near"


@pytest.mark.parametrize(
    "fields",
    [{"temperature": 0.5}, {"model": "another"}, {"system": "Answer in French."}],
)
async def test_another_wording_of_another_call_finds_nothing(fields):
    async with host() as cached:
        await ask(cached, STORED)
        found = await ask(cached, REWORDED, **fields)
    assert said(found) == "MISS; reason=nothing_near"


async def test_calls_with_tools_hit_by_the_whole_call_alone():
    tools = [{"type": "function", "function": {"name": "look"}}]
    async with host() as cached:
        await ask(cached, STORED, tools=tools)
        assert said(await ask(cached, REWORDED, tools=tools)) == "MISS; reason=tools"
        assert said(await ask(cached, STORED, tools=tools)) == "HIT; kind=exact"


async def test_long_conversations_hit_by_the_whole_call_alone():
    turns = ["One", "1", "Two", "2", STORED]
    async with host({"semantic": {"max_turns": 2}}) as cached:
        await ask(cached, turns)
        found = await ask(cached, [*turns[:-1], REWORDED])
        assert said(found) == "MISS; reason=turns"


async def test_a_question_that_no_model_read_whole_hits_by_the_whole_call_alone():
    long = "and then there is more of it " * 2000
    async with host(windows=1) as cached:
        assert said(await ask(cached, long + "one")) == "MISS; reason=truncated"
        assert said(await ask(cached, long + "two")) == "MISS; reason=truncated"
        assert said(await ask(cached, long + "two")) == "HIT; kind=exact"


class Unnamed(Plugin):
    """Brings an embedding of its own, of which nobody knows what it is."""

    def register_signals(self, register):
        async def embedding(text):
            return np.eye(8, dtype=np.float32)[len(text) % 8]

        register("embedding", embedding)


async def test_an_embedding_that_nobody_names_is_not_searched_with():
    async with Host.of("semantic_cache", before=[Unnamed]) as cached:
        await ask(cached, STORED)
        assert said(await ask(cached, REWORDED)) == "MISS; reason=unnamed_model"
        assert said(await ask(cached, STORED)) == "HIT; kind=exact"


async def test_a_threshold_of_the_cosine_holds_beside_the_budget():
    async with host({"semantic": {"threshold": 0.9999}}) as cached:
        await ask(cached, STORED)
        assert said(await ask(cached, REWORDED)) == "MISS; reason=nothing_near"


async def test_a_shadowed_hit_goes_to_the_provider_and_is_compared():
    checks = metrics.SHADOW_CHECKS
    before = [checks.labels("plugin", word)._value.get() for word in ("agreed", "differed")]
    async with host({"semantic": {"shadow_share": 1}}) as cached:
        await ask(cached, STORED)
        found = await ask(cached, REWORDED)
        assert said(found) == "MISS; reason=shadow"
        assert found.upstream is not None
        await ask(cached, REWORDED.replace("can", "could"), "It cannot be: 404.")
        labels = list(cached.plugin()._cache.bounds.labels)
    after = [checks.labels("plugin", word)._value.get() for word in ("agreed", "differed")]
    assert [int(b - a) for a, b in zip(before, after, strict=True)] == [1, 1]
    assert [correct for _, correct in labels] == [True, False]


async def test_a_wrong_hit_that_is_reported_is_not_served_again():
    async with host() as cached:
        await ask(cached, STORED)
        hit = await ask(cached, REWORDED)
        cache = cached.plugin()._cache
        entry = hit.client.header("x-dragoman-entry")
        (partition, probability) = cache.bounds._served[entry]
        assert cache.bounds.judge_served(entry, correct=False)
        assert cache.bounds.threshold(partition) > probability
        assert said(await ask(cached, REWORDED)) == "MISS; reason=unverified"


async def test_an_entry_of_one_process_is_seen_by_another_within_a_second(tmp_path):
    options = {"store": f"sqlite://{tmp_path}/cache.db"}
    async with host(options) as one, host(options) as other:
        await ask(other, "Hello there, whoever you are.")  # it knows its embedder from now on
        await ask(one, STORED)
        async with asyncio.timeout(1):
            while len(other.plugin()._cache.replica) < 2:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.02)
        assert said(await ask(other, REWORDED)) == "HIT; kind=semantic"
        assert said(await ask(other, STORED)) == "HIT; kind=exact"


async def test_entries_survive_a_restart(tmp_path):
    options = {"store": f"sqlite://{tmp_path}/cache.db"}
    async with host(options) as one:
        await ask(one, STORED)
    async with host(options) as other:
        assert said(await ask(other, STORED)) == "HIT; kind=exact"


async def test_vectors_of_another_model_are_not_used(tmp_path):
    options = {"store": f"sqlite://{tmp_path}/cache.db"}
    async with host(options) as one:
        await ask(one, STORED)
    async with host(options, tier="small") as other:
        await ask(other, "Hello there, whoever you are.")
        await asyncio.sleep(0.05)
        assert said(await ask(other, REWORDED)) == "MISS; reason=nothing_near"
        assert said(await ask(other, STORED)) == "HIT; kind=exact"


async def test_a_milvus_is_searched_in_place_of_this_process(tmp_path):
    pytest.importorskip("milvus_lite")
    slow = {"get_timeout": "5s", "write_timeout": "20s"}
    options = {"index": f"{tmp_path}/milvus.db", "store_options": slow}
    async with host(options, tier="tiny") as cached:
        await ask(cached, STORED)
        cache = cached.plugin()._cache
        (entry,) = cache.replica.select(time.time())
        ((inserted,), _) = await cache.log("")
        async with asyncio.timeout(10):
            at = inserted.partition, inserted.vector, 1
            while not await cache._index.search(*at):  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.05)
        found = await ask(cached, REWORDED)
        assert said(found) == "HIT; kind=semantic"
        assert found.client.header("x-dragoman-entry") == entry.id
        await cache.drop([entry.id])
        assert said(await ask(cached, REWORDED)) == "MISS; reason=nothing_near"
