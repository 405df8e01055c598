from __future__ import annotations

import numpy as np
import pytest

from models.guard.assembling import FOLDER, embedding_width, padded
from pipeline.inference.contract import Head
from pipeline.inference.heads import Heads
from pipeline.inference.lexicon import Lexicon
from pipeline.inference.manifest import MANIFEST, ModelFolder
from pipeline.inference.text_features import NAMES

CHANCE = np.random.default_rng(0)
FEATURES, EMBEDDING = 900, 384


@pytest.mark.parametrize("beside", [0, len(NAMES)])
def test_a_head_of_embeddings_reads_the_same_among_all_features(beside):
    tensors = {
        "hard.0.weight": CHANCE.normal(size=(1, EMBEDDING + beside)).astype(np.float32),
        "hard.0.bias": np.zeros(1, np.float32),
    }
    features = CHANCE.normal(size=(3, FEATURES)).astype(np.float32)
    extra = CHANCE.normal(size=(3, len(NAMES))).astype(np.float32)
    wide = Heads(padded(tensors, "hard", FEATURES, EMBEDDING), [Head("hard", "score")])
    narrow = Heads(tensors, [Head("hard", "score")])

    np.testing.assert_allclose(
        narrow.logits("hard", features[:, :EMBEDDING], extra),
        wide.logits("hard", features, extra),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_head_of_all_features_stays_as_it_is():
    tensors = {"guard.0.weight": np.ones((2, FEATURES)), "guard.0.bias": np.zeros(2)}

    assert padded(tensors, "guard", FEATURES, EMBEDDING) == tensors


def test_a_head_of_another_width_is_refused():
    tensors = {"guard.0.weight": np.ones((2, 17)), "guard.0.bias": np.zeros(2)}

    with pytest.raises(ValueError, match="guard reads 17"):
        padded(tensors, "guard", FEATURES, EMBEDDING)


@pytest.mark.parametrize("tier", ["tiny", "small"])
def test_shipped_files_are_what_their_manifest_says(tier):
    folder = ModelFolder.of_tier(tier)

    for name in folder.manifest.files:
        assert folder.read(name)

    assert folder.manifest.dimensions == embedding_width(tier)
    assert {"embedding", "jailbreak", "injection", "domain"} <= set(folder.heads)
    assert {MANIFEST, *folder.manifest.files} <= {one.name for one in (FOLDER / tier).iterdir()}


@pytest.mark.parametrize("tier", ["tiny", "small"])
def test_shipped_heads_are_small_and_fit_their_features(tier):
    from safetensors.numpy import load

    folder = ModelFolder.of_tier(tier)
    raw = folder.read("heads.safetensors")
    weights = load(raw)
    heads = Heads(weights, list(folder.heads.values()))

    assert len(raw) < 2 * 2**20
    for head in ("jailbreak", "injection"):
        assert heads.inputs(head) in (896, 256 + Lexicon(weights).width)
        assert folder.heads[head].views
        assert 0.5 <= folder.heads[head].threshold < 1
