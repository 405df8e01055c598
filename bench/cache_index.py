"""The semantic cache's index: lookups, recall, churn and memory at 10k, 100k and 1M entries.

Each size has a process of its own, whose one partition is filled through a replica, as the log of a
store would. Vectors are synthetic and resemble sentence embeddings: they cluster (50 paraphrases
around each meaning, cosine 0.89 to its centre and so about 0.8 to each other), and the centres lie
in 64 of the 256 dimensions. Questions are stored vectors with noise, at cosine 0.85.
Latencies are CPU time of the thread, which never waits: what it takes on a core of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.effort import FULL, Effort
from bench.measure import percentile
from bench.report import Row
from plugins.semantic_cache.eviction import Limits, Policy
from plugins.semantic_cache.records import Meta
from plugins.semantic_cache.replica import Replica

NAME = "cache_index"
_P50_MS = {10_000: 0.1, 100_000: 0.3, 1_000_000: 0.6}
_TITLES = {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
_DIMENSION = 256
_CENTRE_DIMENSION = 64
_PER_CENTRE = 50
_SPREAD = 0.5
_COSINE = 0.85
_BLOCK = 10_000
_LOOKUPS = 5_000
_JUDGED = 500
_INSERTS = 10_000
_WARM_UP = 5_000
_NEIGHBOURS = 4
_MAINTAIN_EVERY = 1_000
_NOW_S = 1.0
_PARTITION = bytes(16)

Vectors = NDArray[np.float32]


def rows(effort: Effort) -> list[Row]:
    """Measure every size, each in a process of its own."""
    sizes = _P50_MS if effort is FULL else [min(_P50_MS)]
    return [row for size in sizes for row in _size_rows(size)]


def _size_rows(size: int) -> list[Row]:
    # One thread: more make short searches slower, and a worker has one core.
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.cache_index", str(size)]
    done = subprocess.run(
        command, env=os.environ | one_thread, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    prefix = f"{NAME}.{_TITLES[size]}"
    return [
        Row(f"{prefix}.lookup_p50", found["lookup_p50_ms"], "ms", _P50_MS[size]),
        Row(f"{prefix}.lookup_p99", found["lookup_p99_ms"], "ms"),
        Row(f"{prefix}.recall_at_1", found["recall_at_1"], "share", 0.98, at_least=True),
        Row(f"{prefix}.insert_p99", found["insert_p99_ms"], "ms"),
        Row(
            f"{prefix}.insert_with_eviction_over_lookup_p99",
            found["insert_p99_ms"] / found["lookup_p99_ms"],
            "ratio",
            2,
        ),
        Row(f"{prefix}.bytes_per_entry", found["bytes_per_entry"], "B", 600),
        Row(f"{prefix}.fill", found["fill_s"], "s"),
    ]


def measure(size: int) -> dict[str, float]:
    """Fill a replica, then look up, and insert at capacity."""
    # What the library takes once, for training and searching, is no entry's.
    _fill(_replica(_WARM_UP), _WARM_UP)
    replica = _replica(size)
    questions, nearest = _questions(size)
    before = _rss_bytes()
    start_s = time.perf_counter()
    _fill(replica, size)
    fill_s = time.perf_counter() - start_s
    taken = _rss_bytes() - before
    lookups_s, found = _lookups(replica, questions)
    inserts_s = _churn(replica, size)
    return {
        "lookup_p50_ms": percentile(lookups_s, 0.5) * 1e3,
        "lookup_p99_ms": percentile(lookups_s, 0.99) * 1e3,
        "recall_at_1": float(np.mean(np.array(found[:_JUDGED]) == nearest)),
        "insert_p99_ms": percentile(inserts_s, 0.99) * 1e3,
        "bytes_per_entry": taken / size,
        "fill_s": fill_s,
    }


def _replica(size: int) -> Replica:
    limits = Limits(size, 1 << 50, Policy.LRU)
    return Replica(dimension=_DIMENSION, embedder="synthetic", limits={}, default=limits)


def _fill(replica: Replica, size: int) -> None:
    number = 0
    for block in _blocks(size):
        for vector in block:
            replica.insert(_meta(number, vector), _NOW_S)
            number += 1
            if number % _MAINTAIN_EVERY == 0:
                _maintain(replica)
    _maintain(replica)


def _maintain(replica: Replica) -> None:
    while (work := replica.maintain()) is not None:
        work()


def _lookups(replica: Replica, questions: Vectors) -> tuple[list[float], list[int]]:
    took_s, found = [], []
    for at in range(_LOOKUPS):
        question = questions[at % len(questions)]
        start_s = time.thread_time()
        matches = replica.near(_PARTITION, question, _NEIGHBOURS, _NOW_S)
        took_s.append(time.thread_time() - start_s)
        found.append(int(matches[0].entry.id, 16))
    return took_s, found


def _churn(replica: Replica, size: int) -> list[float]:
    took_s = []
    (block,) = _blocks(_INSERTS, seed=2)
    metas = [_meta(size + at, vector) for at, vector in enumerate(block)]
    for at, meta in enumerate(metas):
        start_s = time.thread_time()
        left = replica.insert(meta, _NOW_S)
        took_s.append(time.thread_time() - start_s)
        if len(left) != 1:
            raise RuntimeError(f"insertion {at} evicted {len(left)} entries at capacity")
        if at % _MAINTAIN_EVERY == 0:
            _maintain(replica)
    return took_s


def _meta(number: int, vector: Vectors) -> Meta:
    return Meta(
        id=f"{number:016x}",
        partition=_PARTITION,
        exact=number.to_bytes(16),
        route="chat",
        tenant="",
        model="gpt-5",
        tags=(),
        vector=vector,
        embedder="synthetic",
        created_s=0.0,
        fresh_s=3600.0 + number,
        expires_s=7200.0 + number,
        body_bytes=4_000,
        saves_s=2.0,
        saves_usd=0.01,
    )


def _questions(size: int) -> tuple[Vectors, NDArray[np.intp]]:
    """Return questions (n, d), and for the first ones the entry that exact search finds."""
    rng = np.random.default_rng(3)
    chosen = rng.integers(0, size, _LOOKUPS)
    questions = np.empty((_LOOKUPS, _DIMENSION), np.float32)
    for start, block in zip(range(0, size, _BLOCK), _blocks(size), strict=True):
        here = (chosen >= start) & (chosen < start + len(block))
        questions[here] = block[chosen[here] - start]
    noise = (1 / _COSINE**2 - 1) ** 0.5
    questions = _unit(questions + noise * _unit(_normal(rng, _LOOKUPS, _DIMENSION)))
    judged = questions[:_JUDGED]
    best, nearest = np.full(_JUDGED, -2, np.float32), np.zeros(_JUDGED, np.intp)
    for start, block in zip(range(0, size, _BLOCK), _blocks(size), strict=True):
        cosines = judged @ block.T
        here = cosines.argmax(axis=1)
        highest = cosines[np.arange(_JUDGED), here]
        nearest = np.where(highest > best, start + here, nearest)
        best = np.maximum(best, highest)
    return questions, nearest


def _blocks(size: int, seed: int = 1) -> Iterator[Vectors]:
    """Yield vectors, the same ones each time."""
    rng = np.random.default_rng(0)
    count = max(_PER_CENTRE, size // _PER_CENTRE)
    plane = _normal(rng, _CENTRE_DIMENSION, _DIMENSION)
    centres = _unit(_normal(rng, count, _CENTRE_DIMENSION) @ plane)
    rng = np.random.default_rng(seed)
    for start in range(0, size, _BLOCK):
        length = min(_BLOCK, size - start)
        around = centres[rng.integers(0, count, length)]
        yield _unit(around + _SPREAD * _unit(_normal(rng, length, _DIMENSION)))


def _normal(rng: np.random.Generator, count: int, dimension: int) -> Vectors:
    return rng.standard_normal((count, dimension), np.float32)


def _unit(vectors: Vectors) -> Vectors:
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


def _rss_bytes() -> int:
    # What making the vectors took and freed goes back first; it is no entry's.
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
