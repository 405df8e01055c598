"""From the `inference` section to models: which class, on which device, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from pipeline.config.inference import ExtraModelConfig, InferenceConfig
from pipeline.inference.contract import Model
from pipeline.inference.manifest import InvalidModel, ModelFolder

# What drivers of GPUs that torch can use leave in the file system; to ask torch takes seconds.
_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def tier_model(config: InferenceConfig) -> Callable[[], Model]:
    """Return what loads the tier's model; the manifest is read at once, the rest when called.

    The tiny tier is numpy on the CPU whatever the device.

    Raises:
        InvalidModel: it cannot be loaded as configured; so may the returned function.
    """
    folder = ModelFolder.of_tier(config.tier)
    if config.tier == "tiny":
        return lambda: _static(folder, config)
    device = choose_device(config.device)
    if device == "cpu":
        return lambda: _onnx(folder, config)
    return lambda: _torch(folder, config, device)


def extra_model(
    name: str, extra: ExtraModelConfig, config: InferenceConfig, folder: Path
) -> Callable[[], Model]:
    """Return what loads a model of one's own; whether it is there is looked at at once.

    Args:
        name: under `inference.models`.
        extra: its section.
        config: the section around it.
        folder: that relative paths start from.

    Raises:
        InvalidModel: it cannot be loaded as configured; so may the returned function.
    """
    require_torch(f"models.{name}")
    device = choose_device(config.device)
    from pipeline.inference.transformers_files import locate  # noqa: PLC0415

    files = locate(name, extra, folder)

    def load() -> Model:
        from pipeline.inference.transformers_model import TransformersModel  # noqa: PLC0415

        return TransformersModel(name, extra, files, device=device, windows=config.windows)

    return load


def choose_device(said: str) -> str:
    """Return `cpu`, `cuda` or `cuda:N` for what the configuration says.

    Raises:
        InvalidModel: a GPU is asked for, and torch is not installed.
    """
    if said == "cpu":
        return "cpu"
    if said != "auto":
        require_torch("device")
        return said
    if find_spec("torch") is None or not any(Path(file).exists() for file in _GPU_FILES):
        return "cpu"
    import torch  # noqa: PLC0415

    return "cuda" if torch.cuda.is_available() else "cpu"


def require_torch(key: str) -> None:
    """Refuse a setting that needs torch where it is not installed.

    Args:
        key: of the setting, below `inference`.

    Raises:
        InvalidModel: it is not installed.
    """
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InvalidModel(f"needs {' and '.join(missing)}: `pip install 'dragoman[torch]'`", key)


def _static(folder: ModelFolder, config: InferenceConfig) -> Model:
    from pipeline.inference.static_model import StaticModel  # noqa: PLC0415

    return StaticModel(folder, windows=config.windows)


def _onnx(folder: ModelFolder, config: InferenceConfig) -> Model:
    from pipeline.inference.onnx_model import OnnxModel  # noqa: PLC0415

    return OnnxModel(folder, threads=config.threads, windows=config.windows)


def _torch(folder: ModelFolder, config: InferenceConfig, device: str) -> Model:
    from pipeline.inference.torch_model import TorchModel  # noqa: PLC0415

    return TorchModel(
        folder, device=device, windows=config.windows, batch_tokens=config.batch_tokens
    )
