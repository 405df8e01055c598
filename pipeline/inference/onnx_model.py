"""The small tier on the CPU: an int8 trunk in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.inference.contract import EMBEDDING, Rows, Vector, Window
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.shipped import (
    PROBE,
    WEIGHTS,
    Shipped,
    groups,
    head_weights,
    in_order,
    padded,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GRAPH = "trunk.int8.onnx"
# Tokens at once: what a layer works on stays in the processor's cache. Measured in microseconds
# a token, one thread: 84 for 8 x 16 tokens and 100 for 1 x 128, but 119 for 4 x 128 and 139 for
# 4 x 256; see models/export/README.md.
_GROUP_TOKENS = 256
# More threads than this wait for each other: the matrices of one text are small.
_MAX_THREADS = 4


class OnnxModel(Shipped):
    """The trunk in onnxruntime, the heads in numpy.

    Args:
        folder: of the model.
        threads: of a forward pass; 0 is as many as there are processors, up to four.
        windows: read of one text at most.

    Raises:
        InvalidModel: a file is not what the manifest says, or no model.
    """

    def __init__(self, folder: ModelFolder, *, threads: int = 0, windows: int = 16) -> None:
        self._session = _session(folder, threads or min(processors(), _MAX_THREADS))
        shape = {output.name: output.shape for output in self._session.get_outputs()}
        super().__init__(
            folder, head_weights(folder), features=shape["features"][1], windows=windows
        )

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        """Compute the heads of windows; see `Model`."""
        outputs = ["embedding"] if set(heads) <= {EMBEDDING} else ["embedding", "features"]
        parts = groups(windows, _GROUP_TOKENS)
        found = [self._run([windows[place] for place in part], outputs) for part in parts]
        embedding, *rest = (in_order(parts, values) for values in zip(*found, strict=True))
        return self.rows(embedding, rest[0] if rest else embedding, windows, heads)

    def warm(self) -> None:
        """Let the runtime allocate what short and full windows take."""
        for tokens in (8, self._folder.manifest.max_tokens):
            self.forward([Window(np.full(tokens, 100, np.int32))], self.heads)

    def close(self) -> None:
        """Nothing to give back: the session goes with the model."""

    def _run(self, windows: Sequence[Window], outputs: Sequence[str]) -> list[Vector]:
        longest = max(len(window.ids) for window in windows)
        ids, mask = padded(windows, longest, len(windows))
        return list(self._session.run(outputs, {"input_ids": ids, "attention_mask": mask}))


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _session(folder: ModelFolder, threads: int) -> InferenceSession:
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The graph is written as it is fastest; fusing a sum and a norm makes both slower.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Memory for activations is given back after each pass: kept, it would be that of the largest.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # Threads that spin between passes take the processor from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # What was verified is what is loaded: the files are not opened again.
    tensors = {
        name: folder.read(name) for name in (WEIGHTS, PROBE) if name in folder.manifest.files
    }
    options.add_external_initializers_from_files_in_memory(
        list(tensors), list(tensors.values()), [len(content) for content in tensors.values()]
    )
    try:
        return ort.InferenceSession(folder.read(GRAPH), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise InvalidModel(
            f"onnxruntime {ort.__version__} cannot load {folder.place.joinpath(GRAPH)}: {error}"
        ) from error
