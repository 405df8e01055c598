"""Any Hugging Face encoder as a model: a classifier of texts or of tokens, or an embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.inference import ExtraModelConfig
from pipeline.inference.contract import Head, Prepared, Rows, Vector, Window
from pipeline.inference.manifest import InvalidModel
from pipeline.inference.shipped import groups, in_order
from pipeline.inference.tokens import Preparer
from pipeline.inference.torch_model import usable_device
from pipeline.inference.transformers_files import (
    WEIGHTS,
    ModelFiles,
    check_labels,
    labels_of,
    read_config,
)
from pipeline.inference.transformers_outputs import Output, embedder, outputs

# Attention's memory is quadratic in a window's tokens, not in a batch's.
_GROUP_TOKENS = {"cpu": 512, "cuda": 8192}
_DEFAULT_TOKENS = 512
# Their positions begin behind the padding token's.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xlm-roberta-xl"}


class TransformersModel:
    """A model of the `transformers` library.

    Args:
        name: of the model; its signal's too where its section names none.
        extra: its section.
        files: of `locate`.
        device: `cpu`, `cuda` or `cuda:N`.
        windows: read of one text at most.

    Raises:
        InvalidModel: it cannot be loaded as configured.
    """

    def __init__(
        self, name: str, extra: ExtraModelConfig, files: ModelFiles, *, device: str, windows: int
    ) -> None:
        import torch  # noqa: PLC0415

        folder = files.fetched()
        config = read_config(files.key, folder)
        check_labels(files.key, extra, labels_of(config))
        self._device = usable_device(device)
        dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._model = _load(files.key, extra, folder).to(self._device, dtype).eval()
        self._outputs: Mapping[str, Output] = (
            embedder(files.key, name, folder)
            if extra.task == "embed"
            else outputs(files.key, name, extra, config)
        )
        self._identity = f"{name}@{_digest(folder)[:16]}"
        tokenizer, self._pad, longest = _tokenizer(files.key, folder)
        max_tokens = _max_tokens(files.key, extra, config, longest, self._pad)
        self._prepare = Preparer(
            tokenizer, max_tokens=max_tokens, overlap=max_tokens // 8, windows=windows
        )
        self.dimensions: int = self._model.config.hidden_size if extra.task == "embed" else 0

    @property
    def identity(self) -> str:
        """Name and hash of its weights."""
        return self._identity

    @property
    def heads(self) -> Mapping[str, Head]:
        """What it computes, by name."""
        return {name: output.head for name, output in self._outputs.items()}

    def prepare(self, texts: Sequence[str], heads: Collection[str]) -> list[Prepared]:  # noqa: ARG002
        """Tokenise texts, the same for all heads."""
        return self._prepare(texts)

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        """Compute the heads of windows; see `Model`."""
        parts = groups(windows, _GROUP_TOKENS[self._device.type])
        found = [self._run([windows[place] for place in part], heads) for part in parts]
        return {name: in_order(parts, [rows[name] for rows in found]) for name in heads}

    def warm(self) -> None:
        """Let torch choose kernels for a short window."""
        self.forward([Window(np.full(16, self._pad, np.int32))], self.heads)

    def close(self) -> None:
        """Give the weights' memory back."""
        import torch  # noqa: PLC0415

        self._model.to("meta")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _run(self, windows: Sequence[Window], heads: Collection[str]) -> dict[str, Vector]:
        import torch  # noqa: PLC0415

        longest = max(len(window.ids) for window in windows)
        ids = np.full((len(windows), longest), self._pad, np.int64)
        mask = np.zeros((len(windows), longest), np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
        with torch.inference_mode():
            said = self._model(
                input_ids=torch.from_numpy(ids).to(self._device),
                attention_mask=torch.from_numpy(mask).to(self._device),
            )
            values = said.logits if hasattr(said, "logits") else said.last_hidden_state
            found = values.float().cpu().numpy()
        return {name: self._outputs[name].rows(found, mask.astype(bool)) for name in heads}


def _load(key: str, extra: ExtraModelConfig, folder: Path) -> Any:
    import transformers  # noqa: PLC0415
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = {
        "classify": transformers.AutoModelForSequenceClassification,
        "tag": transformers.AutoModelForTokenClassification,
        "embed": transformers.AutoModel,
    }[extra.task]
    try:
        model, said = kind.from_pretrained(
            str(folder),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # every library below has its own errors
        raise InvalidModel(f"transformers cannot load {folder}: {error}", key) from error
    # The library fills what a file lacks with random numbers; an embedder needs no pooler.
    absent = sorted(one for one in said["missing_keys"] if not one.startswith("pooler."))
    if absent:
        raise InvalidModel(
            f"{folder / WEIGHTS} has no weights for {', '.join(absent[:3])}: "
            f"the model was not trained to {extra.task}",
            key,
        )
    return model


def _tokenizer(key: str, folder: Path) -> tuple[str, int, int]:
    """Return a tokenizer's JSON, the id it pads with, and how many tokens it is made for."""
    import transformers  # noqa: PLC0415

    try:
        found = transformers.AutoTokenizer.from_pretrained(
            str(folder), use_fast=True, trust_remote_code=False, local_files_only=True
        )
        content = found.backend_tokenizer.to_str()
    except Exception as error:
        raise InvalidModel(f"{folder} has no tokenizer that can be used: {error}", key) from error
    return content, found.pad_token_id or 0, int(found.model_max_length)


def _max_tokens(
    key: str, extra: ExtraModelConfig, config: Mapping[str, Any], longest: int, pad: int
) -> int:
    positions = config.get("max_position_embeddings")
    if positions and config["model_type"] in _OFFSET_POSITIONS:
        positions -= pad + 1
    most = min(longest, positions or longest)
    if most > 1 << 20:
        most = _DEFAULT_TOKENS
    if extra.max_tokens and extra.max_tokens > most:
        raise InvalidModel(f"the model reads {most} tokens at most", f"{key}.max_tokens")
    return extra.max_tokens or most


def _digest(folder: Path) -> str:
    """Return one hash of weights, configuration and tokenizer."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, "config.json", "tokenizer.json", "modules.json"):
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
