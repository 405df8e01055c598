"""The small tier's guard heads: a probe that looks at each token of a layer, and small networks.

    layer 4's states -> linear, ReLU, largest over tokens -> 128 numbers -+-> 48 units -> a logit
                     -> mean over tokens -----------------> 384 numbers --+

The largest over tokens finds a short attack in a long window, which a mean drowns. The probe is
shared by both heads and the trunk stays as it is, so that its embedding does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.export.trunk import WIDTH
from models.guard.samples import HEADS, Samples, targets
from models.guard.states import States
from pipeline.inference.contract import Ids

if TYPE_CHECKING:
    import torch

UNITS = 128
_HIDDEN = 48
_EPOCHS = 4
_RATE = 1e-3
_DECAY = 0.02
_BATCH_TOKENS = 4096
# Soft targets: nobody is sure of a label, and a guard that is sure cannot be calibrated.
_DOUBT = 0.02
_DROPPED_TOKENS = 0.08
Floats = NDArray[np.float64]


def train(
    samples: Samples, states: States, seed: int, epochs: int = _EPOCHS
) -> Mapping[str, NDArray[np.float32]]:
    """Fit the probe and the heads, and return their tensors.

    Args:
        samples: to train on; windows with special tokens.
        states: holds all their windows.
        seed: of the first weights, the order and the dropout.
        epochs: passes over the samples.

    Returns:
        `probe.weight` [384, UNITS], `probe.bias`, and each head's layers, which read the mean of
        the last layer (not used), the mean of the probe's layer, and the probe.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    pairs = [targets(samples, head) for head in HEADS]
    wanted = torch.tensor(np.stack([pair[0] for pair in pairs], 1), dtype=torch.float32)
    weights = torch.tensor(np.stack([pair[1] for pair in pairs], 1), dtype=torch.float32)
    rows = np.flatnonzero(weights.sum(1).numpy() > 0)
    network = network_of()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    steps = epochs * len(_batches(samples.windows, rows, chance))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _RATE, total_steps=steps + 10 * epochs, pct_start=0.1
    )
    for epoch in range(epochs):
        network.train()
        total = 0.0
        batches = _batches(samples.windows, rows, chance)
        for batch in batches:
            tokens, mask = load(samples.windows, batch, states)
            mask = mask * (torch.rand_like(mask) > _DROPPED_TOKENS)
            mask[:, 0] = 1
            soft = wanted[batch] * (1 - 2 * _DOUBT) + _DOUBT
            each = functional.binary_cross_entropy_with_logits(
                network(tokens, mask), soft, reduction="none"
            )
            loss = (each * weights[batch]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss)
        print(f"  probe: epoch {epoch + 1}, loss {total / len(batches):.4f}", flush=True)
    return _tensors(network)


def network_of() -> torch.nn.Module:
    """Return the probe with both heads, untrained; it takes [n, t, 384] states and [n, t] mask."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.probe = torch.nn.Linear(WIDTH, UNITS)
            self.first = torch.nn.ModuleList(torch.nn.Linear(WIDTH + UNITS, _HIDDEN) for _ in HEADS)
            self.last = torch.nn.ModuleList(torch.nn.Linear(_HIDDEN, 1) for _ in HEADS)
            self.dropout = torch.nn.Dropout(0.25)

        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            share = mask / mask.sum(1, keepdim=True)
            found = (torch.relu(self.probe(tokens)) * mask[:, :, None]).amax(1)
            mean = (tokens * share[:, :, None]).sum(1)
            joined = self.dropout(torch.cat([mean, found], 1))
            logits = [
                last(torch.relu(first(joined)))
                for first, last in zip(self.first, self.last, strict=True)
            ]
            return torch.cat(logits, 1)

    return Network()


def load(
    windows: Sequence[Ids], batch: Sequence[int], states: States
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states of some windows, [n, longest, 384], and their mask [n, longest]."""
    import torch

    longest = max(len(windows[row]) for row in batch)
    tokens = torch.zeros(len(batch), longest, WIDTH)
    mask = torch.zeros(len(batch), longest)
    for place, row in enumerate(batch):
        found = states.tokens(windows[row])
        tokens[place, : len(found)] = torch.from_numpy(found.astype(np.float32))
        mask[place, : len(found)] = 1
    return tokens, mask


def _batches(
    windows: Sequence[Ids], rows: NDArray[np.intp], chance: np.random.Generator
) -> list[list[int]]:
    """Return the rows in batches of like length, in a new order each time."""
    lengths = np.array([len(windows[row]) for row in rows]) + chance.random(len(rows)) * 6
    found: list[list[int]] = [[]]
    for row in rows[np.argsort(lengths)]:
        if (len(found[-1]) + 1) * len(windows[row]) > _BATCH_TOKENS and found[-1]:
            found.append([])
        found[-1].append(int(row))
    return [found[place] for place in chance.permutation(len(found))]


def _tensors(network: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return the network's tensors; the heads do not read the last layer's mean, which is first."""
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    tensors = {
        "probe.weight": np.ascontiguousarray(state["probe.weight"].T),
        "probe.bias": state["probe.bias"],
    }
    unread = np.zeros((_HIDDEN, WIDTH), np.float32)
    for number, head in enumerate(HEADS):
        tensors[f"{head}.0.weight"] = np.hstack([unread, state[f"first.{number}.weight"]])
        tensors[f"{head}.0.bias"] = state[f"first.{number}.bias"]
        tensors[f"{head}.1.weight"] = state[f"last.{number}.weight"]
        tensors[f"{head}.1.bias"] = state[f"last.{number}.bias"]
    return tensors
