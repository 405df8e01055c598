import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import InferenceError
from pipeline.inference.engine import Engine
from tests.support.letters import ALL, HEADS, POISON, Letters, same

FAR = float("inf")


@pytest.fixture(autouse=True)
def never_blocks():
    with blockbuster_ctx(["pipeline"]):
        yield


@asynccontextmanager
async def running(*, max_bytes=2**20, timeout_s=30.0, **batching):
    model = Letters()
    engine = Engine(Batcher(lambda: model, **batching), max_bytes=max_bytes, timeout_s=timeout_s)
    await engine.start()
    try:
        yield engine, model
    finally:
        await engine.close()
    assert not engine._flights


async def begun(model):
    await asyncio.to_thread(model.began.acquire, timeout=10)


def reading(engine, text, heads=ALL, deadline_s=FAR):
    return asyncio.ensure_future(engine.read(text, heads, deadline_s))


async def code_of(task):
    with pytest.raises(InferenceError) as caught:
        await task
    return caught.value.code


def texts_of(model):
    return [text for batch in model.prepared for text in batch]


# --- memory


async def test_a_text_read_again_is_remembered():
    async with running() as (engine, model):
        first = await engine.read("hello", ALL, FAR)
        assert await engine.read("hello", ["vowels"], FAR) is first
        assert same(first, model.expected("hello"))

    assert texts_of(model) == ["hello"]
    assert (engine.counts.texts, engine.counts.hits, engine.counts.computed) == (2, 1, 1)


async def test_only_what_is_not_remembered_is_computed():
    async with running() as (engine, _):
        await engine.read("hello", ["vowels"], FAR)
        found = await engine.read("hello", ["vowels", "half"], FAR)
        again = await engine.read("hello", ["half", "vowels"], FAR)

    assert set(found.scores) == {"vowels"}
    assert set(found.labels) == {"half"}
    assert found.embedding is None
    assert same(again, found, ["vowels", "half"])
    assert engine.counts.computed == 2
    assert engine.counts.hits == 1


async def test_without_memory_a_reading_is_whole_all_the_same():
    async with running(max_bytes=0) as (engine, model):
        found = await asyncio.gather(
            engine.read("hello", ["vowels"], FAR), engine.read("hello", ALL, FAR)
        )

    assert same(found[1], model.expected("hello"))


async def test_unread_tokens_are_counted_once_for_each_computation():
    async with running() as (engine, _):
        for _ in range(2):
            await engine.read("x" * 1000, ["vowels"], FAR)

    assert engine.counts.tokens == 1000
    assert engine.counts.unread_tokens == 1000 - (4 * 26 + 4) * 2


# --- identical texts in flight


async def test_identical_texts_in_flight_are_computed_once():
    async with running() as (engine, model):
        with model.held():
            tasks = [reading(engine, "hello") for _ in range(5)]
            await begun(model)
            tasks.append(reading(engine, "hello", ["vowels"]))
            await asyncio.sleep(0)
        found = await asyncio.gather(*tasks)

    assert all(same(one, model.expected("hello")) for one in found)
    assert texts_of(model) == ["hello"]
    assert (engine.counts.computed, engine.counts.coalesced) == (1, 5)


async def test_who_wants_more_waits_for_what_is_under_way_and_computes_the_rest():
    async with running() as (engine, model):
        with model.held():
            some = reading(engine, "hello", ["vowels", "half"])
            await begun(model)
            more = reading(engine, "hello", ["half", "risk"])
            await asyncio.sleep(0)
            both = reading(engine, "hello", ["vowels", "risk"])
            await asyncio.sleep(0)
        await asyncio.gather(some, more, both)

    assert same(both.result(), model.expected("hello"), ["vowels", "risk"])
    assert engine.counts.computed == 2


async def test_a_text_read_before_is_not_taken_for_another_model():
    async with running() as (engine, model):
        await engine.read("hello", ["vowels"], FAR)
        model.identity = "letters@2"
        await engine.read("hello", ["vowels"], FAR)

    assert engine.counts.computed == 2


# --- who leaves


async def test_a_caller_who_leaves_leaves_the_others_theirs():
    async with running() as (engine, model):
        with model.held():
            gone, kept = reading(engine, "hello"), reading(engine, "hello")
            await begun(model)
            gone.cancel()
            await asyncio.wait([gone])
        assert same(await kept, model.expected("hello"))

    assert gone.cancelled()
    assert engine.counts.cancelled == 0


async def test_the_last_caller_who_leaves_cancels_the_computation():
    async with running() as (engine, model):
        with model.held():
            first = reading(engine, "first")
            await begun(model)
            tasks = [reading(engine, "gone") for _ in range(2)]
            await asyncio.sleep(0.005)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.sleep(0)
            assert engine.source.waiting == 0
        await first

    assert engine.counts.cancelled == 1
    assert len(model.batches) == 1


