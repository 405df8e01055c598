import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.onnx_model import OnnxModel
from pipeline.inference.static_model import StaticModel
from tests.support.shipped import small_folder, tiny_folder, writable


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["embeddings.npz", "tokenizer.json", "heads.safetensors"])
def test_a_file_with_one_bit_changed_is_not_loaded(tmp_path, name):
    folder = tiny_folder(tmp_path)
    flip(writable(folder, name), 5000)
    with pytest.raises(InvalidModel, match=rf"{name} has sha256 .* changed or damaged"):
        StaticModel(folder)


@pytest.mark.parametrize("name", ["trunk.int8.onnx", "trunk.safetensors"])
def test_a_changed_trunk_is_refused_before_it_is_parsed(tmp_path, name):
    folder = small_folder(tmp_path)
    flip(writable(folder, name), 9000)
    with pytest.raises(InvalidModel, match="changed or damaged"):
        OnnxModel(folder, threads=1)


def test_a_missing_file_is_named(tmp_path):
    folder = tiny_folder(tmp_path)
    (tmp_path / "embeddings.npz").unlink()
    with pytest.raises(InvalidModel, match=r"embeddings.npz cannot be read: No such file"):
        StaticModel(folder)


def test_a_file_that_the_manifest_does_not_list_is_not_read(tmp_path):
    folder = tiny_folder(tmp_path)
    (tmp_path / "more.bin").write_bytes(b"x")
    with pytest.raises(InvalidModel, match=r"lists no file 'more.bin'"):
        folder.read("more.bin")


def test_a_folder_without_a_manifest_is_named(tmp_path):
    with pytest.raises(InvalidModel, match=r"has no readable manifest.json"):
        ModelFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "name:"),
        ({"files": {"../up": "0" * 64}}, "files.../up"),
        ({"files": {"a": "12"}}, "files.a"),
        ({"heads": [{"name": "a", "kind": "other"}]}, "heads.0.kind"),
        ({"surprise": 1}, "surprise:"),
        ({"heads": [{"name": "a", "kind": "score"}] * 2}, "two heads have one name"),
        ({"dimensions": 0}, "dimensions:"),
    ],
)
def test_a_manifest_that_says_what_none_may_is_refused_with_the_key(tmp_path, change, said):
    tiny_folder(tmp_path)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InvalidModel) as refused:
        ModelFolder.open(tmp_path)
    assert said in str(refused.value)


def test_a_manifest_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InvalidModel, match="Invalid JSON"):
        ModelFolder.open(tmp_path)


def test_the_identity_changes_with_any_file(tmp_path):
    one = tiny_folder(tmp_path / "one")
    other = tiny_folder(tmp_path / "other", overlap=1)
    assert one.identity.startswith("test-1@")
    assert one.identity != other.identity
    assert one.identity == tiny_folder(tmp_path / "again").identity


def test_an_invalid_model_is_an_error_of_the_configuration():
    error = InvalidModel("is not there", "device")
    assert isinstance(error, ConfigError)
    assert str(error) == "inference.device: is not there"
