import asyncio
import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from pipeline.api.signals import Label, Reader
from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import Head, InferenceError
from pipeline.inference.engine import Engine
from pipeline.inference.engines import Engines
from tests.support.letters import HEADS, POISON, Letters

FAR = float("inf")
_: type[Reader] = Engines


class Own(Letters):
    """A model of one's own: another `risk`, and `haste`, which nobody else computes."""

    identity = "own@1"
    heads: ClassVar = {n: dataclasses.replace(HEADS["vowels"], name=n) for n in ("risk", "haste")}

    def forward(self, windows, heads):
        rows = super().forward(windows, ["vowels"])["vowels"]
        return dict.fromkeys(heads, rows)

    def prepare(self, texts, heads):
        return super().prepare(texts, ["vowels"])


def engine_of(make):
    return Engine(Batcher(make), max_bytes=2**20, timeout_s=30)


async def started(**makes):
    engines = Engines({name: engine_of(make) for name, make in makes.items()})
    await engines.start()
    return engines


async def test_each_kind_of_head_has_its_kind_of_value():
    model = Letters()
    engines = await started(tier=lambda: model)

    facts = await engines.read("hello", ["embedding", "vowels", "half"], FAR)
    await engines.close()

    expected = model.expected("hello")
    assert np.allclose(facts.values["embedding"], expected.embedding)
    assert facts.values["vowels"] == expected.scores["vowels"]
    assert isinstance(facts.values["vowels"], float)
    assert facts.values["half"] == Label("first", pytest.approx(expected.labels["half"].max()))
    assert (facts.tokens, facts.unread) == (5, 0)


async def test_a_label_too_unsure_is_none():
    engines = await started(tier=Letters)

    facts = await engines.read("aaaxxxxx", ["half"], FAR)  # the special ones count as first
    await engines.close()

    assert facts.values["half"] == Label(None, pytest.approx(0.5))


async def test_a_later_model_takes_over_a_signal():
    engines = await started(tier=Letters, own=Own)

    parted = {tuple(group) for group in engines.passes(["vowels", "risk", "half", "haste"])}
    names, heads = set(engines.names), engines.heads
    facts = await engines.read("hello", ["risk"], FAR)
    await engines.close()

    assert parted == {("vowels", "half"), ("risk", "haste")}
    assert names == {*HEADS, "haste"}
    assert heads["risk"] == Own.heads["risk"]
    assert facts.values["risk"] == Letters().expected("hello").scores["vowels"]


async def test_the_failure_of_one_model_leaves_the_other_alone():
    engines = await started(tier=Letters, own=Own)

    one, other = await asyncio.gather(
        engines.read(POISON, ["haste"], FAR),
        engines.read("hello", ["vowels"], FAR),
        return_exceptions=True,
    )
    await engines.close()

    assert one.code == "model_failed"
    assert "vowels" in other.values


async def test_if_one_cannot_start_none_stays_started():
    model = Letters()

    def fails():
        raise OSError("no such folder")

    engines = Engines({"tier": engine_of(lambda: model), "own": engine_of(fails)})
    with pytest.raises(InferenceError, match="no such folder"):
        await engines.start()

    assert model.is_closed or not model.threads


async def test_a_start_that_is_cancelled_leaves_nothing_started():
    model = Letters()
    engines = Engines({"tier": engine_of(lambda: model)})
    with model.speechless():
        starting = asyncio.ensure_future(engines.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])

    assert starting.cancelled()
    assert model.is_closed or not model.threads


async def test_an_embedder_of_ones_own_has_a_signal_of_its_own_name():
    class Embedder(Letters):
        heads: ClassVar = {"odd": Head("odd", "embedding")}

        def forward(self, windows, heads):
            return {"odd": super().forward(windows, ["embedding"])["embedding"]}

        def prepare(self, texts, heads):
            return super().prepare(texts, ["embedding"])

    engines = await started(tier=Letters, own=Embedder)
    facts = await engines.read("hello", ["odd"], FAR)
    await engines.close()

    assert facts.values["odd"].shape == (4,)
