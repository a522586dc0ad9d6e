"""Two kinds of protobuf message that training data comes in, read without a library.

    Record     of SageMaker's built-in algorithms: features and labels, each a tensor or bytes
               https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html
    Example    of TensorFlow: features, each a list of bytes, floats or integers
               https://www.tensorflow.org/api_docs/python/tf/train/Example

On the wire a message is a row of fields, each a number and a value; what the numbers mean stands below.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from groundfog.opt_ml.records import RecordError

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_TENSORS = {2: "f", 3: "d", 7: "i"}
"""Fields of a `Value`: float32_tensor, float64_tensor, int32_tensor."""
_VALUE_BYTES = 9
_KEYS, _SHAPE = 2, 3
_LISTS = {1: "", 2: "f", 3: "q"}
"""Fields of a TensorFlow `Feature`: bytes_list, float_list, int64_list."""

Raw = Union[int, bytes]  # noqa: UP007  valid in Python 3.9


@dataclass(frozen=True)
class Tensor:
    values: array[float] | array[int]
    shape: tuple[int, ...] = ()
    """Empty where the writer gave none: then it is a row."""
    keys: tuple[int, ...] = ()
    """Of a sparse one: where each value stands."""


@dataclass(frozen=True)
class Record:
    features: dict[str, Tensor | list[bytes]] = field(default_factory=dict)
    label: dict[str, Tensor | list[bytes]] = field(default_factory=dict)


def record(payload: bytes) -> Record:
    """Raises RecordError."""
    read = Record()
    for number, value in _fields(payload):
        if number in (1, 2):
            name, inner = _entry(value)
            (read.features if number == 1 else read.label)[name] = _value(inner)
    return read


def example(payload: bytes) -> dict[str, list[bytes] | list[float] | list[int]]:
    """Raises RecordError."""
    read: dict[str, list[bytes] | list[float] | list[int]] = {}
    for number, features in _fields(payload):
        for inner, entry in _fields(_message(features)) if number == 1 else ():
            if inner == 1:
                name, feature = _entry(entry)
                read[name] = _feature(feature)
    return read


def _entry(value: Raw) -> tuple[str, bytes]:
    """Of a map: a key and a message."""
    parts = dict(_fields(_message(value)))
    try:
        return _message(parts.get(1, b"")).decode(), _message(parts.get(2, b""))
    except UnicodeDecodeError:
        raise RecordError("the name of a feature is no UTF-8") from None


def _value(message: bytes) -> Tensor | list[bytes]:
    for number, inner in _fields(message):
        if number in _TENSORS:
            return _tensor(_message(inner), _TENSORS[number])
        if number == _VALUE_BYTES:
            return [_message(value) for at, value in _fields(_message(inner)) if at == 1]
    raise RecordError("a feature has no value")


def _tensor(message: bytes, kind: str) -> Tensor:
    values, places = array(kind), {_KEYS: array("Q"), _SHAPE: array("Q")}
    for number, value in _fields(message):
        if number == 1:
            _extend(values, value)
        elif number in places:
            _extend(places[number], value)
    return Tensor(values, tuple(places[_SHAPE]), tuple(places[_KEYS]))


def _feature(message: bytes) -> list[bytes] | list[float] | list[int]:
    for number, inner in _fields(message):
        if number not in _LISTS:
            continue
        if not _LISTS[number]:
            return [_message(value) for at, value in _fields(_message(inner)) if at == 1]
        values = array(_LISTS[number])
        for at, value in _fields(_message(inner)):
            if at == 1:
                _extend(values, value)
        return values.tolist()
    return []


def _extend(values: array[float] | array[int], value: Raw) -> None:
    """By one number, or by many in a row: a writer may choose."""
    kind = values.typecode
    if kind in "fd":
        _extend_with_floats(values, _message(value))
    elif isinstance(value, int):
        values.append(_signed(value, kind))
    else:
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            values.append(_signed(number, kind))


def _extend_with_floats(values: array[float] | array[int], raw: bytes) -> None:
    if len(raw) % values.itemsize:
        raise RecordError(f"{len(raw)} bytes are no row of numbers of {values.itemsize}")
    more = array(values.typecode, raw)
    if sys.byteorder == "big":
        more.byteswap()
    values.extend(more)


def _signed(number: int, kind: str) -> int:
    """A varint is a number without a sign; of 32 bits the rest only repeats it."""
    if kind == "Q":
        return number
    bits = 32 if kind == "i" else 64
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _fields(message: bytes) -> Iterator[tuple[int, Raw]]:
    """The numbers of the fields and their values; what has four or eight bytes stays as it is."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise RecordError(f"byte {at} is no field of a message; is this protobuf?")
        if at + size > len(message):
            raise RecordError(f"a field of {size} bytes goes beyond the end of its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number, seven bits in each byte, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise RecordError("a number in a message does not end; is this protobuf?")


def _message(value: Raw) -> bytes:
    if isinstance(value, int):
        raise RecordError("a number stands where a message belongs; is this the right kind of record?")
    return value
