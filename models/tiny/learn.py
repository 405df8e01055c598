"""Learning: the mean of token vectors comes to match the trunk's embedding of the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.tiny.table import Vectors

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Settings:
    """How the table learns.

    Args:
        epochs: over all texts.
        batch: texts a step; each is compared with all others of its batch.
        leaf: texts in a row that the teacher finds alike: how near is near is learned from these.
        rate: of Adam, for steps as large as the table's vectors; falls to zero like a cosine.
        structure: weight of the similarities' error beside that of the embeddings.
        temperature: of the softmax over a batch's similarities.
        keep: pull towards the first table, which is all that rare tokens know.
        seed: of the order of texts.
    """

    epochs: int = 6
    batch: int = 1024
    leaf: int = 64
    rate: float = 0.03
    structure: float = 1.0
    temperature: float = 0.05
    keep: float = 0.0
    seed: int = 0


def learn(
    first: Vectors,
    tokens: Sequence[NDArray[np.int32]],
    targets: Vectors,
    settings: Settings,
) -> Vectors:
    """Return a better table.

    Args:
        first: (vocabulary, dimensions), where to begin; silent tokens' rows are zero and stay so.
        tokens: ids by text.
        targets: (texts, d) embeddings of the teacher, L2-normalised.
        settings: how.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    generator = np.random.default_rng(settings.seed)
    scale = float(np.abs(first[first.any(axis=1)]).mean())
    start = torch.from_numpy(first / scale)
    table = torch.nn.Parameter(start.clone())
    spoken = torch.from_numpy(first.any(axis=1)).float()[:, None]
    # A turn and a stretch of the student's space lie free: only angles between texts matter.
    turn = torch.nn.Parameter(_turn(first / scale, tokens, targets))
    steps = settings.epochs * (len(tokens) // settings.batch)
    optimiser = torch.optim.Adam([table], lr=settings.rate)
    turner = torch.optim.Adam([turn], lr=settings.rate / 10)
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(one, steps) for one in (optimiser, turner)
    ]
    goals = torch.from_numpy(targets)
    for _ in range(settings.epochs):
        order = alike_together(targets, settings.leaf, generator)
        for at in range(0, len(order) - settings.batch + 1, settings.batch):
            chosen = order[at : at + settings.batch]
            bags = [tokens[one] for one in chosen]
            flat = torch.from_numpy(np.concatenate(bags)).long()
            offsets = torch.from_numpy(np.cumsum([0, *map(len, bags[:-1])])).long()
            student = functional.normalize(
                functional.embedding_bag(flat, table, offsets, mode="sum"), dim=1
            )
            goal = goals[chosen]
            loss = (1 - functional.cosine_similarity(student @ turn, goal)).mean()
            alike, wanted = student @ student.T, goal @ goal.T
            loss = loss + settings.structure * _disagreement(alike, wanted, settings.temperature)
            if settings.keep:
                touched = torch.unique(flat)
                loss = loss + settings.keep * (table[touched] - start[touched]).square().mean()
            optimiser.zero_grad()
            turner.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if table.grad is not None:
                table.grad.mul_(spoken)
            optimiser.step()
            turner.step()
            for schedule in schedules:
                schedule.step()
    return (table.detach().numpy() * scale).astype(np.float32)


def alike_together(targets: Vectors, leaf: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return an order of texts in which those that lie near each other follow each other.

    Args:
        targets: (texts, d) embeddings.
        leaf: texts that stay together; whole leaves come in a random order.
        generator: of the planes that divide the texts in halves.
    """
    leaves: list[NDArray[np.intp]] = []
    waiting = [np.arange(len(targets))]
    while waiting:
        members = waiting.pop()
        if len(members) <= leaf:
            leaves.append(members)
            continue
        # The plane between two of its members divides a group where it spreads.
        one, other = targets[generator.choice(members, 2, replace=False)]
        order = members[np.argsort(targets[members] @ (one - other), kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return np.concatenate([leaves[at] for at in generator.permutation(len(leaves))])


def _disagreement(alike: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how far the student's neighbours in a batch are from the teacher's, and how near."""
    import torch
    from torch.nn import functional

    others = ~torch.eye(len(alike), dtype=torch.bool)
    size = len(alike)
    alike, wanted = (m[others].view(size, size - 1) for m in (alike, wanted))
    neighbours = functional.kl_div(
        functional.log_softmax(alike / temperature, dim=1),
        functional.log_softmax(wanted / temperature, dim=1),
        log_target=True,
        reduction="batchmean",
    )
    return neighbours + 10 * (alike - wanted).square().mean()


def _turn(first: Vectors, tokens: Sequence[NDArray[np.int32]], targets: Vectors) -> torch.Tensor:
    """Return the linear map from the student's space to the teacher's that fits best at first."""
    import torch

    some = range(0, len(tokens), max(1, len(tokens) // 20_000))
    student = np.stack([first[tokens[at]].sum(axis=0) for at in some])
    student /= np.linalg.norm(student, axis=1, keepdims=True).clip(1e-9)
    gram = student.T @ student + 1e-2 * len(student) / student.shape[1] * np.eye(student.shape[1])
    return torch.from_numpy(np.linalg.solve(gram, student.T @ targets[list(some)]).astype("f4"))
