import asyncio
import gc
import threading
import time
from contextlib import asynccontextmanager

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, Problem
from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import InferenceError, Source
from tests.support.letters import ALL, NOT_A_NUMBER, POISON, UNTOKENISABLE, Letters, same

FAR = float("inf")
_: type[Source] = Batcher


@pytest.fixture(autouse=True)
def never_blocks():
    with blockbuster_ctx(["pipeline"]):
        yield


@asynccontextmanager
async def batching(model=None, **options):
    """Read with a model whose passes take what is there, however long a test holds one up."""
    model = model or Letters()
    batcher = Batcher(lambda: model, **({"pass_s": FAR, "cost_s": 0.0} | options))
    await batcher.start()
    try:
        yield batcher, model
    finally:
        await batcher.close()


async def begun(model, passes=1):
    """Wait until the model computes."""
    for _ in range(passes):
        await asyncio.to_thread(model.began.acquire, timeout=10)


async def until(condition):
    """Wait for what threads do."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 threads set no event of a loop
            await asyncio.sleep(0.001)


def reading(batcher, text, heads=ALL, deadline_s=FAR):
    return asyncio.ensure_future(batcher.read(text, heads, deadline_s))


async def waiting(batcher, texts, **how):
    """Return readings that wait behind a pass which is held up."""
    prepared = batcher._model.prepared
    before = sum(map(len, prepared))
    tasks = [reading(batcher, text, **how) for text in texts]
    await until(lambda: sum(map(len, prepared)) == before + len(texts))
    return tasks


async def code_of(task):
    with pytest.raises(InferenceError) as caught:
        await task
    return caught.value.code


# --- readings


async def test_a_text_is_read():
    async with batching() as (batcher, model):
        assert same(await batcher.read("hello there", ALL, FAR), model.expected("hello there"))


async def test_only_what_was_asked_for_is_read():
    async with batching() as (batcher, _):
        found = await batcher.read("hello", ["vowels"], FAR)

    assert (found.embedding, set(found.scores), dict(found.labels)) == (None, {"vowels"}, {})


texts = st.text(alphabet="abcdefxyz ", max_size=150)
asked = st.sets(st.sampled_from(sorted(ALL)), min_size=1)


@given(
    st.lists(st.tuples(texts, asked), min_size=1, max_size=12),
    st.integers(8, 400),
    st.sampled_from([0.0, 0.0005, FAR]),
    st.sampled_from([0.0, 0.0005, FAR]),
)
def test_many_texts_at_once_read_as_each_alone(wanted, batch_tokens, pass_s, cost_s):
    async def run():
        how = {"batch_tokens": batch_tokens, "pass_s": pass_s, "cost_s": cost_s}
        async with batching(**how) as (batcher, model):
            found = await asyncio.gather(*(batcher.read(t, h, FAR) for t, h in wanted))
            for (text, heads), one in zip(wanted, found, strict=True):
                assert same(one, model.expected(text, heads), heads)

    asyncio.run(run())


async def test_an_unknown_head_is_named():
    async with batching() as (batcher, _):
        with pytest.raises(LookupError, match=r"no head.*colour"):
            await batcher.read("hello", ["colour"], FAR)


async def test_what_was_not_read_of_a_long_text_is_counted():
    async with batching(Letters(max_content=10, overlap=2, limit=2)) as (batcher, _):
        found = await batcher.read("x" * 100, ["vowels"], FAR)

    assert (found.tokens, found.unread) == (100, 80)


async def test_a_text_too_large_to_tokenise_is_refused():
    async with batching(max_characters=100) as (batcher, _):
        with pytest.raises(InferenceError, match="101 characters; at most 100") as caught:
            await batcher.read("x" * 101, ALL, FAR)

    assert caught.value.code == "text_too_large"


# --- what goes together


async def test_what_waits_when_the_device_frees_goes_next_in_one_pass():
    async with batching() as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            rest = await waiting(batcher, ["aaaaa", "bbbbb", "ccccc"], heads=["vowels"])
        await asyncio.gather(first, *rest)

    assert model.batches == [[7], [7, 7, 7]]


async def test_texts_that_wait_together_are_tokenised_together():
    async with batching() as (batcher, model):
        with model.speechless():
            first = reading(batcher, "first", ["vowels"])
            await until(lambda: ("prepare", "dragoman-prepare") in model.threads)
            rest = [reading(batcher, text, ["vowels"]) for text in "abc"]
            await asyncio.sleep(0)
        await asyncio.gather(first, *rest)

    assert model.prepared == [["first"], ["a", "b", "c"]]


async def test_the_earliest_deadline_is_tokenised_and_computed_first():
    now_s = time.monotonic()
    async with batching(batch_tokens=7) as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            order = []
            rest = []
            for name, seconds in (("cccccc", 30), ("aaaa", 10), ("bbbbb", 20)):
                task = reading(batcher, name, ["vowels"], now_s + seconds)
                task.add_done_callback(lambda _, name=name: order.append(name))
                rest.append(task)
            await until(lambda: sum(len(batch) for batch in model.prepared) == 4)
        await asyncio.gather(first, *rest)

    assert model.batches[1:] == [[6], [7], [8]]
    assert order == ["aaaa", "bbbbb", "cccccc"]


async def test_a_thread_of_its_own_owns_the_device_and_another_tokenises():
    async with batching() as (batcher, model):
        await batcher.read("hello", ALL, FAR)

    assert model.threads == {
        ("prepare", "dragoman-prepare"),
        ("warm", "dragoman-forward"),
        ("forward", "dragoman-forward"),
        ("close", "dragoman-forward"),
    }


async def test_a_slow_device_computes_less_at_once():
    async with batching(pass_s=0.05) as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            rest = await waiting(batcher, ["aaaaa"] * 10, heads=["vowels"])
            await asyncio.sleep(0.04)
        await asyncio.gather(first, *rest)

    # 7 tokens in 40 ms or more: 8 at most in 50 ms.
    assert model.batches[:2] == [[7], [7]]


async def test_every_pass_is_told_with_its_padding():
    seen = []
    async with batching(cost_s=FAR, watch=seen.append) as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            rest = await waiting(batcher, ["a", "abc"], heads=["vowels"])
        await asyncio.gather(first, *rest)

    told = [(p.windows, p.tokens, p.padded_tokens, p.forward_s >= 0) for p in seen]
    assert told == [(1, 7, 7, True), (2, 8, 10, True)]


# --- who leaves, who is refused


async def test_one_text_more_than_the_queue_holds_is_refused_at_once():
    async with batching(queue=2) as (batcher, model):
        with model.held():
            tasks = [reading(batcher, "first")]
            await begun(model)
            tasks += await waiting(batcher, ["a", "b"])
            assert batcher.waiting == 2
            with pytest.raises(InferenceError, match=r"2 texts wait.*`inference.queue`") as caught:
                await batcher.read("c", ALL, FAR)
        await asyncio.gather(*tasks)

    assert caught.value.code == "queue_full"
    assert batcher.waiting == 0


async def test_a_cancelled_text_leaves_the_queue_and_makes_room():
    async with batching(queue=1) as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            [gone] = await waiting(batcher, ["gone"], heads=["vowels"])
            gone.cancel()
            await asyncio.wait([gone])
            [after] = await waiting(batcher, ["after"], heads=["vowels"])
        await asyncio.gather(first, after)

    assert model.batches == [[7], [7]]


async def test_a_text_cancelled_before_it_is_tokenised_never_is():
    async with batching() as (batcher, model):
        with model.speechless():
            first = reading(batcher, "first")
            await until(lambda: ("prepare", "dragoman-prepare") in model.threads)
            gone, kept = reading(batcher, "gone"), reading(batcher, "kept")
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
        await asyncio.gather(first, kept)

    assert model.prepared == [["first"], ["kept"]]


async def test_a_text_cancelled_in_its_pass_leaves_the_others_theirs():
    async with batching() as (batcher, model):
        with model.held():
            first = reading(batcher, "first")
            await begun(model)
            gone, kept = await waiting(batcher, ["gone", "kept"])
        with model.held():
            await begun(model)
            gone.cancel()
            await asyncio.wait([gone])
        assert same(await kept, model.expected("kept"))
        await first

    assert gone.cancelled()


async def test_a_text_whose_time_is_up_while_it_waits_gets_a_deadline_error():
    async with batching() as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            late = reading(batcher, "late", ["vowels"], time.monotonic() + 0.01)
            assert await code_of(late) == "deadline"
            assert not first.done()
        await first
        await batcher.read("next", ["vowels"], FAR)

    assert model.batches == [[7], [6]]


async def test_a_text_whose_time_is_up_in_its_pass_gets_a_deadline_error():
    async with batching() as (batcher, model):
        with model.held():
            late = reading(batcher, "late", ALL, time.monotonic() + 0.02)
            await begun(model)
            assert await code_of(late) == "deadline"


async def test_a_text_that_comes_too_late_is_not_taken_in():
    async with batching() as (batcher, model):
        assert await code_of(batcher.read("late", ALL, time.monotonic() - 1)) == "deadline"

    assert model.prepared == []


@given(
    st.lists(
        st.tuples(texts, st.sampled_from(["cancel", "expire", "keep"]), st.integers(0, 6)),
        min_size=1,
        max_size=10,
    )
)
def test_whoever_leaves_at_whatever_point_the_rest_is_read(wanted):
    async def leave(task, fate, steps):
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        if fate == "cancel":
            task.cancel()

    async def run():
        async with batching(batch_tokens=40) as (batcher, model):
            tasks = []
            for text, fate, steps in wanted:
                end_s = time.monotonic() + 0.0005 * steps if fate == "expire" else FAR
                tasks.append(reading(batcher, text, ALL, end_s))
            leavers = [
                leave(task, fate, steps)
                for task, (_, fate, steps) in zip(tasks, wanted, strict=True)
            ]
            await asyncio.gather(*leavers)
            await asyncio.wait(tasks)
            for task, (text, fate, _) in zip(tasks, wanted, strict=True):
                if task.cancelled():
                    assert fate == "cancel"
                elif task.exception() is not None:
                    assert (task.exception().code, fate) == ("deadline", "expire")
                else:
                    assert same(task.result(), model.expected(text))
            assert batcher.waiting == 0

    asyncio.run(run())


# --- faults


async def test_a_pass_that_fails_fails_its_texts_alone():
    async with batching(batch_tokens=16) as (batcher, model):
        with model.held():
            first = reading(batcher, "first", ["vowels"])
            await begun(model)
            bad, beside, after = await waiting(
                batcher, [f"bad{POISON}", "bcde", "efgh"], heads=["vowels"]
            )
        assert await code_of(bad) == await code_of(beside) == "model_failed"
        assert same(await after, model.expected("efgh"), ["vowels"])
        await first


async def test_a_failed_pass_names_its_cause_and_nothing_of_the_text():
    async with batching() as (batcher, _):
        with pytest.raises(InferenceError, match="the model failed: RuntimeError") as caught:
            await batcher.read(f"secret{POISON}", ALL, FAR)

    assert "out of memory" in str(caught.value.__cause__)
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_the_windows_that_wait_of_a_text_whose_pass_failed_are_not_computed():
    text = POISON + "x" * 100
    async with batching(batch_tokens=30) as (batcher, model):
        assert await code_of(reading(batcher, text, ["vowels"])) == "model_failed"
        await batcher.read("next", ["vowels"], FAR)

    assert [len(batch) for batch in model.batches] == [1, 1]
    assert model.batches[-1] == [6]


async def test_a_text_that_cannot_be_tokenised_fails_alone_and_is_not_told():
    async with batching() as (batcher, model):
        with model.speechless():
            first = reading(batcher, "first")
            await until(lambda: ("prepare", "dragoman-prepare") in model.threads)
            bad, good = reading(batcher, f"secret{UNTOKENISABLE}"), reading(batcher, "good")
            await asyncio.sleep(0)
        assert same(await good, model.expected("good"))
        with pytest.raises(InferenceError, match=r"tokenised: ValueError \(letters.py:") as caught:
            await bad
        await first

    error = caught.value
    assert error.code == "model_failed"
    assert "secret" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


async def test_a_score_that_is_not_a_number_fails_its_text_alone():
    async with batching() as (batcher, model):
        with model.held():
            first = reading(batcher, "first")
            await begun(model)
            bad, good = await waiting(batcher, [f"b{NOT_A_NUMBER}d", "god"])
        assert await code_of(bad) == "model_failed"
        assert same(await good, model.expected("god"))
        await first


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, MemoryError])
async def test_whatever_a_model_raises_the_next_text_is_read(kind):
    class Raising(Letters):
        def forward(self, windows, heads):
            if len(self.batches) == 0:
                self.batches.append([])
                raise kind
            return super().forward(windows, heads)

    async with batching(Raising()) as (batcher, model):
        assert await code_of(batcher.read("first", ALL, FAR)) == "model_failed"
        assert same(await batcher.read("next", ALL, FAR), model.expected("next"))


class Short(Letters):
    def forward(self, windows, heads):
        return {name: rows[:-1] for name, rows in super().forward(windows, heads).items()}


class Silent(Letters):
    def forward(self, windows, heads):
        return {}


class Empty(Letters):
    def prepare(self, texts, heads):
        return []


@pytest.mark.parametrize("model", [Short, Silent, Empty])
async def test_a_model_that_breaks_its_contract_is_a_model_that_fails(model):
    async with batching(model()) as (batcher, _):
        assert await code_of(batcher.read("first", ALL, FAR)) == "model_failed"


# --- cost


async def test_reading_one_text_costs_no_polling_and_no_fixed_wait():
    async with batching() as (batcher, _):
        times = []
        for _ in range(50):
            began_s = time.perf_counter()
            await batcher.read("hello", ALL, FAR)
            times.append(time.perf_counter() - began_s)

    # Measured: 0.15 ms on an idle machine; this one may be busy.
    assert sorted(times)[5] < 0.005


# --- begin and end


async def test_a_model_is_loaded_and_warm_once_start_returns():
    async with batching() as (batcher, model):
        assert ("warm", "dragoman-forward") in model.threads
        assert (batcher.identity, batcher.heads) == (model.identity, model.heads)


async def test_a_model_that_cannot_be_loaded_is_told_at_start():
    def make():
        raise OSError("no such folder")

    with pytest.raises(InferenceError, match="loaded: OSError: no such folder") as caught:
        await Batcher(make).start()

    assert caught.value.code == "unavailable"


async def test_a_wrong_configuration_found_by_loading_is_told_as_it_is():
    def make():
        raise ConfigError(Problem("inference.device", "there is no GPU"))

    with pytest.raises(ConfigError, match="there is no GPU"):
        await Batcher(make).start()


async def test_a_model_that_fails_to_warm_up_is_told_and_closed():
    class Cold(Letters):
        def warm(self):
            raise RuntimeError("no memory")

    model = Cold()
    batcher = Batcher(lambda: model)
    with pytest.raises(InferenceError, match="RuntimeError: no memory"):
        await batcher.start()
    await batcher.close()

    assert model.is_closed


async def test_before_start_and_after_close_nothing_is_read():
    batcher = Batcher(Letters)
    assert await code_of(batcher.read("a", ALL, FAR)) == "unavailable"
    await batcher.start()
    await batcher.close()
    assert await code_of(batcher.read("a", ALL, FAR)) == "unavailable"


async def test_close_refuses_what_waits_and_lets_the_pass_end():
    model = Letters()
    batcher = Batcher(lambda: model)
    await batcher.start()
    with model.held():
        first = reading(batcher, "first")
        await begun(model)
        [second] = await waiting(batcher, ["second"])
        closing = asyncio.ensure_future(batcher.close())
        assert await code_of(second) == "unavailable"
        assert not closing.done()
    assert same(await first, model.expected("first"))
    await closing

    assert model.is_closed
    assert not [t for t in threading.enumerate() if t.name.startswith("dragoman-")]


async def test_close_refuses_a_text_of_which_windows_wait():
    model = Letters()
    batcher = Batcher(lambda: model, batch_tokens=10)
    await batcher.start()
    with model.held():
        task = reading(batcher, "x" * 100)
        await begun(model)
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0)
    await closing

    assert await code_of(task) == "unavailable"


async def test_close_while_texts_are_tokenised_refuses_them():
    model = Letters()
    batcher = Batcher(lambda: model)
    await batcher.start()
    with model.speechless():
        task = reading(batcher, "first")
        await until(lambda: ("prepare", "dragoman-prepare") in model.threads)
        closing = asyncio.ensure_future(batcher.close())
        assert await code_of(task) == "unavailable"
    await closing


async def test_close_before_start_and_twice_is_nothing():
    batcher = Batcher(Letters)
    await batcher.close()
    async with batching() as (batcher, _):
        await batcher.close()


async def test_a_start_that_is_cancelled_gives_the_model_back():
    model = Letters()
    may_load = threading.Event()

    def make():
        may_load.wait(10)
        return model

    batcher = Batcher(make)
    starting = asyncio.ensure_future(batcher.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    may_load.set()
    await batcher.close()

    assert model.is_closed


def test_a_loop_that_ends_first_leaves_no_error_behind():
    model = Letters()

    async def run():
        batcher = Batcher(lambda: model)
        await batcher.start()
        task = reading(batcher, "first")
        await begun(model)
        task.cancel()
        return batcher

    with model.held():
        batcher = asyncio.run(run())
    batcher._computer.stop()
    for thread in batcher._threads[:1]:
        thread.join(10)
    batcher._tokeniser.stop()
    gc.collect()

    assert model.is_closed
