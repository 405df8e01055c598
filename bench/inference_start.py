"""A process that starts the small tier and reads with it: how soon, and in how much memory.

It prints a line when the model is warm and another when it has read short and long texts, then
waits for its end.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import mean
from bench.process import line, module, rss_bytes, running
from bench.report import Row

START_GOAL_S, MEMORY_GOAL_MB = 3.0, 350.0
_CONCURRENT = 32
_TIMEOUT_S = 60.0


def start_rows(starts: int) -> list[Row]:
    """Start it a few times; return the seconds until it is warm, and its memory after a load."""
    seconds, megabytes = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(starts):
            begin_s = time.perf_counter()
            with running(module("bench.inference_start"), Path(folder) / "start.log") as child:
                line(child)
                seconds.append(time.perf_counter() - begin_s)
                line(child)
                megabytes.append(rss_bytes(child.pid) / 1e6)
    start, memory = mean(seconds), mean(megabytes)
    return [
        Row("inference.small_start", start.value, "s", START_GOAL_S, start),
        Row("inference.small_rss", memory.value, "MB", MEMORY_GOAL_MB, memory),
    ]


async def _serve() -> None:
    from bench.inference_latency import LENGTHS, THREE_HEADS
    from bench.inference_texts import texts
    from pipeline.config.inference import InferenceConfig
    from pipeline.inference.assembly import make_engines

    engines = make_engines(InferenceConfig(device="cpu", timeout=f"{_TIMEOUT_S:.0f}s"), Path())
    await engines.start()
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    [engine] = engines.engines.values()
    for tokens in LENGTHS:
        source = texts(tokens)
        deadline_s = time.monotonic() + _TIMEOUT_S
        await asyncio.gather(
            *(engine.read(next(source), THREE_HEADS, deadline_s) for _ in range(_CONCURRENT))
        )
    sys.stdout.write("read\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await engines.close()


if __name__ == "__main__":
    asyncio.run(_serve())
