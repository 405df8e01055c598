"""The first table: each token alone through the trunk, fewer dimensions, weighted by rarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.tiny.table import DIMENSIONS, Vectors
from models.tiny.teacher import Teacher

# Arora, Liang, Ma 2017 ("SIF"): a / (a + p(token)).
SIF = 1e-3


def distil(teacher: Teacher, tokenizer: Tokenizer, counts: NDArray[np.int64]) -> Vectors:
    """Return a (vocabulary, dimensions) table, weights folded in.

    Args:
        teacher: the trunk.
        tokenizer: its tokenizer.
        counts: how often each token occurs in texts; a rare one counts as its rank says.
    """
    size = tokenizer.get_vocab_size()
    vocabulary = tokenizer.get_vocab()
    vectors = teacher.tokens(range(size), vocabulary["[CLS]"], vocabulary["[SEP]"])
    vectors = reduced(vectors)
    table = vectors * sif(counts)[:, None]
    table[silent(tokenizer)] = 0
    return table.astype(np.float32)


def reduced(vectors: Vectors) -> Vectors:
    """Return vectors on their first principal components, centred."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ axes[:, ::-1][:, :DIMENSIONS], np.float32)


def sif(counts: NDArray[np.int64]) -> Vectors:
    """Return each token's weight; counts are smoothed with Zipf's law over the vocabulary."""
    zipf = 1 / np.arange(1, len(counts) + 1)
    probability = (counts + zipf / zipf.sum() * max(1, counts.sum())) / (2 * max(1, counts.sum()))
    return np.asarray(SIF / (SIF + probability), np.float32)


def silent(tokenizer: Tokenizer) -> list[int]:
    """Return the ids that no text means anything by: special and unused ones."""
    vocabulary = tokenizer.get_vocab()
    specials = {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"}
    return [at for token, at in vocabulary.items() if token in specials or "[unused" in token]
