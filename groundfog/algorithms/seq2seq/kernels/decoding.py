"""`beam.search` of the usual network in compiled steps (kernels/decoding.cpp), where there is a compiler.

    compiled = decoding.of(network)     None: unlike the usual, on a GPU, or without a compiler
    compiled.search(sources, ...)       the targets that beam.search finds

Usual is an LSTM network on the CPU, of any layers, attention and vocabulary. Its weights are read where they lie. What
is made of them is small: tables of the first layers' gates, a row for each token, made anew when the weights changed.
With the precision bfloat16 there are rounded copies of the matrices too, half as large as they are, and those of a
loaded model are left to its file until somebody reads them again.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator, Sequence
from ctypes import POINTER, c_double, c_float, c_int32, c_int64, c_void_p
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import kernels
from ..network.attention import MLP, Fixed
from ..network.cells import LSTMCell
from ..network.decoder import Decoder
from ..network.encoder import Encoder
from ..network.network import Network

if TYPE_CHECKING:
    from ..search.beam import Search

_MOST_IN_TABLE = 1 << 22
"""Numbers; beyond it a table would not stay in any cache, and be large beside the weights that it replaces."""


_PAGE_OUT = 21
"""MADV_PAGEOUT of Linux's <sys/mman.h>, which Python's mmap does not know yet."""


class Spoken(NamedTuple):
    ids: list[int]
    score: float
    log_probability: float
    attention: np.ndarray | None


def of(speaker: Any) -> "Compiled | None":
    """What searches with this network's present weights."""
    library = kernels.library("decoding")
    if library is None or not isinstance(speaker, Network) or speaker.training:
        return None
    known, versions = _known.get(speaker), _versions(speaker)
    if known is not None and known.versions == versions:
        return known
    parts = _usual_parts(speaker)
    if parts is None:
        return None
    made = _known[speaker] = Compiled(*parts, versions, library, half=speaker.rounds)
    return made


