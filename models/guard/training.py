"""The trainings of both tiers, from texts to tensors, and their calibration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import indirect
from models.data.corpus import SEED
from models.data.domains import LABELS, Topic
from models.data.example import Example, Part
from models.data.files import data_folder
from models.guard import domain, lexical, probe
from models.guard.assembling import FOLDER, Tier
from models.guard.calibration import balanced, platt, temperature, threshold
from models.guard.features import tiny_means
from models.guard.samples import HEADS, UNKNOWN, cut
from models.guard.scoring import Pooled, largest, readings, shipped
from models.guard.states import States
from models.tiny.table import load
from pipeline.inference.contract import Ids
from pipeline.inference.manifest import CalibrationEntry, HeadEntry
from pipeline.inference.tokens import Preparer

Tensors = dict[str, NDArray[Any]]
ROUTING = FOLDER / "routing"
_LONG_CHARS = (1500, 3000, 6000, 12_000)
# Of harmless long documents, at most so many reach the threshold.
_LONG_ACTED = 0.03
_MOST_GROWTH = 0.15


def untrained(abstain_below: float = 0.0) -> list[HeadEntry]:
    """Return the heads' entries before calibration."""
    return [
        *(HeadEntry(name=head, kind="score", pooling="max", views=True) for head in HEADS),
        HeadEntry(name="domain", kind="labels", labels=LABELS, abstain_below=abstain_below),
    ]


def train_small(parts: Mapping[Part, Sequence[Example]], topics: Sequence[Topic]) -> Tensors:
    """Train the small tier's probe and heads.

    Args:
        parts: of the corpus.
        topics: to train the domain head on.
    """
    tokenizer = FOLDER / "small" / "tokenizer.json"
    samples = cut(parts["train"], "train", tokenizer, special=True)
    firsts = first_windows([one.text for one in topics], "small")
    states = States()
    states.add([*samples.windows, *firsts])
    tensors = dict(probe.train(samples, states, SEED))
    return tensors | dict(domain.train(topics, states.means(firsts)))


def train_tiny(parts: Mapping[Part, Sequence[Example]], topics: Sequence[Topic]) -> Tensors:
    """Train the tiny tier's lexicon and heads.

    Args:
        parts: of the corpus.
        topics: to train the domain head on.
    """
    rows = load(FOLDER / "tiny" / "embeddings.npz")
    tokenizer = FOLDER / "tiny" / "tokenizer.json"
    samples = cut(parts["train"], "train", tokenizer, special=False)
    means = tiny_means(samples.windows, rows).astype(np.float64)
    tensors = dict(lexical.train(samples, means, len(rows)))
    firsts = first_windows([one.text for one in topics], "tiny")
    return tensors | dict(domain.train(topics, tiny_means(firsts, rows)))


def first_windows(texts: Sequence[str], tier: Tier) -> list[Ids]:
    """Return the first window of each text, without views."""
    prepare = Preparer(
        (FOLDER / tier / "tokenizer.json").read_bytes(),
        max_tokens=256,
        overlap=32,
        windows=2,
        with_special=tier == "small",
    )
    return [prepared.windows[0].ids for prepared in prepare(texts)]


def calibrated(
    tier: Tier, parts: Mapping[Part, Sequence[Example]], topics: Sequence[Topic]
) -> list[HeadEntry]:
    """Return the entries of the heads that lie assembled in a tier's folder, calibrated.

    Args:
        tier: which one.
        parts: of the corpus.
        topics: to calibrate the domain head on.
    """
    model = shipped(tier)
    examples = parts["calibration"]
    pooled = largest(model, [one.text for one in examples], HEADS)
    clean = largest(model, _long_documents(), HEADS)
    return [
        *(_calibrated(head, examples, pooled[head], clean[head]) for head in HEADS),
        _domain(tier, topics),
    ]


def _calibrated(head: str, examples: Sequence[Example], pooled: Pooled, clean: Pooled) -> HeadEntry:
    """Return a guard head's entry.

    The correction for many windows is the least one with which harmless long documents stay
    below the threshold, up to a limit: each step of it makes an attack among many windows harder
    to see. Beyond that the threshold rises.

    Args:
        head: its name.
        examples: of calibration.
        pooled: logits of the examples.
        clean: logits of harmless long documents.
    """
    sources = np.array([one.source for one in examples])
    values = (getattr(one, head) for one in examples)
    labels = np.array([UNKNOWN if one is None else int(one) for one in values])
    known = labels != UNKNOWN
    for growth in np.arange(0, _MOST_GROWTH + 0.01, 0.05).round(2):
        logits = pooled.logits - growth * np.log2(pooled.windows)
        fit = platt(logits[known], labels[known], balanced(labels[known], sources[known]))
        chances = 1 / (1 + np.exp(-(fit.scale * logits + fit.bias)))
        least = threshold(chances[known], labels[known], sources[known])
        shifted = clean.logits - growth * np.log2(clean.windows)
        long = 1 / (1 + np.exp(-(fit.scale * shifted + fit.bias)))
        if (long >= least).mean() <= _LONG_ACTED:
            break
    return HeadEntry(
        name=head,
        kind="score",
        pooling="max",
        views=True,
        calibration=CalibrationEntry(scale=fit.scale, bias=fit.bias, per_doubling=float(growth)),
        threshold=max(least, round(float(np.quantile(long, 1 - _LONG_ACTED)), 3)),
    )


def _domain(tier: Tier, topics: Sequence[Topic]) -> HeadEntry:
    model = shipped(tier)
    wanted = np.array([LABELS.index(one.label) for one in topics], np.intp)
    found = readings(model, [one.text for one in topics], ["domain"])
    chances = np.stack([one.labels["domain"] for one in found]).astype(np.float64)
    # Uncalibrated so far: the logarithm of a probability is its logit, but for a constant.
    fit = temperature(np.log(np.maximum(chances, 1e-12)), wanted)
    powered = chances**fit.scale
    powered /= powered.sum(1, keepdims=True)
    return HeadEntry(
        name="domain",
        kind="labels",
        labels=LABELS,
        calibration=fit,
        abstain_below=domain.abstention(powered, wanted),
    )


def _long_documents() -> list[str]:
    """Return harmless documents of several lengths."""
    guard = data_folder() / "guard"
    return [
        clean
        for chars in _LONG_CHARS
        for clean, _ in indirect.long_documents(guard, "train", chars, [""] * 40, SEED + chars)
    ]


def routed(tier: Tier) -> tuple[Tensors, list[HeadEntry]]:
    """Return what the complexity head's own training left, nothing where it did not run."""
    from safetensors.numpy import load_file

    weights, entry = ROUTING / f"{tier}.safetensors", ROUTING / f"{tier}.json"
    if not weights.exists():
        return {}, []
    return load_file(weights), [HeadEntry.model_validate(json.loads(entry.read_text("utf-8")))]
