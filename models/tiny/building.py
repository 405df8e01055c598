"""Building the table: from the vocabulary and the trunk to `embeddings.npz`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.data.files import data_folder
from models.tiny.corpus import corpus
from models.tiny.distil import distil
from models.tiny.learn import Settings, learn
from models.tiny.table import Vectors
from models.tiny.teacher import Teacher, trunk_folder

FOLDER = Path(__file__).parent
CACHE = Path("build/features")
SEED = 0
MADE_UP = 80_000
# More texts learn more slowly than they learn more: the trunk reads 2,000 tokens a second here.
TEXTS = 98_304
# Where whole words begin, the commonest first, behind single characters.
_FIRST_WORD = 1996


def trunk_tokenizer() -> Tokenizer:
    """Return the trunk's tokenizer, which neither cuts nor pads."""
    tokenizer = Tokenizer.from_file(str(trunk_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def tokenised(texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """Return token ids by text, without special ones."""
    encodings = trunk_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    return [np.asarray(encoding.ids, np.int32) for encoding in encodings]


def texts_to_learn() -> list[str]:
    """Return the texts that the table learns from, the same ones every time."""
    vocabulary = trunk_tokenizer().get_vocab()
    ranked = sorted(vocabulary.items(), key=lambda entry: entry[1])
    words = [
        token
        for token, rank in ranked
        if rank >= _FIRST_WORD and token.isalpha() and token.isascii() and len(token) > 1
    ]
    texts = corpus(data_folder(), words, SEED, MADE_UP)[:TEXTS]
    return [text for text, ids in zip(texts, tokenised(texts), strict=True) if len(ids)]


def plain_table(cache: Path) -> Vectors:
    """Return the table that Model2Vec would make: the vocabulary alone, weighted by its ranks.

    Args:
        cache: folder of the teacher's embeddings.
    """
    tokenizer = trunk_tokenizer()
    return distil(Teacher(cache), tokenizer, np.zeros(tokenizer.get_vocab_size(), np.int64))


def learned_table(cache: Path, settings: Settings) -> Vectors:
    """Return the table that ships.

    Args:
        cache: folder of the teacher's embeddings.
        settings: of learning.
    """
    teacher, tokenizer = Teacher(cache), trunk_tokenizer()
    texts = texts_to_learn()
    tokens = tokenised(texts)
    counts = np.bincount(np.concatenate(tokens), minlength=tokenizer.get_vocab_size())
    first = distil(teacher, tokenizer, counts)
    return learn(first, tokens, teacher.texts(texts), settings)
