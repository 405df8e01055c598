"""What becomes of a Hugging Face model's output: signals of logits, embeddings of states."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.inference import ExtraModelConfig
from pipeline.inference.contract import Head, Vector
from pipeline.inference.manifest import InvalidModel

Mask = NDArray[np.bool_]
# A probability that is as good as 0 or 1 has still a finite logit.
_EDGE = 1e-7
_OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Output:
    """A head and how its rows come out of the model's output.

    Args:
        head: the head.
        rows: from the output, [windows, ...], and the mask [windows, tokens].
    """

    head: Head
    rows: Callable[[Vector, Mask], Vector]


def outputs(
    key: str, name: str, extra: ExtraModelConfig, config: Mapping[str, Any]
) -> dict[str, Output]:
    """Return the signals of a classifier.

    A score is the sum of its labels' probabilities, as a logit; of several windows the greatest
    counts, and of a classifier of tokens the greatest of any token. Where no signal is named, a
    classifier of texts gives all its labels, and one of tokens the sum of all but `O`.

    Args:
        key: of the model's setting.
        name: of the model.
        extra: its section.
        config: its `config.json`.

    Raises:
        InvalidModel: signals must be named, and are not.
    """
    from pipeline.inference.transformers_files import labels_of  # noqa: PLC0415

    labels = labels_of(config)
    several = config.get("problem_type") == "multi_label_classification" or len(labels) == 1
    signals = dict(extra.signals)
    if not signals and extra.task == "classify" and not several:
        head = Head(name, "labels", labels=labels, pooling="mean")
        return {name: Output(head, lambda logits, _: logits)}
    if not signals and extra.task == "tag" and _OUTSIDE in labels:
        signals = {name: [label for label in labels if label != _OUTSIDE]}
    if not signals and len(labels) == 1:
        signals = {name: list(labels)}
    if not signals:
        raise InvalidModel(
            f"say which of its labels make a signal: {', '.join(labels)}", f"{key}.signals"
        )
    odds = _independent if several else _exclusive
    found = {}
    for signal, wanted in signals.items():
        columns = [labels.index(label) for label in wanted]
        head = Head(signal, "score", pooling="max", threshold=extra.threshold)
        rows = _of_tokens if extra.task == "tag" else _of_texts
        found[signal] = Output(head, rows(odds, columns))
    return found


def embedder(key: str, name: str, folder: Path) -> dict[str, Output]:
    """Return the embedding that a `sentence-transformers` folder describes; else the mean.

    Args:
        key: of the model's setting.
        name: of the model, and of its signal.
        folder: of the model.

    Raises:
        InvalidModel: it is made by more than pooling and normalisation.
    """
    pooling = "mean"
    for module in _json(folder / "modules.json", []):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(key, _json(folder / module["path"] / "config.json", {}))
        elif kind not in {"Transformer", "Normalize"}:
            raise InvalidModel(f"embeddings through a {kind} module are not supported", key)
    pools = {"mean": _mean, "cls": _first, "max": _max}
    return {name: Output(Head(name, "embedding", pooling="mean"), pools[pooling])}


def _pooling(key: str, config: Mapping[str, Any]) -> str:
    if isinstance(config.get("pooling_mode"), str):
        wanted = [config["pooling_mode"]]
    else:
        said = [mode for mode, is_on in config.items() if mode.startswith("pooling_mode") and is_on]
        wanted = [mode.removeprefix("pooling_mode_").removesuffix("_tokens") for mode in said]
    wanted = [{"cls_token": "cls"}.get(mode, mode) for mode in wanted]
    if len(wanted) != 1 or wanted[0] not in {"mean", "cls", "max"}:
        raise InvalidModel(f"pooling by {' and '.join(wanted) or 'nothing'} is not supported", key)
    return str(wanted[0])


def _json(file: Path, absent: Any) -> Any:
    return json.loads(file.read_bytes()) if file.is_file() else absent


Odds = Callable[[Vector, Sequence[int]], Vector]


def _exclusive(logits: Vector, columns: Sequence[int]) -> Vector:
    """Return the logit of the sum of softmax probabilities."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return _logit(shifted[..., columns].sum(-1) / shifted.sum(-1))


def _independent(logits: Vector, columns: Sequence[int]) -> Vector:
    """Return the logit of the probability that at least one label holds."""
    none = np.prod(1 / (1 + np.exp(logits[..., columns])), axis=-1)
    return _logit(1 - none)


def _logit(probability: Vector) -> Vector:
    kept = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


def _of_texts(odds: Odds, columns: Sequence[int]) -> Callable[[Vector, Mask], Vector]:
    return lambda logits, _: odds(logits, columns)


def _of_tokens(odds: Odds, columns: Sequence[int]) -> Callable[[Vector, Mask], Vector]:
    return lambda logits, mask: np.where(mask, odds(logits, columns), -np.inf).max(axis=1)


def _mean(states: Vector, mask: Mask) -> Vector:
    share = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.asarray((share[:, None] @ states)[:, 0], np.float32)


def _first(states: Vector, mask: Mask) -> Vector:
    return np.ascontiguousarray(states[np.arange(len(mask)), mask.argmax(axis=1)])


def _max(states: Vector, mask: Mask) -> Vector:
    return np.asarray(np.where(mask[..., None], states, -np.inf).max(axis=1), np.float32)
