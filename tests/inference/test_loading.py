import subprocess
import sys

import pytest

from pipeline.config.inference import ExtraModelConfig, InferenceConfig
from pipeline.inference import loading
from pipeline.inference.loading import choose_device, extra_model, tier_model
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.onnx_model import OnnxModel
from pipeline.inference.static_model import StaticModel
from tests.support.shipped import small_folder, tiny_folder


@pytest.fixture
def tiers(tmp_path, monkeypatch):
    """Put folders with heads of random weights in the place of those that ship."""
    folders = {"small": small_folder(tmp_path / "s"), "tiny": tiny_folder(tmp_path / "t")}
    monkeypatch.setattr(ModelFolder, "of_tier", classmethod(lambda _, tier: folders[tier]))


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)


def test_the_small_tier_on_a_cpu_is_onnx(tiers):
    model = tier_model(InferenceConfig(device="cpu", threads=1))()
    assert isinstance(model, OnnxModel)


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
def test_the_tiny_tier_is_numpy_whatever_the_device(tiers, device):
    model = tier_model(InferenceConfig(tier="tiny", device=device))()
    assert isinstance(model, StaticModel)


def test_the_small_tier_on_a_gpu_is_torch(tiers):
    torch = pytest.importorskip("torch")
    load = tier_model(InferenceConfig(device="cuda"))
    if torch.cuda.is_available():
        assert type(load()).__name__ == "TorchModel"
    else:
        with pytest.raises(InvalidModel, match=r"inference.device: .* sees 0 GPUs"):
            load()


def test_auto_is_the_cpu_where_no_driver_is(monkeypatch):
    monkeypatch.setattr(loading, "_GPU_FILES", ())
    assert choose_device("auto") == "cpu"


def test_auto_is_the_cpu_without_torch(no_torch, monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "_GPU_FILES", (str(tmp_path),))
    assert choose_device("auto") == "cpu"


def test_a_gpu_without_torch_names_the_extra(no_torch):
    with pytest.raises(InvalidModel, match=r"inference.device: needs .*dragoman\[torch\]"):
        choose_device("cuda:1")


def test_a_model_of_ones_own_without_torch_names_the_extra(no_torch, tmp_path):
    extra = ExtraModelConfig(path="org/name", task="classify")
    with pytest.raises(InvalidModel, match=r"inference.models.mine: needs torch and transformers"):
        extra_model("mine", extra, InferenceConfig(), tmp_path)


def test_to_load_the_cpu_tiers_needs_neither_torch_nor_transformers(tmp_path):
    small, tiny = (
        str(make(tmp_path / make.__name__).place) for make in (small_folder, tiny_folder)
    )
    code = f"""
import sys
from pathlib import Path
from pipeline.inference.manifest import ModelFolder
from pipeline.inference import loading
from pipeline.inference.onnx_model import OnnxModel
from pipeline.inference.static_model import StaticModel
assert "onnxruntime" not in sys.modules and "tokenizers" not in sys.modules
for kind, place in ((OnnxModel, {small!r}), (StaticModel, {tiny!r})):
    model = kind(ModelFolder.open(Path(place)))
    texts = model.prepare(["hello there"], model.heads)
    model.forward(texts[0].windows, model.heads)
assert not {{"torch", "transformers", "onnx", "sklearn"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
