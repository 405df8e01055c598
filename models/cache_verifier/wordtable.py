"""Learns the table of words: sums of its rows are near where utterances have one intent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.streams import OUT_OF_SCOPE, Utterance
from models.cache_verifier.scoring import Readings
from plugins.semantic_cache.verifying.table import WordTable

MODELS = Path(__file__).parents[1]
DIMENSIONS = 64
_EPOCHS = 10
_BATCH = 512
_RATE = 3e-3
_TEMPERATURE = 0.07
# Words left out of an utterance at random, so that no single one decides.
_DROPPED = 0.2
# A pair of neighbours gets a vector of its own where it comes so often.
_LEAST_PAIRS = 3


def start_table(texts: Sequence[str], phrased: Sequence[str], readings: Readings) -> WordTable:
    """Return a table of all words of some texts, from the tiny tier's embedding of each.

    Args:
        texts: whose words it knows; their rarity is counted in these.
        phrased: texts whose frequent pairs of words get a row, of zeros, as well.
        readings: of the texts.
    """
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(set(readings[text].tokens))
    words = sorted(seen)
    pairs: Counter[str] = Counter()
    for text in phrased:
        tokens = readings[text].tokens
        pairs.update({f"{one} {other}" for one, other in pairwise(tokens)})
    phrases = sorted(pair for pair, count in pairs.items() if count >= _LEAST_PAIRS)
    rows = np.concatenate([_tiny_rows(words), np.zeros((len(phrases) + 1, DIMENSIONS), np.float32)])
    rarities = np.zeros(len(rows), np.float32)
    rarities[: len(words)] = np.log(len(texts) / (1 + np.array([seen[word] for word in words])))
    rarities[-1] = np.log(len(texts))
    return WordTable({word: at for at, word in enumerate([*words, *phrases])}, rows, rarities)


def learn(
    start: WordTable, utterances: Sequence[Utterance], readings: Readings, seed: int
) -> WordTable:
    """Return a table that has learned from utterances (supervised contrast, Khosla 2020).

    Args:
        start: of all words.
        utterances: with their intents; those out of scope are each alone.
        readings: of the utterances.
        seed: of the order and of what is dropped.
    """
    import torch
    from torch.nn.functional import normalize

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    names = {name: at for at, name in enumerate(sorted({one.intent for one in utterances}))}
    outside = len(names)
    intents = np.array(
        [
            outside + at if one.intent == OUT_OF_SCOPE else names[one.intent]
            for at, one in enumerate(utterances)
        ]
    )
    ids = [_ids(start, readings[one.text].tokens) for one in utterances]
    bag = torch.nn.EmbeddingBag.from_pretrained(
        torch.tensor(start.rows[:-1]), freeze=False, mode="sum"
    )
    adam = torch.optim.Adam(bag.parameters(), lr=_RATE)
    for _ in range(_EPOCHS):
        order = generator.permutation(len(utterances))
        for begin in range(0, len(order), _BATCH):
            chosen = order[begin : begin + _BATCH]
            kept = [
                [one for one in ids[at] if generator.random() > _DROPPED] or ids[at][:1]
                for at in chosen
            ]
            offsets = np.cumsum([0, *(len(one) for one in kept[:-1])])
            flat = torch.tensor([one for words in kept for one in words])
            units = normalize(bag(flat, torch.tensor(offsets)), dim=1)
            alike = (units @ units.T / _TEMPERATURE).fill_diagonal_(-1e9)
            same = torch.tensor(intents[chosen][:, None] == intents[chosen][None])
            same.fill_diagonal_(False)
            chances = alike - torch.logsumexp(alike, 1, keepdim=True)
            has = same.any(1)
            loss = -((chances * same).sum(1)[has] / same.sum(1)[has]).mean()
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    torch.set_num_threads(threads)
    rows = np.concatenate([bag.weight.detach().numpy(), np.zeros((1, DIMENSIONS), np.float32)])
    return WordTable(start.places, rows, start.rarities)


def _ids(table: WordTable, tokens: Sequence[str]) -> list[int]:
    return [table.places[term] for term in table.terms(tokens) if term in table.places] or [0]


def _tiny_rows(words: Sequence[str]) -> NDArray[np.float32]:
    """Return the first principal directions of the tiny tier's vectors, of mean length 1."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODELS / "tiny" / "tokenizer.json"))
    with np.load(MODELS / "tiny" / "embeddings.npz") as found:
        table = found["rows"].astype(np.float32) * found["scales"].astype(np.float32)[:, None]
    pieces = tokenizer.encode_batch(list(words), add_special_tokens=False)
    full = np.stack([table[one.ids].sum(0) for one in pieces])
    _, _, directions = np.linalg.svd(full, full_matrices=False)
    rows = (full @ directions[:DIMENSIONS].T).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1).mean(), np.float32)
