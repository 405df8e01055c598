"""The files of an exported trunk: the graph in ONNX, its tensors in safetensors beside it.

ONNX lets a tensor lie in another file at an offset, and a safetensors file is a header and then
tensors at offsets. So one set of int8 weights serves `onnxruntime` through the graph, and torch,
which has no use for a graph, by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.export.features import Features
from models.export.trunk import WIDTH

if TYPE_CHECKING:
    from onnx import ModelProto

GRAPH = "trunk.int8.onnx"
WEIGHTS = "trunk.safetensors"
PROBE = "probe.safetensors"
# A tensor smaller than this stays in the graph: the runtime looks at scales when it loads it.
_INSIDE_BYTES = 1024


def save(folder: Path, model: ModelProto, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write the graph and the trunk's tensors; those of a probe are there already.

    Args:
        folder: where to.
        model: with its tensors inside; it is changed.
        tensors: of the trunk, by the same names.
    """
    from onnx import TensorProto
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    places = {
        name: (file, *place)
        for file in (WEIGHTS, PROBE)
        if (folder / file).exists()
        for name, place in offsets(folder / file).items()
    }
    for tensor in model.graph.initializer:
        if tensor.name not in places or len(tensor.raw_data) < _INSIDE_BYTES:
            continue
        file, begin, length = places[tensor.name]
        entries = {"location": file, "offset": str(begin), "length": str(length)}
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
    (folder / GRAPH).write_bytes(model.SerializeToString())


def offsets(file: Path) -> dict[str, tuple[int, int]]:
    """Return where each tensor lies in a safetensors file: its offset and length in bytes."""
    with file.open("rb") as raw:
        size = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(size))
    header.pop("__metadata__", None)
    return {
        name: (8 + size + begin, end - begin)
        for name, (begin, end) in ((name, one["data_offsets"]) for name, one in header.items())
    }


def load_probe(folder: Path, features: Features) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of the probe that features are made of; none where they are not.

    Raises:
        FileNotFoundError: it was not trained yet.
        ValueError: it is of another size.
    """
    from safetensors.numpy import load_file

    units = [pool.units for pool in features.pools if pool.pooling == "probe"]
    if not units:
        return {}
    tensors: dict[str, NDArray[np.float32]] = load_file(folder / PROBE)
    if tensors["probe.weight"].shape != (WIDTH, units[0]) or len(units) > 1:
        raise ValueError(f"{folder / PROBE} is not the one of {units} units")
    return tensors
