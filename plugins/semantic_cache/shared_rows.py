"""Shared rows: the vectors of all small partitions in one block of memory, searched exactly."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.index import Neighbour
from plugins.semantic_cache.key_table import KeyTable
from plugins.semantic_cache.records import Vector

_NONE = -1
_LEVELS = 127


class SharedRows:
    """Vectors as 8-bit rows; the rows of a partition are a chain, found by its newest.

    A row has its own scale (its largest component is 127), so nothing needs training and the
    error of a cosine is under 0.005 whatever the embedder. A partition costs nothing by itself:
    there may be as many as vectors.

    Args:
        dimension: of vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        # A bytearray grows by remapping its pages: no copy of what is there.
        self._codes = bytearray()
        self._scales = array("f")
        self._keys = array("i")
        self._newer = array("i")
        self._older = array("i")
        self._counts = array("i")
        self._heads = KeyTable(16)
        self._free = array("i")
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def count(self, partition: bytes) -> int:
        """Return how many vectors a partition has here."""
        head = self._heads.find(partition)
        return 0 if head == _NONE else self._counts[head]

    def add(self, key: int, partition: bytes, vector: Vector) -> int:
        """Add a vector as its partition's newest, and return its row."""
        row = self._free.pop() if self._free else self._new_row()
        scale = float(np.abs(vector).max()) / _LEVELS or 1.0
        start = row * self._dimension
        codes = np.rint(vector / scale).astype(np.int8)
        self._codes[start : start + self._dimension] = codes.tobytes()
        self._scales[row] = scale
        self._keys[row] = key
        self._heads.write(row, partition)
        head = self._heads.find(partition)
        self._newer[row], self._older[row] = _NONE, head
        if head == _NONE:
            self._counts[row] = 1
            self._heads.add(row)
        else:
            self._counts[row] = self._counts[head] + 1
            self._newer[head] = row
            self._heads.replace(head, row)
        self._length += 1
        return row

    def remove(self, row: int) -> None:
        """Remove a row that is in use."""
        newer, older = self._newer[row], self._older[row]
        if older != _NONE:
            self._newer[older] = newer
        if newer != _NONE:
            self._older[newer] = older
            self._counts[self._heads.find(self._heads.key(row))] -= 1
        elif older != _NONE:
            self._counts[older] = self._counts[row] - 1
            self._heads.replace(row, older)
        else:
            self._heads.remove(row)
        self._keys[row] = _NONE
        self._free.append(row)
        self._length -= 1

    def holds(self, row: int, key: int, partition: bytes) -> bool:
        """Tell whether a row is still what it was."""
        return self._keys[row] == key and self._heads.key(row) == partition

    def newest(self, partition: bytes, limit: int) -> list[int]:
        """Return at most so many rows of a partition, newest first."""
        rows: list[int] = []
        row = self._heads.find(partition)
        while row != _NONE and len(rows) < limit:
            rows.append(row)
            row = self._older[row]
        return rows

    def read(self, rows: list[int]) -> tuple[list[int], NDArray[np.float32]]:
        """Return the keys and the vectors (n, d) of rows."""
        codes = np.frombuffer(self._codes, np.int8).reshape(-1, self._dimension)[rows]
        scales = np.array([self._scales[row] for row in rows], np.float32)
        return [self._keys[row] for row in rows], codes * scales[:, None]

    def search(self, partition: bytes, vector: Vector, k: int) -> list[Neighbour]:
        """Return the at most k nearest of a partition, nearest first."""
        head = self._heads.find(partition)
        if head == _NONE:
            return []
        keys, vectors = self.read(self.newest(partition, self._counts[head]))
        cosines = vectors @ vector
        best = np.argsort(-cosines, kind="stable")[:k]
        return [Neighbour(keys[at], float(cosines[at])) for at in best]

    @property
    def size_bytes(self) -> int:
        """What it takes of memory."""
        columns = (self._scales, self._keys, self._newer, self._older, self._counts, self._free)
        return (
            len(self._codes)
            + sum(column.itemsize * len(column) for column in columns)
            + self._heads.size_bytes
        )

    def _new_row(self) -> int:
        row = len(self._keys)
        self._codes.extend(bytes(self._dimension))
        for column in (self._keys, self._newer, self._older, self._counts):
            column.append(_NONE)
        self._scales.append(0.0)
        return row
