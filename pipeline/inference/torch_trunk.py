"""The trunk and its heads in torch, from the same int8 weights that the CPU's graph reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_HEADS = 12
_EPSILON = 1e-12


class Pool(NamedTuple):
    """One of the poolings that features are made of."""

    layer: int
    pooling: str
    units: int


class _Linear(NamedTuple):
    weight: Tensor
    bias: Tensor

    def __call__(self, value: Tensor) -> Tensor:
        return functional.linear(value, self.weight, self.bias)


class _Norm(NamedTuple):
    scale: Tensor
    bias: Tensor

    def __call__(self, value: Tensor) -> Tensor:
        return functional.layer_norm(value, self.scale.shape, self.scale, self.bias, _EPSILON)


class _Layer(NamedTuple):
    joined: _Linear
    output: _Linear
    attention_norm: _Norm
    widen: _Linear
    narrow: _Linear
    norm: _Norm

    def __call__(self, state: Tensor, mask: Tensor) -> Tensor:
        rows, length, width = state.shape
        joined = self.joined(state).view(rows, length, 3, _HEADS, width // _HEADS)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        context = context.transpose(1, 2).reshape(rows, length, width)
        state = self.attention_norm(state + self.output(context))
        wide = functional.gelu(self.widen(state), approximate="tanh")
        return self.norm(state + self.narrow(wide))


class TorchTrunk:
    """From ids and mask to embedding and features, side by side in one tensor.

    Args:
        tensors: of `trunk.safetensors` and `probe.safetensors`.
        pools: what the features are.
        device: where to compute.
        dtype: what matrices compute in; pooling is in float32.
    """

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        pools: Sequence[Pool],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._pools = pools

        def tensor(value: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(value, np.float32)).to(device, dtype)

        def norm(name: str) -> _Norm:
            return _Norm(tensor(tensors[f"{name}.scale"]), tensor(tensors[f"{name}.bias"]))

        def linear(layer: str, names: Sequence[str], site: str) -> _Linear:
            weights = [_weight(tensors, f"{layer}.{name}", f"{layer}.{site}") for name in names]
            biases = [tensors[f"{layer}.{name}.bias"] for name in names]
            return _Linear(tensor(np.concatenate(weights)), tensor(np.concatenate(biases)))

        words = tensors["words.weight"].astype(np.float32) * tensors["words.scale"]
        self._words = tensor(words)
        self._positions = tensor(tensors["positions"])
        self._norm = norm("norm")
        self._probe = [
            torch.from_numpy(tensors[name]).to(device)
            for name in ("probe.weight", "probe.bias")
            if name in tensors
        ]
        self._layers: list[_Layer] = []
        while (name := f"layers.{len(self._layers)}") + ".norm.scale" in tensors:
            self._layers.append(
                _Layer(
                    linear(name, ("query", "key", "value"), "attention"),
                    linear(name, ("output",), "context"),
                    norm(f"{name}.attention_norm"),
                    linear(name, ("widen",), "state"),
                    linear(name, ("narrow",), "wide"),
                    norm(f"{name}.norm"),
                )
            )

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return float32 [rows, 384 + features].

        Args:
            ids: int64 [rows, length].
            mask: int64 likewise, at least one token of each row.
        """
        state = self._norm(self._words[ids] + self._positions[: ids.shape[1]])
        seen = mask.bool()
        attended = seen[:, None, None, :]
        hidden = [state]
        for layer in self._layers:
            state = layer(state, attended)
            hidden.append(state)
        share = (mask / mask.sum(1, keepdim=True)).float()[:, None]
        pooled = [(share @ state.float())[:, 0]]
        for layer_index, pooling, _ in self._pools:
            chosen = hidden[layer_index]
            if pooling == "mean":
                pooled.append((share @ chosen.float())[:, 0])
            elif pooling == "max":
                pooled.append(chosen.masked_fill(~seen[..., None], -torch.inf).amax(1).float())
            elif pooling == "probe":
                units = torch.relu(chosen.float() @ self._probe[0] + self._probe[1])
                pooled.append((units * mask[..., None]).amax(1))
            else:
                pooled.append(chosen[:, 0].float())
        return torch.cat(pooled, 1)


class TorchHeads:
    """The heads' networks in float32, all of them in one tensor.

    Args:
        networks: by head, pairs of a matrix [inputs, units] and a bias [units].
        device: where to compute.
    """

    def __init__(
        self, networks: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], device: torch.device
    ) -> None:
        self._networks = [
            [(torch.from_numpy(w).to(device), torch.from_numpy(b).to(device)) for w, b in layers]
            for layers in networks.values()
        ]

    def __call__(self, features: Tensor, extra: Tensor) -> list[Tensor]:
        """Return the logits of each head, [rows, 1] or [rows, labels].

        Args:
            features: [rows, F].
            extra: [rows, E], which heads read that have more inputs than features.
        """
        both = torch.cat([features, extra], 1)
        found = []
        for layers in self._networks:
            values = both[:, : layers[0][0].shape[0]]
            for matrix, bias in layers[:-1]:
                values = torch.relu(values @ matrix + bias)
            matrix, bias = layers[-1]
            found.append(values @ matrix + bias)
        return found


def _weight(tensors: Mapping[str, np.ndarray], name: str, site: str) -> np.ndarray:
    """Return a matrix [outputs, inputs] in float32, the rescaling of its inputs taken back."""
    weight = tensors[f"{name}.weight"].astype(np.float32) * tensors[f"{name}.scale"]
    smooth = tensors.get(f"{site}.smooth")
    return np.asarray(weight if smooth is None else weight * smooth[:, None]).T
