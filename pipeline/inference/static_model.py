"""The tiny tier: static token embeddings and light heads, in numpy alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from pipeline.inference.contract import EMBEDDING, Rows, Window
from pipeline.inference.lexicon import Lexicon
from pipeline.inference.manifest import InvalidModel, ModelFolder
from pipeline.inference.shipped import Shipped, head_weights

EMBEDDINGS = "embeddings.npz"


class StaticModel(Shipped):
    """A text's embedding is the mean of its tokens' rows; the heads read it and a lexicon.

    Args:
        folder: of the model.
        windows: read of one text at most.

    Raises:
        InvalidModel: a file is not what the manifest says.
    """

    def __init__(self, folder: ModelFolder, *, windows: int = 16) -> None:
        dimensions = folder.manifest.dimensions
        try:
            with np.load(BytesIO(folder.read(EMBEDDINGS)), allow_pickle=False) as arrays:
                self._table = np.ascontiguousarray(arrays["rows"], np.int8)
                self._scales = arrays["scales"].astype(np.float32)
        except (BadZipFile, KeyError, ValueError) as error:
            raise InvalidModel(
                f"{folder.place.joinpath(EMBEDDINGS)} holds no int8 rows and scales"
            ) from error
        if self._table.shape != (len(self._scales), dimensions):
            raise InvalidModel(
                f"{folder.place.joinpath(EMBEDDINGS)}: rows {self._table.shape}, "
                f"scales {self._scales.shape}, dimensions {dimensions} do not fit"
            )
        weights = head_weights(folder)
        self._lexicon = Lexicon(weights)
        super().__init__(
            folder,
            weights,
            features=dimensions + self._lexicon.width,
            windows=windows,
            with_special=False,
        )

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        """Compute the heads of windows; see `Model`."""
        embedding = np.zeros((len(windows), self._table.shape[1]), np.float32)
        for row, window in enumerate(windows):
            if len(window.ids):
                rows = self._table.take(window.ids, axis=0).astype(np.float32)
                embedding[row] = self._scales.take(window.ids) @ rows / len(window.ids)
        features = embedding
        if self._lexicon.width and not set(heads) <= {EMBEDDING}:
            columns = self._lexicon.columns([window.ids for window in windows])
            features = np.concatenate([embedding, columns], axis=1)
        return self.rows(embedding, features, windows, heads)

    def warm(self) -> None:
        """Page the table in."""
        self.forward([Window(np.arange(len(self._table), dtype=np.int32))], self.heads)

    def close(self) -> None:
        """Nothing to give back."""
