"""The small tier in torch: on a GPU in bfloat16 by CUDA graphs, on a CPU for comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.inference.contract import EMBEDDING, Rows, Vector, Window
from pipeline.inference.graphs import Graphs, Shape, Shapes
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.shipped import (
    PROBE,
    WEIGHTS,
    Shipped,
    extra_of,
    head_weights,
    in_order,
    padded,
)
from pipeline.inference.text_features import NAMES

if TYPE_CHECKING:
    import torch

    from pipeline.inference.torch_trunk import Pool

FEATURES = "features.json"


class TorchModel(Shipped):
    """The trunk and all heads in torch, in one graph on a GPU.

    Args:
        folder: of the model.
        device: `cpu`, `cuda` or `cuda:N`.
        windows: read of one text at most.
        batch_tokens: in one pass, padding among them.
        compiled: let torch fuse kernels first, which takes minutes at start.

    Raises:
        InvalidModel: a file is not what the manifest says, or the device is not there.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str = "cuda",
        windows: int = 16,
        batch_tokens: int = 8192,
        compiled: bool = False,
    ) -> None:
        import torch  # noqa: PLC0415

        self._device = usable_device(device)
        on_gpu = self._device.type == "cuda"
        pools = _pools(folder)
        super().__init__(
            folder,
            head_weights(folder),
            features=sum(pool.units for pool in pools),
            windows=windows,
        )
        self._shapes = Shapes(folder.manifest.max_tokens, batch_tokens)
        compute = _compute(self, folder, pools, torch.bfloat16 if on_gpu else torch.float32)
        if compiled:
            compute = torch.compile(compute, dynamic=True)
        self._graphs = Graphs(compute, self._device) if on_gpu else None
        self._compute = self._graphs or compute

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        """Compute the heads of windows; see `Model`."""
        import torch  # noqa: PLC0415

        parts, found = [], []
        with torch.inference_mode():
            for shape, places in self._shapes.batches(windows):
                parts.append(places)
                found.append(self._run([windows[place] for place in places], shape))
        columns = in_order(parts, found)
        rows = {EMBEDDING: columns[:, : self.dimensions]}
        begin = self.dimensions
        for name in self.networked:
            labels = len(self.heads[name].labels)
            end = begin + (labels or 1)
            rows[name] = columns[:, begin:end] if labels else columns[:, begin]
            begin = end
        return {name: rows[name] for name in heads}

    def warm(self) -> None:
        """Record the graphs of the shapes that come most."""
        import torch  # noqa: PLC0415

        shapes = list(self._shapes.common()) if self._graphs else [self._shapes.of(1, 1)]
        with torch.inference_mode():
            for shape in shapes:
                self._run([Window(np.full(shape.length, 100, np.int32))], shape)

    def close(self) -> None:
        """Give the GPU's memory back."""
        import torch  # noqa: PLC0415

        if self._graphs is not None:
            self._graphs.clear()
            torch.cuda.empty_cache()

    def _run(self, windows: Sequence[Window], shape: Shape) -> Vector:
        import torch  # noqa: PLC0415

        extra = np.zeros((shape.rows, len(NAMES)), np.float32)
        for row, window in enumerate(windows):
            extra[row] = extra_of(window)
        arrays = [*padded(windows, shape.length, shape.rows), extra]
        found = self._compute(*map(torch.from_numpy, arrays))
        return found[: len(windows)].numpy().copy()


def usable_device(name: str) -> torch.device:
    """Return a device that is there.

    Raises:
        InvalidModel: torch sees no such GPU.
    """
    import torch  # noqa: PLC0415

    device = torch.device(name)
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise InvalidModel(
            f"torch {torch.__version__} sees {count} GPUs, so there is no {name}: "
            f"set `device: cpu`, or install a torch that was built for this machine's GPU",
            "device",
        )
    return device


def _pools(folder: ModelFolder) -> list[Pool]:
    from pipeline.inference.torch_trunk import Pool  # noqa: PLC0415

    said = folder.read_json(FEATURES).get("poolings")
    if not isinstance(said, list):
        raise InvalidModel(f"{folder.place.joinpath(FEATURES)} has no poolings")
    width = folder.manifest.dimensions
    return [
        Pool(int(one["layer"]), str(one["pooling"]), int(one.get("units", width))) for one in said
    ]


def _compute(
    model: TorchModel, folder: ModelFolder, pools: Sequence[Pool], dtype: torch.dtype
) -> Callable[..., torch.Tensor]:
    """Return what makes embedding and logits, side by side, of ids, mask and extra numbers."""
    import torch  # noqa: PLC0415
    from safetensors.numpy import load  # noqa: PLC0415

    from pipeline.inference.torch_trunk import TorchHeads, TorchTrunk  # noqa: PLC0415

    tensors = load(folder.read(WEIGHTS))
    if PROBE in folder.manifest.files:
        tensors |= load(folder.read(PROBE))
    trunk = TorchTrunk(tensors, pools, model.device, dtype)
    networks = {name: model.network.layers(name) for name in model.networked}
    heads = TorchHeads(networks, model.device)
    dimensions = model.dimensions

    def compute(ids: torch.Tensor, mask: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        pooled = trunk(ids, mask)
        embedding, features = pooled[:, :dimensions], pooled[:, dimensions:]
        return torch.cat([embedding, *heads(features, extra)], 1)

    return compute
