"""What heads make of pooled features: one implementation in numpy that every device shares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.contract import Head, Vector


class Heads:
    """Small networks over features: linear layers with ReLU between them.

    The weights of a head are `NAME.0.weight` [units, inputs] and `NAME.0.bias` [units], then
    `NAME.1.weight` and so on; the last layer has one unit for a score, one a label for labels.
    A first layer as wide as the features reads those alone; a wider one reads the extra
    numbers of a text behind them.

    Args:
        weights: tensors by name, as `heads.safetensors` holds them.
        heads: what there is; those of kind `embedding` have no weights.

    Raises:
        ValueError: a head's weights are missing or do not fit each other.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], heads: Sequence[Head]) -> None:
        self._layers = {
            head.name: _layers(weights, head) for head in heads if head.kind != "embedding"
        }
        self._together = dict(_together(self._layers))

    def inputs(self, name: str) -> int:
        """Return how many numbers a head reads.

        Args:
            name: of a head that has weights.
        """
        return int(self._layers[name][0][0].shape[0])

    def layers(self, name: str) -> Sequence[tuple[Vector, Vector]]:
        """Return a head's layers, for devices that compute them themselves.

        Args:
            name: of a head that has weights.

        Returns:
            Pairs of a matrix [inputs, units] and a bias [units].
        """
        return self._layers[name]

    def rows(
        self, names: Collection[str], features: Vector, extra: Vector | None = None
    ) -> dict[str, Vector]:
        """Return what heads make of windows; linear ones that read the same are computed at once.

        Args:
            names: of heads that have weights.
            features: see `logits`.
            extra: see `logits`.

        Returns:
            Logits by head.

        Raises:
            ValueError: the features are not as wide as a head reads.
        """
        found: dict[str, Vector] = {}
        for name in names:
            if name in found:
                continue
            alike = self._together.get(name)
            if alike is None or alike.inputs != features.shape[1]:
                found[name] = self.logits(name, features, extra)
                continue
            # All of them even if one is asked for: its logits are the same to the last bit.
            columns = features @ alike.matrix + alike.bias
            for other, (begin, end) in alike.columns.items():
                found[other] = columns[:, begin] if end == begin + 1 else columns[:, begin:end]
        return {name: found[name] for name in names}

    def logits(self, name: str, features: Vector, extra: Vector | None = None) -> Vector:
        """Return what a head makes of windows.

        Args:
            name: of a head that has weights.
            features: [windows, features].
            extra: [windows, numbers beside the text]; may be left out where the head reads none.

        Returns:
            Logits, [windows] of a score and [windows, labels] of labels.

        Raises:
            ValueError: the features are not as wide as the head reads.
        """
        layers = self._layers[name]
        wanted = layers[0][0].shape[0]
        values = features
        if features.shape[1] < wanted and extra is not None:
            values = np.concatenate([features, extra], axis=1)
        if values.shape[1] != wanted:
            raise ValueError(f"head {name} reads {wanted} numbers, not {values.shape[1]}")
        for matrix, bias in layers[:-1]:
            values = np.maximum(values @ matrix + bias, 0.0)
        matrix, bias = layers[-1]
        values = (values @ matrix + bias).astype(np.float32, copy=False)
        return values[:, 0] if values.shape[1] == 1 else values


@dataclass(frozen=True, slots=True)
class _Alike:
    """Linear heads that read the same numbers, as one matrix."""

    inputs: int
    matrix: Vector
    bias: Vector
    columns: Mapping[str, tuple[int, int]]
    """Where each head's begin and end."""


def _together(
    layers: Mapping[str, tuple[tuple[Vector, Vector], ...]],
) -> Iterator[tuple[str, _Alike]]:
    """Yield the heads that have company, each with all that are like it."""
    by_inputs: dict[int, list[str]] = {}
    for name, its in layers.items():
        if len(its) == 1:
            by_inputs.setdefault(len(its[0][0]), []).append(name)
    for inputs, names in by_inputs.items():
        ends = np.cumsum([len(layers[name][0][1]) for name in names]).tolist()
        columns = dict(zip(names, pairwise([0, *ends]), strict=True))
        matrix = np.concatenate([layers[name][0][0] for name in names], axis=1)
        bias = np.concatenate([layers[name][0][1] for name in names])
        alike = _Alike(inputs, matrix, bias, columns)
        if len(names) > 1:
            yield from ((name, alike) for name in names)


def _layers(
    weights: Mapping[str, NDArray[np.float32]], head: Head
) -> tuple[tuple[Vector, Vector], ...]:
    """Return the layers of a head, checked against each other and against its kind."""
    layers: list[tuple[Vector, Vector]] = []
    while (name := f"{head.name}.{len(layers)}") + ".weight" in weights:
        matrix = np.ascontiguousarray(weights[f"{name}.weight"].T, dtype=np.float32)
        bias = np.asarray(weights.get(f"{name}.bias"), dtype=np.float32)
        follows = not layers or matrix.shape[0] == layers[-1][0].shape[1]
        if not follows or bias.shape != (matrix.shape[1],):
            raise ValueError(f"layer {name} does not fit the layer before it or its bias")
        layers.append((matrix, bias))
    wanted = len(head.labels) if head.kind == "labels" else 1
    if not layers or layers[-1][0].shape[1] != wanted:
        raise ValueError(f"head {head.name} has no weights that end in {wanted} values")
    return tuple(layers)
