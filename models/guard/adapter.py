"""`python -m models.guard.adapter`: would a low-rank adapter of the trunk beat the frozen one?

All ways fit the probe and heads that ship, on the same texts in the same order: on layer 4 as it
is, on layer 6 as it is, and on layer 6 behind two layers whose queries and values have an adapter
that is fitted along (LoRA, arXiv:2106.09685). Nothing is written: it prints each way's AUC.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.data.corpus import SEED, corpus
from models.data.example import Example, Part
from models.evaluation.figures import auc, resampled
from models.export.trunk import EPSILON, HEADS, Layer, Linear, Norm, find_weights, load_trunk
from models.guard import probe
from models.guard.assembling import FOLDER
from models.guard.samples import HEADS as NAMES
from models.guard.samples import UNKNOWN, Samples, cut, targets
from models.guard.states import LAYER, States

if TYPE_CHECKING:
    import torch

_RATE = 1e-3
_EPOCHS = 3
_BATCH = 32


def main() -> None:
    """Fit all ways on a part of the training texts, and measure them on a part of the test's."""
    parser = argparse.ArgumentParser(prog="python -m models.guard.adapter", description=__doc__)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--train", type=int, default=3000, help="texts to fit on")
    parser.add_argument("--test", type=int, default=1500, help="texts to measure on")
    arguments = parser.parse_args()
    parts = corpus()
    states = States()
    train = _samples(parts["train"], "train", arguments.train, states)
    test = _samples(parts["test"], "test", arguments.test, states)
    print(f"{len(train.windows)} windows to fit on, {len(test.windows)} to measure on", flush=True)
    ways = {"layer 4": None, "layer 6": 0, f"layer 6, rank {arguments.rank}": arguments.rank}
    for name, rank in ways.items():
        began_s = time.process_time()
        logits = _fitted(train, test, states, rank)
        for place, head in enumerate(NAMES):
            labels, scores = test.labels(head), test.pooled(logits[:, place])
            known = labels != UNKNOWN
            found = resampled(head, auc, scores[known], labels[known])
            print(f"{name}, {head}: AUC {found.value:.3f} ({found.low:.3f}-{found.high:.3f})")
        print(f"{name}: {time.process_time() - began_s:.0f} s of one processor", flush=True)


def _samples(examples: Sequence[Example], part: Part, amount: int, states: States) -> Samples:
    chance = np.random.default_rng(SEED)
    chosen = [examples[place] for place in chance.permutation(len(examples))[:amount]]
    samples = cut(chosen, part, FOLDER / "small" / "tokenizer.json", special=True)
    states.add(samples.windows)
    return samples


def _fitted(train: Samples, test: Samples, states: States, rank: int | None) -> NDArray[np.float64]:
    """Return the logits of the test's windows, [windows, heads].

    Args:
        train: to fit on.
        test: to measure on.
        states: holds the windows of both.
        rank: of the adapter, 0 for layer 6 without one; None for layer 4.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    network = probe.network_of()
    tail = None if rank is None else adapted(rank)
    parameters = [*network.parameters(), *(tail.parameters() if tail is not None else ())]
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.02)
    pairs = [targets(train, head) for head in NAMES]
    wanted = torch.tensor(np.stack([pair[0] for pair in pairs], 1), dtype=torch.float32)
    weights = torch.tensor(np.stack([pair[1] for pair in pairs], 1), dtype=torch.float32)

    def logits_of(samples: Samples, batch: Sequence[int]) -> torch.Tensor:
        tokens, mask = probe.load(samples.windows, batch, states)
        found: torch.Tensor = network(tokens if tail is None else tail(tokens, mask), mask)
        return found

    chance = np.random.default_rng(SEED)
    for _ in range(_EPOCHS):
        for batch in _batches(train, chance):
            each = functional.binary_cross_entropy_with_logits(
                logits_of(train, batch), wanted[batch], reduction="none"
            )
            loss = (each * weights[batch]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.eval()
    logits = np.zeros((len(test.windows), len(NAMES)))
    with torch.inference_mode():
        for batch in _batches(test, chance):
            logits[batch] = logits_of(test, batch).numpy()
    return logits


def _batches(samples: Samples, chance: np.random.Generator) -> list[list[int]]:
    """Return all windows in batches of like length, in a new order each time."""
    order = np.argsort([len(ids) for ids in samples.windows], kind="stable").tolist()
    found = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
    return [found[place] for place in chance.permutation(len(found))]


def adapted(rank: int) -> torch.nn.Module:
    """Return the layers behind the probe's, frozen but for their adapters.

    They take [n, t, 384] states and [n, t] mask.
    """
    import torch
    from torch.nn import functional

    def linear(value: torch.Tensor, its: Linear) -> torch.Tensor:
        return functional.linear(value, _tensor(its.weight.T), _tensor(its.bias))

    def norm(value: torch.Tensor, its: Norm) -> torch.Tensor:
        shape = value.shape[-1:]
        return functional.layer_norm(value, shape, _tensor(its.scale), _tensor(its.bias), EPSILON)

    class Tail(torch.nn.Module):
        def __init__(self, layers: Sequence[Layer]) -> None:
            super().__init__()
            self._layers = layers
            width = len(layers[0].query.bias)
            down = [torch.randn(rank, width) / max(rank, 1) ** 0.5 for _ in range(2 * len(layers))]
            self.down = torch.nn.ParameterList(down)
            self.up = torch.nn.ParameterList([torch.zeros(width, rank) for _ in down])

        def forward(self, state: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            for number, layer in enumerate(self._layers):
                state = self._layer(state, mask[:, None, None].bool(), layer, 2 * number)
            return state

        def _layer(
            self, state: torch.Tensor, mask: torch.Tensor, layer: Layer, first: int
        ) -> torch.Tensor:
            query, value = (
                linear(state, its) + state @ self.down[place].T @ self.up[place].T
                for place, its in ((first, layer.query), (first + 1, layer.value))
            )
            query, key, value = (
                one.unflatten(-1, (HEADS, -1)).transpose(1, 2)
                for one in (query, linear(state, layer.key), value)
            )
            context = functional.scaled_dot_product_attention(query, key, value, mask)
            change = linear(context.transpose(1, 2).flatten(2), layer.output)
            state = norm(state + change, layer.attention_norm)
            change = linear(functional.gelu(linear(state, layer.widen)), layer.narrow)
            return norm(state + change, layer.norm)

    return Tail(load_trunk(find_weights()).layers[LAYER:])


def _tensor(values: NDArray[np.float32]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


if __name__ == "__main__":
    main()
