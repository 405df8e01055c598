"""Many texts at once: what an engine reads per second, and how long each of them takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.inference_latency import THREE_HEADS
from bench.inference_texts import texts
from bench.measure import mean, percentile, ratio
from bench.report import Row
from pipeline.inference.batcher import Batcher
from pipeline.inference.contract import Model
from pipeline.inference.engine import Engine

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CONCURRENT = 32
THROUGHPUT_GOAL = 3.0
LENGTHS = (128, 500)
GPU_TOKENS = 512
GPU_CONCURRENT = (1, 8, 32, 256)
_GPU_GOALS = {(32, "per_s"): 1_500.0, (32, "p99_ms"): 50.0, (256, "per_s"): 5_000.0}
_UNITS = {"per_s": "requests/s", "p50_ms": "ms", "p99_ms": "ms"}
_TIMEOUT_S = 60.0


async def load(
    engine: Engine, source: Iterator[str], concurrent: int, seconds: float
) -> dict[str, float]:
    """Keep so many requests in flight for a while.

    Args:
        engine: started.
        source: of texts.
        concurrent: requests in flight.
        seconds: after which no new one is made.

    Returns:
        `per_s`, `p50_ms` and `p99_ms` of the requests.
    """
    times_s: list[float] = []
    begin_s = time.perf_counter()

    async def client() -> None:
        ended_s = begin_s
        while ended_s - begin_s < seconds:
            sent_s = time.perf_counter()
            await engine.read(next(source), THREE_HEADS, time.monotonic() + _TIMEOUT_S)
            ended_s = time.perf_counter()
            times_s.append(ended_s - sent_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrent):
            group.create_task(client())
    return {
        "per_s": len(times_s) / (time.perf_counter() - begin_s),
        "p50_ms": percentile(times_s, 0.5) * 1e3,
        "p99_ms": percentile(times_s, 0.99) * 1e3,
    }


async def throughput_rows(
    small: Model, encoder: SentenceTransformer, rounds: int, seconds: float
) -> list[Row]:
    """Compare the engine under load with its trunk's own library, one request after the other.

    That is kinder to the library than as many threads of it: they take the processors from each
    other.
    """
    engine = _engine(small)
    await engine.start()
    made = []
    for tokens in LENGTHS:
        source = texts(tokens)
        ours: list[dict[str, float]] = []
        theirs = []
        for _ in range(rounds):
            ours.append(await load(engine, source, CONCURRENT, seconds))
            theirs.append(await asyncio.to_thread(_encoded_per_s, encoder, source, seconds))
        made += _rows(f"inference.engine_{CONCURRENT}_of_{tokens}", ours)
        over = ratio([one["per_s"] for one in ours], theirs)
        name = f"inference.engine_{CONCURRENT}_of_{tokens}.over_encode"
        made.append(Row(name, over.value, "ratio", THROUGHPUT_GOAL, over, at_least=True))
    await engine.close()
    return made


async def gpu_rows(model: Model, rounds: int, seconds: float) -> list[Row]:
    """Return what a GPU reads, at several loads.

    Args:
        model: the small tier, warmed up by the engine.
        rounds: of each load.
        seconds: of one round.
    """
    engine = _engine(model)
    await engine.start()
    source = texts(GPU_TOKENS)
    found: dict[int, list[dict[str, float]]] = {one: [] for one in GPU_CONCURRENT}
    for _ in range(rounds):
        for concurrent, samples in found.items():
            samples.append(await load(engine, source, concurrent, seconds))
    await engine.close()
    return [
        row
        for concurrent, samples in found.items()
        for row in _rows(
            f"inference.gpu_{concurrent}_of_{GPU_TOKENS}",
            samples,
            {metric: _GPU_GOALS.get((concurrent, metric)) for metric in _UNITS},
        )
    ]


def _rows(
    name: str, samples: list[dict[str, float]], goals: dict[str, float | None] | None = None
) -> list[Row]:
    made = []
    for metric, unit in _UNITS.items():
        found = mean([sample[metric] for sample in samples])
        goal = (goals or {}).get(metric)
        row = Row(f"{name}.{metric}", found.value, unit, goal, found, at_least=metric == "per_s")
        made.append(row)
    return made


def _engine(model: Model) -> Engine:
    # Nothing is remembered: every text is another.
    return Engine(Batcher(lambda: model), max_bytes=1 << 20, timeout_s=_TIMEOUT_S)


def _encoded_per_s(encoder: SentenceTransformer, source: Iterator[str], seconds: float) -> float:
    count = 0
    begin_s = time.perf_counter()
    while time.perf_counter() - begin_s < seconds:
        encoder.encode(next(source), show_progress_bar=False)
        count += 1
    return count / (time.perf_counter() - begin_s)
