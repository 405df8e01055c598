"""The quantisation of the trunk: int8 weights by column, uint8 activations by calibrated scale.

What makes naive int8 poor here is a handful of channels: one of 384 reaches 30 after the norm of
an attention block where the others stay under 3, and with one scale for all of them little is
left of the others. Each channel is therefore divided by a power of its own largest value before
it is rounded, and the matrix behind it multiplied by the same (SmoothQuant, arXiv:2211.10438,
with the power and the clipping found per matrix by the least error on calibration texts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.export.trunk import LAYERS, Array, Linear, Trunk

_POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_TINY = 1e-6
SITES = ("attention", "context", "state", "wide", "query.output", "key.output")
"""Where activations are quantised in a layer: before query, key and value; before the output;
before the wide matrix; before the narrow one; and queries and keys themselves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What calibration saw of an activation.

    Args:
        low: least value by channel, [K].
        high: greatest value by channel, [K].
        sample: some tokens' values, [n, K].
    """

    low: Array
    high: Array
    sample: Array


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How one activation is quantised: divided by `smooth`, then by `scale`, `zero` added."""

    smooth: Array
    scale: np.float32
    zero: np.uint8

    def of(self, values: Array) -> Array:
        """Return what is left of values once quantised, divided by `smooth` still."""
        steps = np.rint(values / (self.smooth * self.scale)) + np.float32(self.zero)
        kept = np.clip(steps, 0, 255, out=steps) - np.float32(self.zero)
        return (kept * self.scale).astype(np.float32, copy=False)


def float_tensors(trunk: Trunk) -> dict[str, NDArray[Any]]:
    """Return the trunk's tensors as they are, by the names that a graph uses."""
    tensors: dict[str, NDArray[Any]] = _unquantised(trunk) | {"words.weight": trunk.words}
    for name, linear in _linears(trunk):
        tensors[f"{name}.weight"] = linear.weight
        tensors[f"{name}.bias"] = linear.bias
    return tensors


def quantise(
    trunk: Trunk,
    seen: Mapping[str, Seen],
    powers: Sequence[float] = _POWERS,
    clips: Sequence[float] = _CLIPS,
) -> dict[str, NDArray[Any]]:
    """Return the int8 tensors, by the names that a graph uses.

    Args:
        trunk: in float32.
        seen: by site, `layers.I.SITE`.
        powers: of a channel's largest value, to divide it by.
        clips: shares of the range of an activation to keep.
    """
    scales = np.maximum(np.abs(trunk.words).max(axis=1, keepdims=True), _TINY) / 127
    tensors: dict[str, NDArray[Any]] = _unquantised(trunk) | {
        "words.weight": np.rint(trunk.words / scales).astype(np.int8),
        "words.scale": scales.astype(np.float32),
    }
    linears = dict(_linears(trunk))
    for index in range(LAYERS):
        layer = f"layers.{index}"
        for site, names in _READERS.items():
            readers = [linears[f"{layer}.{name}"] for name in names]
            schemes = [
                _scheme(seen[f"{layer}.{site}"], power, clip) for power in powers for clip in clips
            ]
            scheme = _best(seen[f"{layer}.{site}"], readers, schemes)
            tensors |= _quantised(f"{layer}.{site}", scheme)
            for name, linear in zip(names, readers, strict=True):
                tensors |= _matrix(f"{layer}.{name}", linear, scheme, seen[f"{layer}.{site}"])
        for part in ("query.output", "key.output"):
            reach = np.maximum(-seen[f"{layer}.{part}"].low, seen[f"{layer}.{part}"].high).max()
            tensors[f"{layer}.{part}.scale"] = np.asarray(reach / 127, np.float32)
    return tensors


_READERS = {
    "attention": ("query", "key", "value"),
    "context": ("output",),
    "state": ("widen",),
    "wide": ("narrow",),
}


def _linears(trunk: Trunk) -> Iterator[tuple[str, Linear]]:
    for index, layer in enumerate(trunk.layers):
        for names in _READERS.values():
            for name in names:
                yield f"layers.{index}.{name}", getattr(layer, name)


def _unquantised(trunk: Trunk) -> dict[str, NDArray[Any]]:
    norms = {"norm": trunk.norm}
    for index, layer in enumerate(trunk.layers):
        norms[f"layers.{index}.attention_norm"] = layer.attention_norm
        norms[f"layers.{index}.norm"] = layer.norm
    tensors: dict[str, NDArray[Any]] = {"positions": trunk.positions}
    for name, norm in norms.items():
        tensors[f"{name}.scale"] = norm.scale
        tensors[f"{name}.bias"] = norm.bias
    return tensors


def _best(seen: Seen, readers: Sequence[Linear], schemes: Sequence[_Scheme]) -> _Scheme:
    """Return the scheme that leaves the least error in what the matrices make of the sample."""
    weight = np.concatenate([reader.weight for reader in readers], axis=1)
    exact = seen.sample @ weight

    def error(scheme: _Scheme) -> float:
        codes, scales = _columns(weight * scheme.smooth[:, None])
        left = scheme.of(seen.sample) @ (codes * scales) - exact
        return float(np.square(left).sum())

    return min(schemes, key=error)


def _scheme(seen: Seen, power: float, clip: float) -> _Scheme:
    reach = np.maximum(np.maximum(np.abs(seen.low), np.abs(seen.high)), _TINY)
    smooth = (reach / np.median(reach)) ** np.float32(power)
    low = min(0.0, float((seen.low / smooth).min()) * clip)
    high = max(_TINY, float((seen.high / smooth).max()) * clip)
    scale = np.float32((high - low) / 255)
    return _Scheme(smooth.astype(np.float32), scale, np.uint8(round(-low / float(scale))))


def _columns(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Return int8 codes [K, N] and a scale a column [N]."""
    scales = np.maximum(np.abs(weight).max(axis=0), _TINY) / 127
    return np.rint(weight / scales).astype(np.int8), scales.astype(np.float32)


def _quantised(site: str, scheme: _Scheme) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {
        f"{site}.scale": np.asarray(scheme.scale),
        f"{site}.zero": np.asarray(scheme.zero),
    }
    if not np.allclose(scheme.smooth, 1.0):
        tensors[f"{site}.smooth"] = 1 / scheme.smooth
    return tensors


def _matrix(name: str, linear: Linear, scheme: _Scheme, seen: Seen) -> dict[str, NDArray[Any]]:
    codes, scales = _columns(linear.weight * scheme.smooth[:, None])
    # Rounding shifts the mean of what comes out; the bias takes the shift back.
    shift = (seen.sample @ linear.weight - scheme.of(seen.sample) @ (codes * scales)).mean(axis=0)
    return {
        f"{name}.weight": codes,
        f"{name}.scale": scales,
        f"{name}.bias": (linear.bias + shift).astype(np.float32),
    }
