"""What the frozen trunk makes of windows, computed once and kept on disk.

Training reads a window's hidden states of one layer, token by token, and its mean over the last.
The trunk runs in bfloat16, which is what a GPU serves with; an int8 trunk differs by about as
much.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.export.trunk import WIDTH, find_weights

if TYPE_CHECKING:
    import torch

CACHE = Path(os.environ.get("DRAGOMAN_FEATURES", "build/features"))
LAYER = 4
_BATCH_TOKENS = 6144
Ids = NDArray[np.int32]


class States:
    """Hidden states by window, in files that only grow.

    Args:
        folder: of the files.
        threads: of the trunk.
    """

    def __init__(self, folder: Path = CACHE, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        folder.mkdir(parents=True, exist_ok=True)
        self._places: dict[bytes, int] = {}
        self._starts = [0]
        self._read_index()

    def add(self, windows: Sequence[Ids]) -> None:
        """Compute what is not there yet; a run that was cut short goes on where it was.

        Args:
            windows: token ids, special ones among them.
        """
        missing = {_name(ids): ids for ids in windows if _name(ids) not in self._places}
        if not missing:
            return
        batches = list(_batches(sorted(missing.values(), key=len)))
        for number, (batch, states, means) in enumerate(self._compute(batches)):
            self._append(batch, states, means)
            if number % 20 == 0:
                print(f"  trunk: batch {number + 1} of {len(batches)}", flush=True)

    def tokens(self, ids: Ids) -> NDArray[np.float16]:
        """Return [tokens, 384], the states of `LAYER`."""
        place = self._places[_name(ids)]
        begin, end = self._starts[place], self._starts[place + 1]
        return np.asarray(self._memory()[begin:end])

    def means(self, windows: Sequence[Ids]) -> NDArray[np.float32]:
        """Return [windows, 384], the means of the last layer's tokens."""
        rows = np.fromfile(self._folder / "means.f16", np.float16).reshape(-1, WIDTH)
        return rows[[self._places[_name(ids)] for ids in windows]].astype(np.float32)

    def _memory(self) -> NDArray[np.float16]:
        size = self._starts[-1]
        return np.memmap(self._folder / "tokens.f16", np.float16, "r", shape=(size, WIDTH))

    def _read_index(self) -> None:
        index = self._folder / "index.bin"
        raw = index.read_bytes() if index.exists() else b""
        for at in range(0, len(raw) - 19, 20):
            self._places[raw[at : at + 16]] = len(self._places)
            self._starts.append(self._starts[-1] + int.from_bytes(raw[at + 16 : at + 20], "big"))
        for name, rows in (("tokens.f16", self._starts[-1]), ("means.f16", len(self._places))):
            if (path := self._folder / name).exists():
                os.truncate(path, rows * WIDTH * 2)

    def _append(
        self,
        batch: Sequence[Ids],
        states: Sequence[NDArray[np.float16]],
        means: NDArray[np.float16],
    ) -> None:
        for name, rows in (("tokens.f16", np.concatenate(states)), ("means.f16", means)):
            with (self._folder / name).open("ab") as file:
                file.write(np.ascontiguousarray(rows, np.float16).tobytes())
        # The index last: what it does not name yet was not written whole.
        with (self._folder / "index.bin").open("ab") as file:
            for ids in batch:
                file.write(_name(ids) + len(ids).to_bytes(4, "big"))
                self._places[_name(ids)] = len(self._places)
                self._starts.append(self._starts[-1] + len(ids))

    def _compute(
        self, batches: Sequence[Sequence[Ids]]
    ) -> Iterator[tuple[Sequence[Ids], list[NDArray[np.float16]], NDArray[np.float16]]]:
        import torch
        from transformers import AutoModel

        torch.set_num_threads(self._threads)
        trunk = AutoModel.from_pretrained(find_weights()).eval().to(torch.bfloat16)
        for batch in batches:
            ids, mask = padded(batch)
            with torch.inference_mode():
                found = trunk(input_ids=ids, attention_mask=mask, output_hidden_states=True)
                last = found.hidden_states[-1].float()
                weights = (mask / mask.sum(1, keepdim=True)).float()[:, None]
                means = torch.bmm(weights, last)[:, 0].half().numpy()
                states = found.hidden_states[LAYER].half().numpy()
            yield batch, [states[row, : len(one)] for row, one in enumerate(batch)], means


def padded(batch: Sequence[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, both [windows, tokens] int64."""
    import torch

    longest = max(map(len, batch))
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for row, one in enumerate(batch):
        ids[row, : len(one)] = torch.from_numpy(one.astype(np.int64))
        mask[row, : len(one)] = 1
    return ids, mask


def _batches(windows: Sequence[Ids]) -> Iterator[list[Ids]]:
    """Yield windows of like length, so many that a batch fills."""
    batch: list[Ids] = []
    for ids in windows:
        if batch and (len(batch) + 1) * len(ids) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(ids)
    if batch:
        yield batch


def _name(ids: Ids) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(ids, np.int32).tobytes(), digest_size=16).digest()
