"""Signals that models compute, for plugins of a running host: the tiny tier as it ships."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from pipeline.api import InferenceError, Label, Refuse
from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from tests.support.chain import Driven, document_with, plugin, runtime_with

TINY = {"inference": {"tier": "tiny"}}


def saying(text):
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


async def embed(self, exchange):
    vector = await exchange.signals.embedding("hello")
    SEEN.append(float(vector @ vector))


SEEN = []


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


@pytest.fixture
async def started():
    """Start runtimes, and shut them down in the end."""
    runtimes = []

    async def start(runtime):
        await runtime.startup()
        runtimes.append(runtime)
        return runtime

    yield start
    for runtime in runtimes:
        await runtime.shutdown()
    gc.collect()


async def test_what_two_plugins_ask_of_one_text_is_computed_once(started):
    runtime = await started(
        runtime_with(
            TINY,
            first=plugin(on_request=embed, signals=("embedding",)),
            second=plugin(on_request=embed, signals=("embedding",)),
        )
    )
    driven = Driven(runtime)
    await driven.asked(saying("hello"))
    await driven.over()

    assert pytest.approx([1.0, 1.0], abs=1e-3) == SEEN
    [engine] = runtime.inference.engines.engines.values()
    assert engine.counts.computed == 1


async def test_all_that_a_chain_names_is_asked_for_together_before_its_first_plugin(started):
    asked = []

    async def look(self, exchange):
        asked.append(await exchange.signals.score("injection", "hello"))
        asked.append(await exchange.signals.label("domain", "hello"))

    runtime = await started(
        runtime_with(
            TINY,
            guard=plugin(on_request=look, signals=("injection",)),
            pick=plugin(on_request=embed, signals=("embedding", "domain")),
        )
    )
    driven = Driven(runtime)
    await driven.asked(saying("hello"))
    await driven.over()

    score, label = asked
    assert 0 <= score <= 1
    assert isinstance(label, Label)
    [engine] = runtime.inference.engines.engines.values()
    assert engine.counts.computed == 1


async def test_a_config_that_asks_nothing_has_no_models():
    runtime = runtime_with(plain=plugin(on_request=lambda self, exchange: None))

    assert runtime.inference is None


async def test_a_signal_that_nothing_computes_is_an_error_that_names_the_plugin(started):
    runtime = runtime_with(TINY, guard=plugin(signals=("embeding",)))

    with pytest.raises(ConfigError, match=r"plugins\.guard.*'embeding'.*embedding") as raised:
        await started(runtime)
    assert [problem.key for problem in raised.value.problems] == ["plugins.guard"]


async def test_a_signal_that_a_plugin_registers_needs_no_model(started):
    async def length(text):
        return float(len(text))

    def register_signals(self, register):
        register("length", length)

    async def look(self, exchange):
        SEEN.append(await exchange.signals.get("length", "hello"))

    made = plugin(register_signals=register_signals, on_request=look, signals=("length",))
    runtime = await started(runtime_with(one=made))
    await Driven(runtime).asked(saying("hello"))

    assert SEEN == [5.0]
    assert runtime.inference is None


async def test_the_language_of_a_text_needs_no_model(started):
    async def look(self, exchange):
        SEEN.append((await exchange.signals.label("language", "¿Dónde está la biblioteca?")).name)

    made = plugin(on_request=look, signals=("language",))
    runtime = await started(runtime_with(one=made))
    await Driven(runtime).asked(saying("hello"))

    assert SEEN == ["es"]
    assert runtime.inference is None


async def test_who_cannot_say_what_it_will_ask_for_is_noted_and_runs_all_the_same(started):
    def wanted_signals(self, call):
        raise KeyError

    made = plugin(on_request=embed, wanted_signals=wanted_signals, signals=("embedding",))
    driven = Driven(await started(runtime_with(TINY, one=made)))
    await driven.asked(saying("hello"))
    steps = (await driven.over()).steps

    assert ("wanted_signals", "error", "KeyError") in [
        (s.hook, s.decision, s.reason) for s in steps
    ]
    assert len(SEEN) == 1


async def test_a_reading_that_cannot_be_had_is_the_plugins_failure_by_its_policy(started):
    async def guard(self, exchange):
        try:
            await exchange.signals.embedding("x" * 1_000_001)
        except InferenceError as error:
            SEEN.append(error.code)
            raise

    driven = Driven(
        await started(runtime_with(TINY, guard=(plugin(on_request=guard), {"on_error": "closed"})))
    )
    verdict = await driven.asked(saying("hello"))

    assert SEEN == ["text_too_large"]
    assert verdict.status >= 500


async def test_what_no_model_read_is_in_the_outcome(started):
    async def look(self, exchange):
        await exchange.signals.embedding("word " * 20_000)

    driven = Driven(
        await started(
            runtime_with({"inference": {"tier": "tiny", "windows": 1}}, one=plugin(on_request=look))
        )
    )
    await driven.asked(saying("hello"))

    assert (await driven.over()).unread_tokens > 10_000


async def test_models_go_on_over_a_reload_until_the_last_generation_ends(started):
    document = document_with(TINY, one=plugin(on_request=embed, signals=("embedding",)))
    source = Source(None, document)
    first = await started(compile_config(check_config(source), source))
    second = compile_config(check_config(source), source, first)
    await second.startup()

    assert second.inference is first.inference
    await second.shutdown()
    await Driven(first).asked(saying("hello"))
    assert len(SEEN) == 1


async def test_an_exchange_that_ends_leaves_the_computation_of_others_alone(started):
    async def refuse(self, exchange):
        if exchange.call.model == "no":
            return Refuse(403, "no", "no")
        SEEN.append(await exchange.signals.score("jailbreak", exchange.call.segments[0].text))
        return None

    made = plugin(on_request=refuse, signals=("jailbreak",))
    runtime = await started(runtime_with(TINY, one=made))

    async def exchange(model):
        driven = Driven(runtime)
        await driven.asked({**saying("tell me a story"), "model": model})
        return (await driven.over()).ending

    endings = Counter(await asyncio.gather(*(exchange(m) for m in ("no", "yes") * 20)))

    assert endings["refused"] == 20
    assert len(SEEN) == 20
