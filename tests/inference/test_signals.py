import asyncio
import subprocess
import sys

import numpy as np
import pytest
from blockbuster import blockbuster_ctx

from pipeline.api.plugin import Plugin, PluginConfig, last_user_text
from pipeline.api.signals import Facts, Label, Signals
from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import InferenceError
from pipeline.inference.engine import Engine
from pipeline.inference.engines import Engines
from pipeline.testing.values import make_call
from tests.support.letters import ALL, POISON, Letters


@pytest.fixture(autouse=True)
def never_blocks():
    with blockbuster_ctx(["pipeline"]):
        yield


@pytest.fixture
def model():
    return Letters(limit=2)


@pytest.fixture
async def reader(model):
    engine = Engine(Batcher(lambda: model), max_bytes=0, timeout_s=30)
    engines = Engines({"tier": engine})
    await engines.start()
    yield engines
    await engines.close()


def counts(reader):
    return reader.engines["tier"].counts


async def length(text):
    return float(len(text))


# --- kinds


async def test_an_embedding_a_score_and_a_label_are_read(reader, model):
    signals = Signals({}, reader)
    expected = model.expected("hello")

    assert np.allclose(await signals.embedding("hello"), expected.embedding)
    assert await signals.score("vowels", "hello") == expected.scores["vowels"]
    assert await signals.label("half", "hello") == Label(
        "first", pytest.approx(expected.labels["half"][0])
    )
    assert await signals.get("vowels", "hello") == expected.scores["vowels"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.score("embedding", "a"), "'embedding' is no score: ndarray"),
        (lambda s: s.score("half", "a"), "'half' is no score: Label"),
        (lambda s: s.label("vowels", "a"), "'vowels' is no label: float"),
        (lambda s: s.embedding("a", name="vowels"), "'vowels' is no embedding: float"),
        (lambda s: s.embedding("a", name="half"), "'half' is no embedding: Label"),
    ],
)
async def test_a_signal_of_another_kind_is_an_error(reader, ask, message):
    with pytest.raises(TypeError, match=message):
        await ask(Signals({}, reader))


async def test_a_registered_function_prevails_over_a_model(reader):
    signals = Signals({"vowels": length}, reader)

    assert await signals.score("vowels", "hello") == 5.0
    assert counts(reader).texts == 0


async def test_a_registered_function_may_give_any_kind():
    async def numpy_number(text):
        return np.float32(0.5)

    async def vector(text):
        return np.ones(3, np.float32)

    async def label(text):
        return Label("code", 0.9)

    signals = Signals({"n": numpy_number, "embedding": vector, "domain": label})

    assert await signals.score("n", "a") == 0.5
    assert type(await signals.score("n", "a")) is float
    assert (await signals.embedding("a")).tolist() == [1, 1, 1]
    assert await signals.label("domain", "a") == Label("code", 0.9)


async def test_a_name_that_nothing_computes_is_told_with_those_there_are(reader):
    with pytest.raises(
        LookupError, match=r"signal 'colour' and .* there are embedding, half, len, risk, vowels$"
    ):
        await Signals({"len": length}, reader).score("colour", "a")
    with pytest.raises(LookupError, match=r"signal 'colour' and .* there are none$"):
        await Signals({}).get("colour", "a")


# --- once


async def test_a_signal_is_computed_once_for_all_who_ask(reader):
    signals = Signals({}, reader)

    found = await asyncio.gather(*(signals.score("vowels", "hello") for _ in range(4)))
    await signals.score("vowels", "hello")

    assert len(set(found)) == 1
    assert (counts(reader).texts, counts(reader).computed) == (1, 1)


async def test_what_is_begun_in_advance_is_one_entry_and_asked_for_no_more(reader, model):
    signals = Signals({"len": length}, reader)

    signals.prefetch([("hello", ["embedding", "vowels"]), ("hello", ["vowels", "half", "len"])])
    signals.prefetch([("hello", ["vowels"]), ("other", ["risk"])])
    await signals.embedding("hello")
    await signals.score("vowels", "hello")
    await signals.label("half", "hello")
    await signals.score("risk", "other")

    assert await signals.score("len", "hello") == 5
    assert counts(reader).texts == 2
    assert sorted(text for batch in model.prepared for text in batch) == ["hello", "other"]


async def test_a_signal_not_begun_in_advance_is_computed_alone(reader):
    signals = Signals({}, reader)

    signals.prefetch([("hello", ["embedding"])])
    await signals.score("vowels", "hello")
    await signals.embedding("hello")

    assert counts(reader).texts == 2


async def test_what_nothing_computes_is_left_to_who_asks_for_it(reader):
    signals = Signals({}, reader)

    signals.prefetch([("hello", ["colour", "vowels"])])

    assert await signals.score("vowels", "hello")
    with pytest.raises(LookupError):
        await signals.get("colour", "hello")


async def test_exchanges_that_ask_about_one_text_share_the_pass(reader, model):
    with model.held():
        asked = [asyncio.ensure_future(Signals({}, reader).score("risk", "hi")) for _ in range(3)]
        await asyncio.to_thread(model.began.acquire, timeout=10)
        await asyncio.sleep(0)
    await asyncio.gather(*asked)

    assert (counts(reader).texts, counts(reader).computed) == (3, 1)


