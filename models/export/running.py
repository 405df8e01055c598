"""Texts through a graph, batch after batch, as the export needs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

_BATCH_TOKENS = 4096


def open_session(model: bytes, threads: int = 1) -> InferenceSession:
    """Return a session on the CPU.

    Args:
        model: serialised.
        threads: of an operator.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    session: InferenceSession,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    outputs: Sequence[str],
    max_tokens: int,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_], list[NDArray[np.float32]]]]:
    """Yield the places of a batch's texts, their mask, and the outputs.

    A text longer than a window is cut off: this measures windows, not texts.
    """
    encoded = [one.ids for one in tokenizer.encode_batch(list(texts))]
    windows = [
        ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]] for ids in encoded
    ]
    order = sorted(range(len(windows)), key=lambda place: len(windows[place]))
    while order:
        longest = len(windows[order[-1]])
        places = [order.pop() for _ in range(min(len(order), max(1, _BATCH_TOKENS // longest)))]
        ids = np.zeros((len(places), longest), np.int64)
        mask = np.zeros((len(places), longest), np.int64)
        for row, place in enumerate(places):
            ids[row, : len(windows[place])] = windows[place]
            mask[row, : len(windows[place])] = 1
        found = session.run(list(outputs), {"input_ids": ids, "attention_mask": mask})
        yield np.array(places), mask.astype(bool), found


def embed(
    session: InferenceSession, tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int
) -> NDArray[np.float32]:
    """Return one window's embedding of each text, [n, 384], not normalised."""
    rows = np.zeros((len(texts), session.get_outputs()[0].shape[1]), np.float32)
    for places, _, (found,) in run(session, tokenizer, texts, ["embedding"], max_tokens):
        rows[places] = found
    return rows


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each pair of rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / norms, np.float32)
