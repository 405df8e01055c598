"""One text at a time: a pass of a tier beside what does the same work otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

from bench.inference_texts import texts
from bench.measure import difference, mean, ratio
from bench.report import Row
from models.export.trunk import find_weights
from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import EMBEDDING, Model, Reading
from pipeline.inference.engine import Engine
from pipeline.inference.pooling import pool

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

THREE_HEADS = (EMBEDDING, "jailbreak", "complexity")
LENGTHS = {16: 20, 128: 10, 500: 5}
"""Tokens of a text, and how often a round reads one."""
PASSES_GOAL, ENCODE_GOAL = 2.5, 4.0
TINY_GOAL_US, OVERHEAD_GOAL_MS = 100.0, 0.3
_TINY_TOKENS, _TINY_REPEATS = 128, 200
_OVERHEAD_TOKENS, _OVERHEAD_REPEATS = 16, 100
_MAX_TOKENS = 512
_FAR_S = 60.0

Way = Callable[[str], object]


def open_encoder() -> SentenceTransformer:
    """Return the trunk as its own library runs it, on the CPU, reading as much as it can."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(find_weights()), device="cpu")
    encoder.max_seq_length = _MAX_TOKENS
    return encoder


def read(model: Model, text: str, heads: Collection[str]) -> Reading:
    """Return a reading as a batcher makes one, without the batcher."""
    [prepared] = model.prepare([text], heads)
    rows = model.forward(prepared.windows, heads)
    return pool([prepared], rows, [model.heads[name] for name in heads])[0]


def small_rows(small: Model, encoder: SentenceTransformer, rounds: int) -> list[Row]:
    """Compare one pass for three heads with a pass for each, and with the trunk's own library."""
    ways: dict[str, Way] = {
        "one_pass": lambda text: read(small, text, THREE_HEADS),
        "three_passes": lambda text: [read(small, text, [head]) for head in THREE_HEADS],
        "encode": lambda text: encoder.encode(text, show_progress_bar=False),
    }
    made = []
    for tokens, repeats in LENGTHS.items():
        found = in_turns(ways, texts(tokens), rounds, repeats)
        for name, times_s in found.items():
            taken = mean(times_s).map(lambda seconds: seconds * 1e3)
            made.append(Row(f"inference.{name}_{tokens}", taken.value, "ms", estimate=taken))
        for name, goal in (("three_passes", PASSES_GOAL), ("encode", ENCODE_GOAL)):
            over = ratio(found[name], found["one_pass"])
            key = f"inference.{name}_{tokens}.over_one_pass"
            made.append(Row(key, over.value, "ratio", goal, over, at_least=True))
    return made


def tiny_row(tiny: Model, rounds: int) -> Row:
    """Return what all heads of the tiny tier cost."""
    ways: dict[str, Way] = {"tiny": lambda text: read(tiny, text, tiny.heads)}
    # It has one thread, and its time is the processor's whoever else wants that.
    found = in_turns(ways, texts(_TINY_TOKENS), rounds, _TINY_REPEATS, time.thread_time)
    taken = mean(found["tiny"]).map(lambda seconds: seconds * 1e6)
    name = f"inference.tiny_all_heads_{_TINY_TOKENS}"
    return Row(name, taken.value, "µs", TINY_GOAL_US, taken)


async def overhead_row(small: Model, rounds: int) -> Row:
    """Return what a reading through engine, batcher and two threads takes beyond the pass."""
    engine = Engine(Batcher(lambda: small), max_bytes=1 << 25, timeout_s=_FAR_S)
    await engine.start()
    source = texts(_OVERHEAD_TOKENS)
    bare, through = [], []
    for _ in range(rounds):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(_OVERHEAD_REPEATS):
            text = next(source)
            times[0].append(_seconds(lambda one: read(small, one, THREE_HEADS), text))
            text, begin_s = next(source), time.perf_counter()
            await engine.read(text, THREE_HEADS, time.monotonic() + _FAR_S)
            times[1].append(time.perf_counter() - begin_s)
        bare.append(median(times[0]) * 1e3)
        through.append(median(times[1]) * 1e3)
    await engine.close()
    extra = difference(through, bare)
    return Row("inference.engine_overhead", extra.value, "ms", OVERHEAD_GOAL_MS, extra)


def in_turns(
    ways: Mapping[str, Way],
    source: Iterator[str],
    rounds: int,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return each way's median seconds by round; in a round the ways take turns.

    The first text of a turn is not counted: threads that the way before it left spinning and
    memory that it left cold are not this way's cost.

    Args:
        ways: what is done with a text, by name.
        source: of texts.
        rounds: how many medians of each.
        repeats: texts of a turn that count.
        clock: seconds.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        batch = list(islice(source, repeats))
        for name, way in ways.items():
            way(next(source))
            found[name].append(median([_seconds(way, text, clock) for text in batch]))
    return found


def latency_rows(small: Model, tiny: Model, encoder: SentenceTransformer, rounds: int) -> list[Row]:
    """Measure all of them."""
    rows = small_rows(small, encoder, rounds)
    return [*rows, tiny_row(tiny, rounds), asyncio.run(overhead_row(small, rounds))]


def _seconds(way: Way, text: str, clock: Callable[[], float] = time.perf_counter) -> float:
    begin_s = clock()
    way(text)
    return clock() - begin_s
