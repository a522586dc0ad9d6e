"""Joint n-grams asked in compiled steps (kernels/ngrams.cpp) where there is a compiler; else `ngrams/plain.py` does it.

compiled = ngrams.of(pieces, trie)     None: without a compiler
"""

import ctypes
from collections.abc import Iterator, Sequence
from ctypes import POINTER, c_double, c_int32, c_int64, c_void_p
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .. import kernels
from .decoding import numbers

if TYPE_CHECKING:
    from ..ngrams.counts import Trie
    from ..ngrams.pieces import Pieces

Said = tuple[list[tuple[tuple[int, ...], float]], float]
"""Targets, and the logarithms of their probabilities together with the source; the logarithm of all these added up."""


def of(pieces: "Pieces", trie: "Trie") -> "Compiled | None":
    library = kernels.library("ngrams")
    return None if library is None else Compiled(pieces, trie, library)


class Compiled:
    def __init__(self, pieces: "Pieces", trie: "Trie", library: ctypes.CDLL) -> None:
        self._say, self._joint, self._release = library.say, library.joint, library.release
        self._say.restype = POINTER(_Found)
        # What only pointers lead to has to be held by somebody.
        self._held = (trie.tokens, trie.logs, trie.rests, trie.shorter, trie.children, pieces.sources, pieces.targets)
        self._grams = _Grams(*(each.ctypes.data for each in self._held), len(pieces))

    def say(self, sources: Sequence[Sequence[int]], width: int, threshold: float, most: int) -> list[Said]:
        """For each source, none of them empty, its `most` most probable targets."""
        if not sources:
            return []
        lengths = np.array([len(source) for source in sources], np.int64)
        ids = np.concatenate([np.asarray(source, np.int32) for source in sources])
        found = self._say(
            *(ctypes.byref(self._grams), c_void_p(ids.ctypes.data), c_void_p(lengths.ctypes.data)),
            *(c_int64(len(lengths)), c_int64(width), c_double(threshold), c_int64(most)),
        )
        if not found:
            raise MemoryError("no memory for a search over so many sources")
        try:
            return list(_told(found.contents, len(sources)))
        finally:
            self._release(found)

    def joint(self, source: Sequence[int], target: Sequence[int]) -> float:
        """The logarithm of the probability of a source and a target together."""
        read, said = np.asarray(source, np.int32), np.asarray(target, np.int32)
        log = c_double()
        there = self._joint(
            *(ctypes.byref(self._grams), c_void_p(read.ctypes.data), c_int64(len(read))),
            *(c_void_p(said.ctypes.data), c_int64(len(said)), ctypes.byref(log)),
        )
        if not there:
            raise MemoryError("no memory to go through a target")
        return log.value


def _told(found: "_Found", sources: int) -> Iterator[Said]:
    """Copies of what the kernel found."""
    counts = numbers(found.counts, sources).tolist()
    lengths = numbers(found.lengths, sum(counts)).tolist()
    ids = iter(numbers(found.ids, sum(lengths)).tolist())
    logs = numbers(found.logs, len(lengths)).tolist()
    targets = iter([(tuple(islice(ids, length)), log) for length, log in zip(lengths, logs, strict=True)])
    for count, whole in zip(counts, numbers(found.wholes, sources).tolist(), strict=True):
        yield list(islice(targets, count)), whole


class _Grams(ctypes.Structure):
    """This one and the following: the structs of the same names in the C++."""

    _fields_ = (
        *((name, c_void_p) for name in ("tokens", "logs", "rests", "shorter", "children", "sources", "targets")),
        ("pieces", c_int64),
    )


class _Found(ctypes.Structure):
    _fields_ = (
        *((name, POINTER(c_int64)) for name in ("counts", "lengths")),
        ("ids", POINTER(c_int32)),
        *((name, POINTER(c_double)) for name in ("logs", "wholes")),
    )
