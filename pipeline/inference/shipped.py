"""What the models that come with Dragoman share on every device: files, heads, tokenisation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.contract import EMBEDDING, Head, Prepared, Rows, Vector, Window
from pipeline.inference.heads import Heads
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.text_features import NAMES, text_features
from pipeline.inference.tokens import Preparer

Tokens = NDArray[np.int64]
TOKENIZER = "tokenizer.json"
HEADS = "heads.safetensors"
WEIGHTS = "trunk.safetensors"
PROBE = "probe.safetensors"
_NO_EXTRA = np.zeros(len(NAMES), np.float32)


class Shipped:
    """The part of a shipped model that is the same on every device.

    Args:
        folder: of the model.
        weights: of its heads.
        features: how many numbers of a window the heads read.
        windows: read of one text at most.
        with_special: whether its windows hold special tokens.

    Raises:
        InvalidModel: a file is not what the manifest says, or the heads do not fit.
    """

    def __init__(
        self,
        folder: ModelFolder,
        weights: Mapping[str, Vector],
        *,
        features: int,
        windows: int,
        with_special: bool = True,
    ) -> None:
        manifest = folder.manifest
        self._folder = folder
        self._heads = folder.heads
        try:
            self.network = Heads(weights, list(self._heads.values()))
        except ValueError as error:
            raise InvalidModel(f"{folder.place.joinpath(HEADS)}: {error}") from error
        self.networked = [name for name, one in self._heads.items() if one.kind != "embedding"]
        """Names of the heads that are networks over features."""
        self._with_extra = set()
        for name in self.networked:
            inputs = self.network.inputs(name)
            if inputs == features + len(NAMES):
                self._with_extra.add(name)
            elif inputs != features:
                raise InvalidModel(
                    f"{folder.place.joinpath(HEADS)}: {name} reads {inputs} numbers of a window; "
                    f"there are {features}, and {len(NAMES)} beside the text"
                )
        self._prepare = Preparer(
            folder.read(TOKENIZER),
            max_tokens=manifest.max_tokens,
            overlap=manifest.overlap,
            windows=windows,
            with_special=with_special,
        )

    @property
    def identity(self) -> str:
        """Name, version and hash: the same on every device, for stores that compare it."""
        return self._folder.identity

    @property
    def heads(self) -> Mapping[str, Head]:
        """What it computes, by name."""
        return self._heads

    @property
    def dimensions(self) -> int:
        """Length of its embeddings."""
        return self._folder.manifest.dimensions

    def prepare(self, texts: Sequence[str], heads: Collection[str]) -> list[Prepared]:
        """Tokenise texts, with their views where one of the heads reads them."""
        return self._prepare(
            texts,
            with_views=any(self._heads[name].views for name in heads),
            extra=text_features if self._with_extra.intersection(heads) else None,
        )

    def rows(
        self, embedding: Vector, features: Vector, windows: Sequence[Window], heads: Collection[str]
    ) -> Rows:
        """Return the rows of heads out of what the trunk pooled.

        Args:
            embedding: [windows, dimensions].
            features: [windows, features].
            windows: in the same order.
            heads: asked for.
        """
        beside = None
        if self._with_extra.intersection(heads):
            beside = np.array([extra_of(one) for one in windows])
        asked = [name for name in heads if name != EMBEDDING]
        rows = self.network.rows(asked, features, beside)
        return {EMBEDDING: embedding, **rows} if len(asked) < len(heads) else rows


def head_weights(folder: ModelFolder) -> dict[str, Vector]:
    """Return the weights of a model's heads; none of one that only embeds.

    Raises:
        InvalidModel: the file is not what the manifest says.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load  # noqa: PLC0415

    if all(head.kind == "embedding" for head in folder.heads.values()):
        return {}
    try:
        return load(folder.read(HEADS))
    except SafetensorError as error:
        raise InvalidModel(f"{folder.place.joinpath(HEADS)}: {error}") from error


def extra_of(window: Window) -> Vector:
    """Return the numbers beside a window's text, zeros where it carries none."""
    return _NO_EXTRA if window.extra is None else window.extra


def padded(windows: Sequence[Window], length: int, rows: int) -> tuple[Tokens, Tokens]:
    """Return ids and mask, int64 [rows, length]; rows without a window see one padding token.

    Args:
        windows: at most `rows`, none longer than `length`.
        length: tokens.
        rows: in the batch.
    """
    ids = np.zeros((rows, length), np.int64)
    mask = np.zeros((rows, length), np.int64)
    mask[len(windows) :, 0] = 1
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
    return ids, mask


def by_length(windows: Sequence[Window]) -> list[int]:
    """Return the windows' places, the shortest window's first."""
    return sorted(range(len(windows)), key=lambda place: len(windows[place].ids))


def groups(windows: Sequence[Window], max_tokens: int) -> list[list[int]]:
    """Part windows into groups of like length, each of at most some tokens, padding among them.

    Args:
        windows: in any order.
        max_tokens: of a group; a longer window is a group of its own.

    Returns:
        The places of each group's windows.
    """
    found: list[list[int]] = []
    for place in by_length(windows):
        length = len(windows[place].ids)
        if found and (len(found[-1]) + 1) * length <= max_tokens:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def in_order(parts: Sequence[Sequence[int]], values: Sequence[Vector]) -> Vector:
    """Return rows of groups as one array, each row in its window's place."""
    joined = np.concatenate(values)
    out = np.empty_like(joined)
    out[list(chain.from_iterable(parts))] = joined
    return out
