"""What signals cost: tiers one by one, beside the trunk's own library, under load, on a GPU."""

from __future__ import annotations

import asyncio

from rich.console import Console

from bench import inference_latency, inference_load
from bench.effort import Effort
from bench.inference_latency import latency_rows, open_encoder
from bench.inference_load import (
    CONCURRENT,
    GPU_CONCURRENT,
    GPU_TOKENS,
    gpu_rows,
    throughput_rows,
)
from bench.inference_start import start_rows
from bench.report import Row
from pipeline.inference.manifest import ModelFolder
from pipeline.inference.onnx_model import OnnxModel
from pipeline.inference.static_model import StaticModel

NAME = "inference"
_UNITS = {"per_s": "requests", "p50_ms": "p50", "p99_ms": "p99"}
TITLES = {
    "inference.small_start": "a process with the small tier, until warm",
    "inference.small_rss": "its memory, after texts of all lengths, 32 at once",
    "inference.tiny_all_heads_128": "tiny tier, all heads, 128 tokens",
    "inference.engine_overhead": "engine and threads, beyond the pass",
    **{
        f"inference.{key}_{tokens}{suffix}": f"{what}, {tokens} tokens"
        for tokens in inference_latency.LENGTHS
        for key, suffix, what in (
            ("one_pass", "", "small tier, three heads in one pass"),
            ("three_passes", "", "three passes, a head each"),
            ("encode", "", "`encode`, the embedding alone"),
            ("three_passes", ".over_one_pass", "three passes to one"),
            ("encode", ".over_one_pass", "`encode` to one pass"),
        )
    },
    **{
        f"inference.engine_{CONCURRENT}_of_{tokens}.{key}": f"{what}, {tokens} tokens"
        for tokens in inference_load.LENGTHS
        for key, what in (
            *((key, f"{CONCURRENT} at once, {what}") for key, what in _UNITS.items()),
            ("over_encode", f"{CONCURRENT} at once, to `encode`"),
        )
    },
    **{
        f"inference.gpu_{concurrent}_of_{GPU_TOKENS}.{key}": f"GPU, {concurrent} at once, {what}"
        for concurrent in GPU_CONCURRENT
        for key, what in _UNITS.items()
    },
}
"""What the page calls the figures."""


def rows(console: Console, effort: Effort) -> list[Row]:
    """Measure all of it; without a GPU that part is left out, and the console says so."""
    import torch

    # Before a model of this process takes memory and threads.
    made = start_rows(effort.starts)
    small, tiny = OnnxModel(ModelFolder.of_tier("small")), StaticModel(ModelFolder.of_tier("tiny"))
    encoder = open_encoder()
    made += latency_rows(small, tiny, encoder, effort.rounds)
    made += asyncio.run(throughput_rows(small, encoder, effort.rounds, effort.seconds))
    if not torch.cuda.is_available():
        console.print("inference on a GPU: skipped, torch sees none")
        return made
    from pipeline.inference.torch_model import TorchModel

    on_gpu = TorchModel(ModelFolder.of_tier("small"), device="cuda")
    return made + asyncio.run(gpu_rows(on_gpu, effort.rounds, effort.seconds))
