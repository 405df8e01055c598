"""Where a Hugging Face model lies, and whether it may be loaded: looked at before it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.inference import ExtraModelConfig
from pipeline.inference.manifest import InvalidModel

WEIGHTS = "model.safetensors"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Never weights in formats that can hold code, nor code.
_PATTERNS = ("*.json", WEIGHTS, "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's files.

    Args:
        key: of its setting, below `inference`.
        folder: where they lie, or None while they are only on the hub.
        hub_id: `org/name`; empty of a folder.
        revision: commit of a hub id.
        sha256: that its weights must have; None if any will do.
    """

    key: str
    folder: Path | None
    hub_id: str = ""
    revision: str = ""
    sha256: str | None = None

    def fetched(self) -> Path:
        """Return the folder, downloaded if need be, its weights verified.

        Raises:
            InvalidModel: it cannot be had, or is not what is configured.
        """
        folder = self.folder or self._download()
        weights = folder / WEIGHTS
        if not weights.is_file():
            raise InvalidModel(
                f"{folder} holds no {WEIGHTS}; other formats of weights are not loaded", self.key
            )
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise InvalidModel(f"{weights} has sha256 {found}, not {self.sha256}", self.key)
        return folder

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        try:
            found = snapshot_download(
                self.hub_id, revision=self.revision, allow_patterns=list(_PATTERNS)
            )
        except Exception as error:  # the hub's client raises those of its transport as well
            raise self.missing(f"it could not be downloaded ({type(error).__name__})") from error
        return Path(found)

    def missing(self, why: str) -> InvalidModel:
        """Return the error of a model that is on the hub only."""
        command = f"hf download {self.hub_id} --revision {self.revision}"
        return InvalidModel(
            f"{self.hub_id} is not on this machine, and {why}: run `{command}` where there is a "
            f"network, or give `path` a folder that holds it",
            self.key,
        )


def locate(name: str, extra: ExtraModelConfig, base: Path) -> ModelFiles:
    """Return where a model lies, once what can be known without loading it is in order.

    Args:
        name: under `inference.models`.
        extra: its section.
        base: folder that a relative path starts from.

    Raises:
        InvalidModel: it is nowhere, not pinned, or lacks files or labels.
    """
    key = f"models.{name}"
    folder = base / extra.path
    if folder.is_dir():
        found = ModelFiles(key, folder, sha256=extra.sha256)
        if not (folder / WEIGHTS).is_file() or not (folder / "config.json").is_file():
            raise InvalidModel(f"{folder} lacks config.json or {WEIGHTS}", f"{key}.path")
    elif _HUB_ID.fullmatch(extra.path):
        found = _on_hub(key, extra)
    else:
        raise InvalidModel(f"{folder} is no folder, and {extra.path!r} no hub id", f"{key}.path")
    if found.folder is not None:
        check_labels(key, extra, labels_of(read_config(key, found.folder)))
    return found


def _on_hub(key: str, extra: ExtraModelConfig) -> ModelFiles:
    if extra.revision is None or not _COMMIT.fullmatch(extra.revision):
        raise InvalidModel(
            "a hub id needs the commit it is pinned to: 40 hexadecimal digits", f"{key}.revision"
        )
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    cached = [
        try_to_load_from_cache(extra.path, file, revision=extra.revision)
        for file in ("config.json", WEIGHTS)
    ]
    there = [Path(one) for one in cached if isinstance(one, str)]
    folder = there[0].parent if len(there) == len(cached) else None
    found = ModelFiles(key, folder, extra.path, extra.revision, extra.sha256)
    if folder is None and is_offline():
        raise found.missing("HF_HUB_OFFLINE forbids to download it")
    return found


def is_offline() -> bool:
    """Return whether the environment forbids the hub's client to use the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def read_config(key: str, folder: Path) -> Mapping[str, Any]:
    """Return what `config.json` says.

    Raises:
        InvalidModel: it cannot be read, or the model needs code of its own.
    """
    try:
        said = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidModel(f"{folder / 'config.json'} cannot be read", key) from error
    if not isinstance(said, dict) or "model_type" not in said:
        raise InvalidModel(f"{folder / 'config.json'} names no model_type", key)
    return said


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a classifier's labels in the order of its outputs."""
    named = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(2)}
    return tuple(str(named[number]) for number in sorted(named, key=int))


def check_labels(key: str, extra: ExtraModelConfig, labels: tuple[str, ...]) -> None:
    """Refuse signals that name labels which the model does not have.

    Raises:
        InvalidModel: one does, or an embedder has signals.
    """
    if extra.task == "embed" and extra.signals:
        raise InvalidModel("an embedder has no labels to make signals of", f"{key}.signals")
    for signal, wanted in extra.signals.items():
        unknown = sorted(set(wanted).difference(labels))
        if unknown or not wanted:
            raise InvalidModel(
                f"the model has no label {', '.join(unknown) or '(none is named)'}; "
                f"it has {', '.join(labels)}",
                f"{key}.signals.{signal}",
            )
