import numpy as np
import pytest

from pipeline.inference.contract import EMBEDDING, Model, Window
from pipeline.inference.manifest import InvalidModel
from pipeline.inference.static_model import StaticModel
from tests.support.shipped import ALL, TEXTS, TINY, cosines, rows_of, tiny_folder

_: type[Model] = StaticModel


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    loaded = StaticModel(tiny_folder(tmp_path_factory.mktemp("tiny")))
    loaded.warm()
    yield loaded
    loaded.close()


def test_an_embedding_is_the_mean_of_its_tokens_rows(model):
    with np.load(TINY / "embeddings.npz") as arrays:
        table = arrays["rows"].astype(np.float32) * arrays["scales"].astype(np.float32)[:, None]
    ids = np.array([7592, 2088, 7592], np.int32)
    row = model.forward([Window(ids)], [EMBEDDING])[EMBEDDING]
    np.testing.assert_allclose(row, table[ids].mean(axis=0)[None], rtol=1e-4, atol=1e-6)


def test_a_window_without_tokens_is_zero(model):
    assert not rows_of(model, [""], [EMBEDDING])[EMBEDDING].any()


def test_it_gives_a_row_of_each_head_for_each_window(model):
    rows = rows_of(model)
    windows = sum(len(one.windows) for one in model.prepare(TEXTS, ALL))
    assert {name: row.shape for name, row in rows.items()} == {
        "embedding": (windows, 256),
        "guard": (windows,),
        "hard": (windows,),
        "topic": (windows, 3),
    }


def test_a_row_is_the_same_whatever_else_is_in_the_batch(model):
    together = rows_of(model)
    alone = [rows_of(model, [text]) for text in TEXTS]
    for name in ALL:
        joined = np.concatenate([rows[name] for rows in alone])
        np.testing.assert_allclose(together[name], joined, atol=1e-5)


def test_like_texts_are_near_each_other(model):
    rows = rows_of(
        model, ["how do I reset my password", "I forgot my password", "bake bread"], [EMBEDDING]
    )[EMBEDDING]
    near, far = cosines(rows[[0, 0]], rows[[1, 2]])
    assert near > far + 0.2


def test_a_table_of_another_width_is_refused(tmp_path):
    with pytest.raises(InvalidModel, match="do not fit"):
        StaticModel(tiny_folder(tmp_path, dimensions=128, max_tokens=16))
