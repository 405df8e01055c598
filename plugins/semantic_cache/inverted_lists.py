"""Inverted lists: the vectors of one large partition, in FAISS lists around centroids."""

from __future__ import annotations

from array import array
from importlib import import_module
from math import log2
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.index import Neighbour
from plugins.semantic_cache.records import Vector

Vectors = NDArray[np.float32]
_PROBES = 16
_ROUNDS = 8
_LEAST_ROOM = 8
_FEW = 1024
_MARGIN = 0.25
"""Kept on either side of what components reach, as a share of it: more vectors are to come."""


def list_count(vectors: int) -> int:
    """Return how many lists suit a number of vectors: about twice the root, a power of two.

    Under 1,024 one list is as quick, and exact.
    """
    return 1 if vectors < _FEW else 1 << round(log2(2 * vectors**0.5))


class InvertedLists:
    """An IVF index with 8 bits a component; adding and removing are O(1) beside the centroids.

    FAISS' own way of removing from an IVF index costs a hash map of some 50 bytes a vector.
    Whoever uses this keeps each vector's list and offset instead, 8 bytes.

    Args:
        index: a trained `IndexIVFScalarQuantizer` without vectors.
        parity: 0 or 1, the other one of the lists that these follow.
    """

    def __init__(self, index: Any, parity: int) -> None:
        self._faiss = import_module("faiss")
        self._index = index
        self._lists = self._faiss.downcast_InvertedLists(index.invlists)
        self._capacities = array("i", bytes(4 * index.nlist))
        self.parity = parity
        self.count = 0
        self.added = 0
        """Vectors that came since the centroids were trained."""

    @classmethod
    def trained(cls, sample: Vectors, lists: int, old: Self | None) -> Self:
        """Return empty lists whose centroids are those of a sample; takes a thread for long.

        Args:
            sample: (n, d) unit vectors, n at least `lists`.
            lists: how many.
            old: that these follow.
        """
        faiss = import_module("faiss")
        # It holds for the calling thread only. More threads make short searches slower, by
        # five times on a busy machine.
        faiss.omp_set_num_threads(1)
        dimension = sample.shape[1]
        quantizer = faiss.IndexFlatIP(dimension)
        if lists == 1:
            quantizer.add(sample[:1])
        else:
            means = faiss.Kmeans(
                dimension,
                lists,
                niter=_ROUNDS,
                spherical=True,
                min_points_per_centroid=1,
                max_points_per_centroid=len(sample),
                seed=1,
            )
            means.train(sample)
            quantizer.add(means.centroids)
        # One range for all components: scanning takes half of what a range for each takes.
        eight_bits = faiss.ScalarQuantizer.QT_8bit_uniform
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, dimension, lists, eight_bits, faiss.METRIC_INNER_PRODUCT, False
        )
        index.sq.rangestat = faiss.ScalarQuantizer.RS_minmax
        index.sq.rangestat_arg = _MARGIN
        if old is None:
            index.train(sample)
        else:
            # Codes stay as they are. Coding what was coded in another range shifts all cosines the
            # same way, by up to 0.006 where the two ranges have a simple ratio.
            faiss.copy_array_to_vector(old.reach, index.sq.trained)
            index.is_trained = True
        index.nprobe = min(_PROBES, lists)
        return cls(index, 0 if old is None else 1 - old.parity)

    @property
    def reach(self) -> Vector:
        """How far components reach, as the codes take it."""
        reach: Vector = self._faiss.vector_to_array(self._index.sq.trained)
        return reach

    @property
    def lists(self) -> int:
        """How many lists there are."""
        return int(self._index.nlist)

    def size(self, list_number: int) -> int:
        """Return how many vectors a list has."""
        return int(self._lists.list_size(list_number))

    def assign(self, vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the list (n,) and the code (n, bytes) of each vector; any thread may call it."""
        self._faiss.omp_set_num_threads(1)
        _, lists = self._index.quantizer.search(vectors, 1)
        return lists[:, 0], self._index.sq.compute_codes(vectors)

    def add(self, key: int, list_number: int, code: NDArray[np.uint8]) -> int:
        """Append what `assign` gave to its list, and return its offset there."""
        if self._lists.list_size(list_number) == self._capacities[list_number]:
            self._reserve(list_number)
        offset = self._lists.add_entry(list_number, key, self._faiss.swig_ptr(code))
        self.count += 1
        self.added += 1
        return int(offset)

    def remove(self, list_number: int, offset: int) -> int:
        """Remove a vector; the last of its list takes its place.

        Returns:
            The key of the one that is at the offset now; -1 where the removed one was the last.
        """
        lists = self._lists
        last = lists.list_size(list_number) - 1
        moved = -1
        if offset != last:
            moved = int(lists.get_single_id(list_number, last))
            code = lists.get_single_code(list_number, last)
            lists.update_entry(list_number, offset, moved, code)
        lists.resize(list_number, last)
        self.count -= 1
        return moved

    def tail(self, list_number: int, limit: int) -> tuple[list[int], Vectors]:
        """Return the keys and the vectors (n, d) of at most so many last ones of a list."""
        length = self.size(list_number)
        start = max(0, length - limit)
        width = self._index.sq.code_size
        view = self._faiss.rev_swig_ptr
        codes = view(self._lists.get_codes(list_number), length * width)
        keys = view(self._lists.get_ids(list_number), length)
        # Decoding makes new vectors; nothing of the lists' own memory leaves here.
        vectors = self._index.sq.decode(codes.reshape(length, width)[start:].copy())
        return keys[start:].tolist(), vectors

    def search(self, vector: Vector, k: int) -> list[Neighbour]:
        """Return the at most k nearest that the nearest lists have, nearest first."""
        self._faiss.omp_set_num_threads(1)
        cosines, keys = self._index.search(vector[None, :], k)
        found = zip(keys[0].tolist(), cosines[0].tolist(), strict=True)
        return [Neighbour(key, cosine) for key, cosine in found if key >= 0]

    @property
    def size_bytes(self) -> int:
        """What it takes of memory."""
        codes = sum(self._capacities) * self._index.sq.code_size
        held = codes + 12 * self.count + self.lists * (4 * self._index.d + 100)
        return int(held)

    def _reserve(self, list_number: int) -> None:
        """Give a list room for an eighth more codes.

        Left to itself it would double, and a million vectors take 100 MB more than they are.
        """
        faiss, width = self._faiss, self._index.sq.code_size
        size = self._lists.list_size(list_number)
        capacity = size + max(_LEAST_ROOM, size >> 3)
        codes = self._lists.codes.at(list_number)
        room = faiss.UInt8Vector()
        room.resize(capacity * width)
        if size:
            faiss.memcpy(room.data(), codes.data(), size * width)
        codes.owned_data.swap(room)
        # It looks at its memory anew when it is resized, and keeps what it does not need now.
        codes.resize(size * width)
        self._capacities[list_number] = capacity
