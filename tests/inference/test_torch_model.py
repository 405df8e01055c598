import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pipeline.inference.contract import EMBEDDING, Model, Window
from pipeline.inference.graphs import Shape, Shapes
from pipeline.inference.manifest import InvalidModel
from pipeline.inference.onnx_model import OnnxModel
from tests.support.shipped import ALL, SMALL, TEXTS, cosines, rows_of, small_folder

torch = pytest.importorskip("torch")

from pipeline.inference.torch_model import TorchModel, usable_device  # noqa: E402

_: type[Model] = TorchModel
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_folder(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def model(folder):
    loaded = TorchModel(folder, device="cpu")
    loaded.warm()
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def on_cpu(folder):
    return OnnxModel(folder, threads=1)


def probabilities(rows):
    return {name: 1 / (1 + np.exp(-rows[name])) for name in ("guard", "hard")}


def test_it_says_what_onnxruntime_says(model, on_cpu):
    ours, theirs = rows_of(model), rows_of(on_cpu)
    assert cosines(ours[EMBEDDING], theirs[EMBEDDING]).min() > 0.985
    for name, values in probabilities(ours).items():
        np.testing.assert_allclose(values, probabilities(theirs)[name], atol=0.05)
    np.testing.assert_allclose(ours["topic"], theirs["topic"], atol=0.15)


def test_features_of_every_pooling_are_those_that_onnxruntime_pools(tmp_path):
    pytest.importorskip("onnx")
    from models.export.__main__ import export_graph

    with_all_poolings(tmp_path, export_graph)
    folder = small_folder(tmp_path, own=True)
    ours, theirs = rows_of(TorchModel(folder, device="cpu")), rows_of(OnnxModel(folder, threads=1))
    for name, values in probabilities(ours).items():
        np.testing.assert_allclose(values, probabilities(theirs)[name], atol=0.05)


def with_all_poolings(folder, export_graph):
    pools = [{"layer": 6, "pooling": "mean"}, {"layer": 4, "pooling": "max"}]
    pools += [{"layer": 3, "pooling": "first"}, {"layer": 4, "pooling": "probe", "units": 8}]
    said = {"max_tokens": 256, "overlap": 32, "poolings": pools}
    (folder / "features.json").write_text(json.dumps(said))
    draw = np.random.default_rng(0)
    weight = draw.normal(0, 0.05, (384, 8)).astype(np.float32)
    save_file(
        {"probe.weight": weight, "probe.bias": np.zeros(8, np.float32)},
        folder / "probe.safetensors",
    )
    export_graph(folder, load_file(SMALL / "trunk.safetensors"))
    (folder / "tokenizer.json").write_bytes((SMALL / "tokenizer.json").read_bytes())


def test_it_is_the_model_that_onnxruntime_runs(model, on_cpu):
    assert model.identity == on_cpu.identity
    assert model.heads == on_cpu.heads
    assert model.dimensions == on_cpu.dimensions == 384


def test_a_row_is_the_same_whatever_else_is_in_the_batch(model):
    together = rows_of(model)
    begin = 0
    for text in TEXTS:
        alone = rows_of(model, [text])
        end = begin + len(alone["guard"])
        for name in ALL:
            np.testing.assert_allclose(together[name][begin:end], alone[name], atol=1e-4)
        begin = end


def test_only_what_is_asked_for_comes_back(model):
    assert set(rows_of(model, TEXTS[:1], ["guard"])) == {"guard"}


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(InvalidModel, match=r"inference.device: .* there is no cuda:98"):
        usable_device("cuda:98")


lengths = st.lists(st.integers(1, 256), min_size=1, max_size=80)


@given(lengths, st.sampled_from([512, 2048, 8192]))
def test_batches_hold_every_window_once_in_a_shape_that_fits(sizes, batch_tokens):
    shapes = Shapes(256, batch_tokens)
    windows = [Window(np.zeros(size, np.int32)) for size in sizes]
    seen = []
    for shape, places in shapes.batches(windows):
        assert len(places) <= shape.rows
        assert max(sizes[place] for place in places) <= shape.length
        assert len(places) * shape.length <= max(batch_tokens, 256)
        seen += places
    assert sorted(seen) == list(range(len(sizes)))


@given(st.integers(1, 300), st.integers(1, 256))
def test_a_shape_wastes_less_than_half_of_its_rows_and_is_one_of_few(rows, length):
    shape = Shapes(256, 8192).of(rows, length)
    assert rows <= shape.rows < 2 * rows
    assert length <= shape.length in Shapes(256, 8192).lengths


def test_shapes_that_are_recorded_at_start_are_those_that_batches_get():
    shapes = Shapes(256, 2048)
    common = list(shapes.common())
    assert len(common) == len(set(common))
    assert all(shapes.of(*shape) == shape for shape in common)
    assert all(shape.rows * shape.length <= 2048 for shape in common)


def test_a_window_longer_than_configured_has_a_shape_of_its_own():
    assert Shapes(256, 8192).of(1, 400) == Shape(1, 400)


@needs_gpu
def test_on_a_gpu_it_says_what_it_says_on_the_cpu(folder, model):
    on_gpu = TorchModel(folder, device="cuda")
    on_gpu.warm()
    for _ in range(2):
        ours, theirs = rows_of(on_gpu), rows_of(model)
        assert cosines(ours[EMBEDDING], theirs[EMBEDDING]).min() > 0.985
        np.testing.assert_allclose(ours["guard"], theirs["guard"], atol=0.15)
    on_gpu.close()
