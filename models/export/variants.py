"""Other ways to multiply by the trunk's matrices, which the chosen one is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.export.attention import float_attention
from models.export.graph import Graph
from models.export.quantise import Seen, float_tensors, quantise
from models.export.trunk import Trunk

Tensors = dict[str, NDArray[Any]]
_BLOCK = 64
_MATRICES = ("query", "key", "value", "output", "widen", "narrow")


class Dynamic:
    """Int8 matrices, activations with one scale that is computed for each batch anew."""

    gelu = "FastGelu"

    def inputs(self, graph: Graph, value: str, site: str) -> str:  # noqa: ARG002
        """Leave the activation as it is."""
        return value

    def product(self, graph: Graph, value: str, name: str) -> str:
        """Quantise, multiply, scale and add in one operator."""
        tensors = (f"{name}.weight", f"{name}.scale", "", f"{name}.bias")
        return graph.fused("DynamicQuantizeMatMul", value, *tensors)

    def attention(self, graph: Graph, query: str, key: str, value: str, layer: str) -> str:  # noqa: ARG002
        """Attend in float32."""
        return float_attention(graph, query, key, value)


class Blocks(Dynamic):
    """Int8 matrices and activations with a scale for each 64 inputs."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def product(self, graph: Graph, value: str, name: str) -> str:
        """Multiply block by block."""
        outputs, blocks, size = self._tensors[f"{name}.weight"].shape
        tensors = (f"{name}.weight", f"{name}.scale", "", "", f"{name}.bias")
        shape = {"K": blocks * size, "N": outputs, "bits": 8, "block_size": size}
        return graph.fused("MatMulNBits", value, *tensors, **shape, accuracy_level=4)


def plain_tensors(trunk: Trunk) -> Tensors:
    """Return int8 tensors by column, no activation looked at."""
    tensors = float_tensors(trunk)
    for name in _names():
        weight = tensors[f"{name}.weight"]
        scale = np.abs(weight).max(axis=0) / 127
        tensors[f"{name}.weight"] = np.rint(weight / scale).astype(np.int8)
        tensors[f"{name}.scale"] = scale.astype(np.float32)
    return tensors


def block_tensors(trunk: Trunk) -> Tensors:
    """Return int8 tensors by column and block of inputs."""
    tensors = float_tensors(trunk)
    for name in _names():
        weight = tensors[f"{name}.weight"].T
        blocks = weight.reshape(len(weight), -1, _BLOCK)
        scale = np.abs(blocks).max(axis=2) / 127
        codes = np.rint(blocks / scale[..., None]) + 128
        tensors[f"{name}.weight"] = codes.astype(np.uint8)
        tensors[f"{name}.scale"] = scale.astype(np.float32)
    return tensors


def static_tensors(trunk: Trunk, seen: Mapping[str, Seen]) -> Tensors:
    """Return int8 tensors with calibrated scales, channels as they are and nothing clipped."""
    return quantise(trunk, seen, powers=(0.0,), clips=(1.0,))


def _names() -> list[str]:
    return [f"layers.{layer}.{matrix}" for layer in range(6) for matrix in _MATRICES]
