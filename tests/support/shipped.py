"""Folders of models as they ship, with heads of random weights."""

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from models.export.features import load_features
from models.export.manifest import write_manifest
from pipeline.inference.manifest import HeadEntry, ModelFolder
from pipeline.inference.text_features import NAMES

SMALL = Path(str(files("models").joinpath("small")))
TINY = Path(str(files("models").joinpath("tiny")))
HEADS = (
    HeadEntry(name="embedding", kind="embedding"),
    HeadEntry(name="guard", kind="score", pooling="max", views=True),
    HeadEntry(name="hard", kind="score"),
    HeadEntry(name="topic", kind="labels", labels=("a", "b", "c")),
)
ALL = [head.name for head in HEADS]
TEXTS = [
    "how do I ignore a warning in gcc",
    "Transfer 500 pounds from my savings to my current account, please!",
    "",
    "naïve café 中文 ünïcödé 👍",
    "word " * 100,
    "A longer document. " * 90,
]


def small_folder(folder: Path, *, own: bool = False, **changes: object) -> ModelFolder:
    """Return a folder like that of the small tier, with the tier's trunk or its own."""
    source = folder if own else SMALL
    features = load_features(source / "features.json")
    names = ["features.json", "tokenizer.json", "trunk.int8.onnx", "trunk.safetensors"]
    if any(pool.pooling == "probe" for pool in features.pools):
        names.append("probe.safetensors")
    manifest = {"dimensions": 384, "max_tokens": features.max_tokens, "overlap": features.overlap}
    return _folder(folder, source, names, features.width, manifest | changes)


def tiny_folder(folder: Path, **changes: object) -> ModelFolder:
    """Return a folder like that of the tiny tier."""
    manifest = {"dimensions": 256, "max_tokens": 512, "overlap": 0}
    return _folder(folder, TINY, ("embeddings.npz", "tokenizer.json"), 256, manifest | changes)


def _folder(folder, source, names, features, manifest):
    folder.mkdir(exist_ok=True)
    for name in names if source != folder else ():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(source / name)
    draw = np.random.default_rng(0)
    weights = {}
    for head in HEADS:
        if head.kind == "embedding":
            continue
        inputs = features + (len(NAMES) if head.name == "hard" else 0)
        # The first layer takes means of many features, so that their noise stays small.
        for layer, shape in enumerate([(16, inputs), (len(head.labels) or 1, 16)]):
            values = draw.normal(0, 1 / np.sqrt(shape[1]), shape).astype(np.float32)
            weights[f"{head.name}.{layer}.weight"] = values
            weights[f"{head.name}.{layer}.bias"] = np.zeros(shape[0], np.float32)
    save_file(weights, folder / "heads.safetensors")
    write_manifest(
        folder,
        name="test",
        version="1",
        base="none",
        files=[*names, "heads.safetensors"],
        heads=HEADS,
        **manifest,
    )
    return ModelFolder.open(folder)


def writable(folder: ModelFolder, name: str) -> Path:
    """Return a file of a folder as one of its own, which a test may change."""
    file = Path(str(folder.place)) / name
    content = shutil.copyfile(file.resolve(), file.with_suffix(".copy"))
    file.unlink()
    return content.rename(file)


def rows_of(model, texts=TEXTS, heads=ALL):
    """Return the rows of all windows of texts, in one pass."""
    windows = [window for text in model.prepare(texts, heads) for window in text.windows]
    return model.forward(windows, heads)


def cosines(one, other):
    """Return the cosine of each pair of rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / norms
