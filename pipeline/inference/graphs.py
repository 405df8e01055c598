"""Shapes of batches on a GPU, and the CUDA graphs that are recorded once for each of them.

A small encoder's kernels are done sooner than Python launches them. A graph replays all launches
of a pass at once, but for one shape only, so batches are padded to few shapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from pipeline.inference.contract import Window

_STEP = 32
_SHORTEST = 16


class Shape(NamedTuple):
    """Of a batch, padding among it."""

    rows: int
    """Windows."""

    length: int
    """Tokens in each."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The few shapes that batches are padded to.

    Args:
        max_length: tokens of the longest window.
        batch_tokens: in one batch, padding among them.
    """

    max_length: int
    batch_tokens: int
    lengths: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        """Lengths rise by a half at first and by 32 tokens from 64 on; the longest closes."""
        steps = [_SHORTEST, _STEP, 48, *range(2 * _STEP, self.max_length, _STEP)]
        lengths = [*(step for step in steps if step < self.max_length), self.max_length]
        object.__setattr__(self, "lengths", tuple(lengths))

    def of(self, rows: int, length: int) -> Shape:
        """Return the least shape that holds a batch; rows are a power of two, or three halves."""
        at = bisect_left(self.lengths, length)
        # A window longer than any configured is a shape of its own.
        padded = self.lengths[at] if at < len(self.lengths) else length
        whole = 1 << (rows - 1).bit_length()
        return Shape(whole * 3 // 4 if whole >= 4 and rows <= whole * 3 // 4 else whole, padded)

    def batches(self, windows: Sequence[Window]) -> Iterator[tuple[Shape, list[int]]]:
        """Part windows into batches of like length.

        Yields:
            A shape, and the places of the windows in it.
        """
        places = sorted(range(len(windows)), key=lambda place: len(windows[place].ids))
        while places:
            # From the longest down, so that short ones are not padded to it.
            length = self.of(1, len(windows[places[-1]].ids)).length
            shorter = self.lengths[max(0, bisect_left(self.lengths, length) - 1)]
            room = max(1, self.batch_tokens // length)
            alike = sum(len(windows[place].ids) > shorter for place in places[-room:])
            count = min(room, max(1, alike), len(places))
            yield self.of(count, length), places[-count:]
            del places[-count:]

    def common(self) -> Iterator[Shape]:
        """Yield the shapes to record before the first request: those of few windows."""
        for length in self.lengths:
            for rows in (1, 2, 4, 8):
                if rows * length <= self.batch_tokens:
                    yield Shape(rows, length)


@dataclass(frozen=True, slots=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    # By input: in pinned memory, from where a copy needs no stop of the device, and on it.
    inputs: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    out: torch.Tensor
    out_pinned: torch.Tensor


class Graphs:
    """Runs a computation by replaying what was recorded for a batch's shape.

    Args:
        compute: from tensors on the device, [rows, ...] each, to one tensor [rows, n].
        device: a CUDA device.
        keep: graphs at most; the least used goes.
    """

    def __init__(
        self, compute: Callable[..., torch.Tensor], device: torch.device, keep: int = 96
    ) -> None:
        self._compute = compute
        self._device = device
        self._keep = keep
        self._pool: Any = None
        self._recorded: OrderedDict[Shape, _Recorded] = OrderedDict()

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute; the result, in this machine's memory, stands until the next call.

        Args:
            inputs: in this machine's memory; the first is [rows, length] and tells the shape.
        """
        import torch  # noqa: PLC0415

        shape = Shape(inputs[0].shape[0], inputs[0].shape[1])
        with torch.cuda.device(self._device):
            found = self._recorded.get(shape)
            if found is None:
                found = self._recorded[shape] = self._record(inputs)
                if len(self._recorded) > self._keep:
                    self._recorded.popitem(last=False)
            self._recorded.move_to_end(shape)
            for value, (pinned, on_device) in zip(inputs, found.inputs, strict=True):
                pinned.copy_(value)
                on_device.copy_(pinned, non_blocking=True)
            found.graph.replay()
            found.out_pinned.copy_(found.out, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        return found.out_pinned

    def clear(self) -> None:
        """Give the graphs' memory back."""
        self._recorded.clear()
        self._pool = None

    def _record(self, inputs: Sequence[torch.Tensor]) -> _Recorded:
        import torch  # noqa: PLC0415

        own = [value.to(self._device) for value in inputs]
        # Libraries allocate and choose kernels in the first runs, which no graph may hold.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self._compute(*own)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = self._compute(*own)
        # Graphs replay one after the other, so all of them work in the same memory.
        self._pool = self._pool or graph.pool()
        pinned = [torch.empty_like(value, device="cpu").pin_memory() for value in own]
        out_pinned = torch.empty_like(out, device="cpu").pin_memory()
        return _Recorded(graph, tuple(zip(pinned, own, strict=True)), out, out_pinned)
