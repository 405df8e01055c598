"""What the head reads of the questions: embeddings as each tier computes them, and features."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from models.data.files import data_folder
from models.routing.evaluating import DataSet
from models.routing.protocol import Floats
from models.routing.questions import Questions, llm_router, mmlu_pro
from models.tiny import table
from models.tiny.building import tokenised
from models.tiny.table import Vectors
from pipeline.inference.text_features import text_features

Tier = Literal["tiny", "small"]
MODELS = Path(__file__).parents[1]
_MAX_TOKENS = 256
_BATCH_TOKENS = 4096


def data_sets(tier: Tier, cache: Path) -> list[DataSet]:
    """Return both data sets as a tier reads them.

    Args:
        tier: whose embeddings.
        cache: folder that keeps the small tier's.
    """
    found: list[Questions] = [mmlu_pro(data_folder()), llm_router(data_folder())]
    return [
        DataSet(
            questions,
            embeddings(tier, questions.texts, cache),
            np.stack([text_features(text) for text in questions.texts]).astype(float),
        )
        for questions in found
    ]


def embeddings(tier: Tier, texts: Sequence[str], cache: Path) -> Floats:
    """Return (n, dimensions) means over tokens, as heads read them.

    Args:
        tier: whose.
        texts: of which the small tier reads the first window.
        cache: folder that keeps the small tier's.
    """
    if tier == "tiny":
        rows = table.load(MODELS / "tiny" / "embeddings.npz")
        return table.embed(rows, tokenised(texts)).astype(float)
    trunk = (MODELS / "small" / "trunk.safetensors").read_bytes()
    name = hashlib.sha256(trunk + "\0".join(texts).encode()).hexdigest()[:24]
    path = cache / f"routing-{name}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, _small(texts))
    return np.asarray(np.load(path), float)


def _small(texts: Sequence[str]) -> Vectors:
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODELS / "small" / "tokenizer.json"))
    tokenizer.enable_truncation(_MAX_TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODELS / "small" / "trunk.int8.onnx"), options)
    order = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
    rows = np.zeros((len(texts), 384), np.float32)
    while order:
        chosen = order[: max(1, _BATCH_TOKENS // _MAX_TOKENS)]
        del order[: len(chosen)]
        tokenizer.enable_padding()
        batch = tokenizer.encode_batch([texts[at] for at in chosen])
        ids = np.array([one.ids for one in batch], np.int64)
        mask = np.array([one.attention_mask for one in batch], np.int64)
        (rows[chosen],) = session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
    return rows