# --- how much was read


async def test_unread_tokens_are_counted_once_for_each_text(reader):
    signals = Signals({}, reader)
    assert signals.unread == 0

    await signals.score("vowels", "x" * 100)
    await signals.embedding("x" * 100)
    assert signals.unread == 40
    await signals.score("vowels", "y" * 70)
    await signals.score("vowels", "short")

    assert signals.unread == 50


# --- who leaves, what fails


async def test_a_caller_who_is_cancelled_leaves_the_others_theirs(reader, model):
    signals = Signals({}, reader)
    with model.held():
        gone = asyncio.ensure_future(signals.score("vowels", "hello"))
        kept = asyncio.ensure_future(signals.score("vowels", "hello"))
        await asyncio.to_thread(model.began.acquire, timeout=10)
        gone.cancel()
        await asyncio.wait([gone])

    assert await kept == model.expected("hello").scores["vowels"]


async def test_the_end_of_an_exchange_cancels_what_was_begun(reader, model):
    signals = Signals({}, reader)
    with model.held():
        first = asyncio.ensure_future(Signals({}, reader).score("vowels", "first"))
        await asyncio.to_thread(model.began.acquire, timeout=10)
        signals.prefetch([("hello", sorted(ALL))])
        await asyncio.sleep(0.005)
        signals.cancel()
        await asyncio.sleep(0.005)
        assert reader.engines["tier"].source.waiting == 0
    await first

    assert counts(reader).cancelled == 1


async def test_a_failure_is_told_to_all_who_ask_and_tried_once(reader):
    signals = Signals({}, reader)

    for _ in range(2):
        with pytest.raises(InferenceError) as caught:
            await signals.score("vowels", POISON)
        assert caught.value.code == "model_failed"

    assert counts(reader).texts == 1


async def test_a_failure_of_what_nobody_asks_for_is_silent(reader):
    unhandled = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))

    async def fails(text):
        raise ValueError

    signals = Signals({"bad": fails}, reader)
    signals.prefetch([(POISON, ["vowels", "bad"])])
    tasks = set(signals._tasks.values())
    await asyncio.wait(tasks)
    del tasks, signals
    await asyncio.sleep(0)

    assert unhandled == []


async def test_a_model_is_waited_for_until_the_deadline_that_the_host_sets(reader):
    loop = asyncio.get_running_loop()
    signals = Signals({}, reader, deadline_s=loop.time() - 1)

    with pytest.raises(InferenceError) as caught:
        await signals.score("vowels", "late")
    signals.deadline_s = loop.time() + 30

    assert caught.value.code == "deadline"
    assert await signals.score("vowels", "in time")


# --- what a plugin declares


class Wants(Plugin[PluginConfig]):
    signals = ("embedding", "risk")


def wanted(call, plugin=Wants):
    return list(plugin(PluginConfig(), name="p").wanted_signals(call))


def test_a_plugin_wants_its_signals_of_what_the_user_said_last():
    call = make_call(["first", "answered", "last"])

    assert wanted(call) == [("last", ("embedding", "risk"))]


def test_a_plugin_without_signals_wants_nothing():
    assert wanted(make_call("Hello."), Plugin) == []


def said(*messages):
    return make_call(messages=[{"role": role, "content": content} for role, content in messages])


def parts(*texts):
    image = {"type": "image_url", "image_url": {"url": "https://images.test/a.png"}}
    return [image, *({"type": "text", "text": text} for text in texts)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (said(("user", "one")), "one"),
        (said(("user", "one"), ("assistant", "two")), "one"),
        (said(("user", "one"), ("assistant", "two"), ("user", "three")), "three"),
        (said(("user", "one"), ("user", "two"), ("tool", "found")), "one\ntwo"),
        (said(("assistant", "no"), ("user", parts("one", "", "two"))), "one\ntwo"),
        (said(("system", "rules")), ""),
        (said(("user", parts())), ""),
        (make_call("a prompt", dialect="openai.completions"), "a prompt"),
        (make_call("hello", dialect="anthropic.messages"), "hello"),
    ],
)
def test_what_the_user_said_last_is_the_last_run_of_user_messages(call, text):
    assert last_user_text(call) == text
    assert wanted(call) == ([(text, ("embedding", "risk"))] if text else [])


def test_an_instance_may_want_signals_of_its_own():
    class Chooses(Plugin[PluginConfig]):
        def __init__(self, config, *, name):
            super().__init__(config, name=name)
            self.signals = ("vowels",)

    assert wanted(make_call("Hello."), Chooses) == [("Hello.", ("vowels",))]


# --- layers


def test_the_api_needs_no_numpy():
    code = (
        "import sys, pipeline.api; "
        "assert not {'numpy', 'asyncio', 'pipeline.inference'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_facts_of_nothing_are_empty():
    assert (dict(Facts().values), Facts().tokens, Facts().unread) == ({}, 0, 0)