async def test_who_comes_after_all_have_left_computes_anew():
    async with running() as (engine, model):
        with model.held():
            gone = reading(engine, "hello")
            await begun(model)
            gone.cancel()
            await asyncio.wait([gone])
            after = reading(engine, "hello")
            await asyncio.sleep(0)
        assert same(await after, model.expected("hello"))


async def test_nobody_waits_beyond_the_engines_own_limit():
    async with running(timeout_s=0.01) as (engine, model):
        with model.held():
            assert await code_of(engine.read("hello", ALL, FAR)) == "deadline"

    assert engine.counts.refused == {"deadline": 1}


async def test_who_has_less_time_leaves_first():
    async with running() as (engine, model):
        with model.held():
            patient = reading(engine, "hello")
            await begun(model)
            hasty = reading(engine, "hello", ALL, time.monotonic() + 0.01)
            assert await code_of(hasty) == "deadline"
        assert same(await patient, model.expected("hello"))


async def test_who_has_more_time_outlives_the_computation_he_waited_for():
    async with running() as (engine, model):
        with model.held():
            hasty = reading(engine, "hello", ALL, time.monotonic() + 0.02)
            await begun(model)
            patient = reading(engine, "hello")
            assert await code_of(hasty) == "deadline"
            await asyncio.sleep(0)
            assert not patient.done()
        assert same(await patient, model.expected("hello"))

    assert engine.counts.computed == 2


# --- faults


async def test_a_failure_is_that_of_all_who_wait_and_is_not_remembered():
    async with running() as (engine, model):
        with model.held():
            tasks = [reading(engine, POISON) for _ in range(2)]
            await begun(model)
        errors = [await code_of(task) for task in tasks]
        assert await code_of(engine.read(POISON, ALL, FAR)) == "model_failed"

    assert errors == ["model_failed"] * 2
    assert tasks[0].exception() is not tasks[1].exception()
    assert engine.counts.refused == {"model_failed": 3}
    assert engine.counts.computed == 2


async def test_a_full_queue_is_told():
    async with running(queue=1) as (engine, model):
        with model.held():
            tasks = [reading(engine, "first")]
            await begun(model)
            tasks.append(reading(engine, "second"))
            await asyncio.sleep(0.005)
            assert await code_of(engine.read("third", ALL, FAR)) == "queue_full"
        await asyncio.gather(*tasks)


async def test_an_unknown_head_is_named():
    async with running() as (engine, _):
        with pytest.raises(LookupError, match="colour"):
            await engine.read("hello", ["colour"], FAR)


async def test_close_gives_who_waits_an_error():
    async with running() as (engine, model):
        with model.held():
            first = reading(engine, "first")
            await begun(model)
            second = reading(engine, "second")
            await asyncio.sleep(0.005)
            closing = asyncio.ensure_future(engine.close())
            assert await code_of(second) == "unavailable"
        await closing
        await first


async def test_a_prompt_is_kept_by_nobody():
    async with running() as (engine, _):
        await engine.read("my secret", ALL, FAR)
        held = [*engine.memory._known.items(), engine._flights, engine.source._outstanding]

    assert "secret" not in repr(held)


# --- all at once


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "bb", "ccc", "x" * 90]),
            st.sets(st.sampled_from(sorted(HEADS)), min_size=1),
            st.sampled_from(["cancel", "expire", "keep", "keep"]),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=14,
    ),
    st.sampled_from([0, 3000, 2**20]),
)
def test_whoever_leaves_at_whatever_point_all_others_get_what_they_asked_for(wanted, max_bytes):
    async def one(engine, text, heads, fate, steps):
        end_s = time.monotonic() + steps * 0.0007 if fate == "expire" else FAR
        task = reading(engine, text, heads, end_s)
        for _ in range(steps):
            await asyncio.sleep(0.0003)
        if fate == "cancel":
            task.cancel()
        await asyncio.wait([task])
        return task

    async def run():
        async with running(max_bytes=max_bytes, batch_tokens=40) as (engine, model):
            tasks = await asyncio.gather(*(one(engine, *each) for each in wanted))
            for task, (text, heads, fate, _) in zip(tasks, wanted, strict=True):
                if task.cancelled():
                    assert fate == "cancel"
                elif task.exception() is not None:
                    assert (task.exception().code, fate) == ("deadline", "expire")
                else:
                    assert same(task.result(), model.expected(text), heads)
            await asyncio.sleep(0)

    asyncio.run(run())