def _versions(network: Network) -> list[tuple[int, int]]:
    """They differ where a weight has changed, or lies elsewhere; what was made for inference alone never changes."""
    weights = network.parameters()
    return [(weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights]


def _usual_parts(network: Network) -> tuple[Encoder, Decoder] | None:
    encoder, decoder = network.encoder, network.decoder
    if not isinstance(encoder, Encoder) or not isinstance(decoder, Decoder):
        return None
    recurrent = all(isinstance(layer, nn.LSTM) for layer in encoder.layers) and isinstance(decoder.cells[0], LSTMCell)
    return (encoder, decoder) if recurrent and all(map(_is_plain, network.parameters())) else None


def _is_plain(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.is_contiguous()


class Compiled:
    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        versions: list[tuple[int, int]],
        library: ctypes.CDLL,
        *,
        half: bool = False,
    ) -> None:
        """:param half: matrices and what they are multiplied by are rounded to bfloat16, if the processor has it."""
        self.versions = versions
        self._half = half and bool(library.has_half())
        self._source_tokens = encoder.embedding.num_embeddings
        # What only pointers lead to has to be held by somebody.
        self._held: list[Any] = []
        self._target_tokens = decoder.embedding.num_embeddings
        self._search, self._tell, self._release = library.search, library.tell, library.release
        self._search.restype = self._tell.restype = POINTER(_Found)
        self._network = self._describe(encoder, decoder)

    def search(self, sources: Sequence[Sequence[int] | np.ndarray], wanted: "Search") -> list[list[Spoken]]:
        """For each source, none of them empty, its `nbest` best targets."""
        ids, lengths = _flat(sources, self._source_tokens)
        asked = _Wanted(wanted.width, wanted.longest, wanted.nbest, wanted.attention, wanted.alpha, wanted.threshold)
        found = self._search(
            *(ctypes.byref(self._network), ctypes.byref(asked), c_void_p(ids.ctypes.data)),
            *(c_void_p(lengths.ctypes.data), c_int64(len(lengths))),
        )
        return self._copied(found, lengths, wanted.attention)

    def tell(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[float, np.ndarray]]:
        """Log probability and attention of each pair's target; no source is empty."""
        places: dict[tuple[int, ...], int] = {}
        of_target = np.array([places.setdefault(tuple(source), len(places)) for source, _ in pairs], np.int64)
        ids, lengths = _flat(list(places), self._source_tokens)
        targets, target_lengths = _flat([target for _, target in pairs], self._target_tokens)
        found = self._tell(
            *(ctypes.byref(self._network), c_void_p(ids.ctypes.data), c_void_p(lengths.ctypes.data)),
            *(c_int64(len(lengths)), c_void_p(targets.ctypes.data), c_void_p(target_lengths.ctypes.data)),
            *(c_void_p(of_target.ctypes.data), c_int64(len(pairs))),
        )
        told = self._copied(found, lengths[of_target], attention=True)
        return [(one.log_probability, one.attention) for [one] in told if one.attention is not None]

    def _copied(self, found: Any, lengths: np.ndarray, attention: bool) -> list[list[Spoken]]:
        if not found:
            raise MemoryError("no memory for a search over so many sources")
        try:
            return list(_told(found.contents, lengths, attention))
        finally:
            self._release(found)

    def _describe(self, encoder: Encoder, decoder: Decoder) -> "_Network":
        attention = decoder.attention
        layers = [self._layer(encoder, number) for number in range(len(encoder.layers))]
        first, *above = decoder.cells
        cells = [self._cell(first, decoder.embedding), *(self._cell(cell, None) for cell in above)]
        return _Network(
            source_embedding=encoder.embedding.weight.data_ptr(),
            target_embedding=decoder.embedding.weight.data_ptr(),
            layers=self._array(_Layer, layers),
            cells=self._array(_Cell, cells),
            residual=self._array(c_int64, [decoder._residual(number) for number in range(len(cells))]),
            begin=self._array(_Matrix, [self._linear(each) for each in decoder.begin]),
            of_key=self._linear(getattr(attention, "of_key", None)),
            of_query=self._linear(getattr(attention, "of_query", None)),
            combine_hidden=self._linear(decoder.combine_hidden),
            combine_context=self._linear(decoder.combine_context),
            output=self._linear(decoder.output),
            direction=attention.direction.weight.data_ptr() if isinstance(attention, MLP) else None,
            layer_count=len(layers),
            cell_count=len(cells),
            upper=decoder.upper,
            feeding=decoder.feeding,
            hidden=decoder.combine_hidden.out_features,
            attention=2 if isinstance(attention, Fixed) else 0 if isinstance(attention, MLP) else 1,
            first_state=("last", "avg", "zero").index(decoder.begin_with),
        )

    def _layer(self, encoder: Encoder, number: int) -> "_Layer":
        layer: nn.LSTM = encoder.layers[number]  # type: ignore[assignment]
        embedding = None if number else encoder.embedding
        ways = [self._direction(embedding, *weights) for weights in layer.all_weights]
        inputs, outputs = layer.input_size, layer.hidden_size * len(ways)
        residual = encoder.first_residual is not None and number + 1 >= encoder.first_residual and inputs == outputs
        return _Layer(ways[0], ways[-1], len(ways) == 2, residual)

    def _direction(
        self, embedding: nn.Embedding | None, of_input: Tensor, of_step: Tensor, bias: Tensor, other_bias: Tensor
    ) -> "_Cell":
        both = self._hold((bias + other_bias).detach())
        table = self._table(embedding, of_input, both)
        return _Cell(self._matrix(of_input, both), self._matrix(of_step), table, 2)

    def _cell(self, cell: nn.Module, embedding: nn.Embedding | None) -> "_Cell":
        assert isinstance(cell, LSTMCell)
        table = self._table(embedding, cell.from_input.weight, cell.from_input.bias)
        return _Cell(self._linear(cell.from_input), self._linear(cell.from_step), table, 3)

    @torch.inference_mode()
    def _table(self, embedding: nn.Embedding | None, weight: Tensor, bias: Tensor) -> int | None:
        """The gates of each token of a small vocabulary."""
        if embedding is None or embedding.num_embeddings * len(weight) > _MOST_IN_TABLE:
            return None
        return self._hold(functional.linear(embedding.weight, weight, bias)).data_ptr()

    def _linear(self, linear: nn.Module | None) -> "_Matrix":
        """Zeros where nothing is projected."""
        return self._matrix(linear.weight, linear.bias) if isinstance(linear, nn.Linear) else _Matrix()

    def _matrix(self, weight: Tensor, bias: Tensor | None = None) -> "_Matrix":
        if self._half:
            rounded = self._hold(weight.detach().bfloat16())
            _leave_to_its_file(weight)
            weight = rounded
        return _Matrix(weight.data_ptr(), None if bias is None else bias.data_ptr(), *weight.shape, self._half)

    def _hold(self, tensor: Tensor) -> Tensor:
        self._held.append(tensor)
        return tensor

    def _array(self, kind: Any, items: Sequence[Any]) -> Any:
        array = (kind * len(items))(*items)
        self._held.append(array)
        return array


def _leave_to_its_file(weight: Tensor) -> None:
    """No memory for a loaded matrix that is not read for now: what reads it again finds the same, if a bit later.

    The system keeps whatever has no file behind it. A version above 0 says so beforehand: no such matrix is loaded.
    """
    if not sys.platform.startswith("linux") or weight.is_inference() or weight._version:
        return
    first = -(-weight.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (weight.data_ptr() + weight.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0:
        # Where it cannot be, nothing is lost but room.
        ctypes.CDLL(None).madvise(c_void_p(first), ctypes.c_size_t(length), _PAGE_OUT)


def _flat(sequences: Sequence[Sequence[int] | np.ndarray], tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """One after the other, and their lengths."""
    lengths = np.array([len(each) for each in sequences], np.int64)
    ids = np.concatenate([np.asarray(each, np.int32) for each in sequences])
    if ids.min(initial=0) < 0 or ids.max(initial=0) >= tokens:
        raise IndexError("there is an id outside of its vocabulary")
    return ids, lengths


_known: WeakKeyDictionary[Network, Compiled] = WeakKeyDictionary()


def _told(found: "_Found", lengths: np.ndarray, attention: bool) -> Iterator[list[Spoken]]:
    """Copies of what the kernel found."""
    counts = numbers(found.counts, len(lengths))
    hypotheses = int(counts.sum())
    spoken = numbers(found.lengths, hypotheses)
    ids = iter(numbers(found.ids, int(spoken.sum())).tolist())
    scores, totals = (numbers(each, hypotheses).tolist() for each in (found.scores, found.totals))
    looked: Sequence[np.ndarray | None] = [None] * hypotheses
    if attention and hypotheses:
        shapes = list(zip(spoken, np.repeat(lengths, counts), strict=True))
        ends = np.cumsum([rows * columns for rows, columns in shapes], dtype=np.int64)
        weights = numbers(found.looked, int(ends[-1])).copy()
        looked = [part.reshape(shape) for part, shape in zip(np.split(weights, ends[:-1]), shapes, strict=True)]
    each = map(Spoken, (list(islice(ids, length)) for length in spoken), scores, totals, looked)
    for count in counts:
        yield list(islice(each, count))


def numbers(pointer: Any, count: int) -> np.ndarray:
    """What a pointer points to; it may be null where it is nothing."""
    return np.ctypeslib.as_array(pointer, (count,)) if count else np.zeros(0, np.int64)


class _Matrix(ctypes.Structure):
    """This one and the following: the structs of the same names in the C++."""

    _fields_ = (("weights", c_void_p), ("bias", c_void_p), ("outputs", c_int64), ("inputs", c_int64), ("half", c_int64))


class _Cell(ctypes.Structure):
    _fields_ = (("of_input", _Matrix), ("of_step", _Matrix), ("table", c_void_p), ("candidate", c_int64))


class _Layer(ctypes.Structure):
    _fields_ = (("onward", _Cell), ("back", _Cell), ("both", c_int64), ("residual", c_int64))


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("source_embedding", "target_embedding")),
        *(("layers", POINTER(_Layer)), ("cells", POINTER(_Cell)), ("residual", POINTER(c_int64))),
        ("begin", POINTER(_Matrix)),
        *((name, _Matrix) for name in ("of_key", "of_query", "combine_hidden", "combine_context", "output")),
        ("direction", c_void_p),
        *((name, c_int64) for name in ("layer_count", "cell_count", "upper", "feeding", "hidden", "attention")),
        ("first_state", c_int64),
    )


class _Wanted(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("width", "longest", "nbest", "attention")),
        *((name, c_double) for name in ("alpha", "threshold")),
    )


class _Found(ctypes.Structure):
    _fields_ = (
        *((name, POINTER(c_int64)) for name in ("counts", "lengths")),
        ("ids", POINTER(c_int32)),
        *((name, POINTER(c_float)) for name in ("totals", "scores", "looked")),
    )
