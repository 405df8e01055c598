"""What the benchmark of inference measures, with a small model in the place of real ones."""

from __future__ import annotations

from itertools import islice

import pytest

from bench import inference_load, inference_start
from bench.inference_latency import (
    LENGTHS,
    THREE_HEADS,
    in_turns,
    overhead_row,
    read,
    small_rows,
    tiny_row,
)
from bench.inference_load import GPU_CONCURRENT, gpu_rows, throughput_rows
from bench.inference_texts import texts
from pipeline.inference.manifest import ModelFolder
from pipeline.inference.static_model import StaticModel


@pytest.fixture(scope="module")
def model():
    return StaticModel(ModelFolder.of_tier("tiny"))


class Encoder:
    """Notes what it is asked to encode."""

    def __init__(self):
        self.texts = []

    def encode(self, text, **_):
        self.texts.append(text)


def by_name(rows):
    return {row.name: row for row in rows}


@pytest.mark.parametrize("tokens", [1, 2, 12, 13, 16, 128, 500])
def test_texts_have_as_many_tokens_as_they_say_and_differ(model, tokens):
    found = list(islice(texts(tokens), 5))

    assert {one.tokens for one in model.prepare(found, ["embedding"])} == {tokens}
    assert len(set(found)) == 5 or tokens < 5


def test_ways_take_turns_of_a_round_and_the_first_text_of_a_turn_is_not_counted():
    order = []
    ways = {name: lambda text, name=name: order.append((name, text)) for name in ("a", "b")}

    found = in_turns(ways, iter(range(100)), rounds=2, repeats=3)

    assert [name for name, _ in order] == (["a"] * 4 + ["b"] * 4) * 2
    counted = [[text for name, text in order if name == way][1:4] for way in ("a", "b")]
    assert counted[0] == counted[1]
    assert all(len(times) == 2 for times in found.values())


def test_one_pass_is_compared_with_three_and_with_the_trunks_own_library(model):
    encoder = Encoder()

    rows = by_name(small_rows(model, encoder, 2))

    for tokens in LENGTHS:
        assert rows[f"inference.three_passes_{tokens}.over_one_pass"].target == 2.5
        assert rows[f"inference.encode_{tokens}.over_one_pass"].target == 4.0
    assert encoder.texts


def test_a_reading_of_the_benchmark_has_all_that_was_asked_for(model):
    reading = read(model, "how long do I cook rice?", THREE_HEADS)

    assert reading.embedding is not None
    assert set(reading.scores) == {"jailbreak", "complexity"}


async def test_overhead_and_all_heads_have_their_goals(model):
    assert (await overhead_row(model, 2)).target == 0.3
    assert tiny_row(model, 2).target == 100.0


async def test_throughput_is_compared_at_the_same_concurrency(model):
    rows = by_name(await throughput_rows(model, Encoder(), 1, 0.02))

    for tokens in inference_load.LENGTHS:
        assert rows[f"inference.engine_32_of_{tokens}.per_s"].value > 0
        assert rows[f"inference.engine_32_of_{tokens}.over_encode"].at_least


async def test_a_gpus_rows_have_goals_at_32_and_256_at_once(model):
    rows = by_name(await gpu_rows(model, 1, 0.02))

    assert len(rows) == 3 * len(GPU_CONCURRENT)
    goals = {name: row.goal for name, row in rows.items() if row.goal}
    assert goals == {
        "inference.gpu_32_of_512.per_s": "≥ 1,500",
        "inference.gpu_32_of_512.p99_ms": "≤ 50",
        "inference.gpu_256_of_512.per_s": "≥ 5,000",
    }


def test_a_process_of_its_own_is_started_and_weighed():
    start, memory = inference_start.start_rows(1)

    assert start.value > 0
    assert memory.value > 50
