"""Arrays in and out: JSON, CSV and NPY, as the toolkits that they share read and write them."""

from __future__ import annotations

import importlib
import io
import json
from typing import Any

from groundfog.opt_ml.inference.handler import Unsupported

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"


def decode(data: Any, content_type: str) -> Any:
    """A numpy array. Raises Unsupported. An array of Python objects, which could run code, is not read."""
    numpy = importlib.import_module("numpy")
    kind = essence(content_type)
    if kind == JSON:
        return numpy.array(json.loads(data))
    if kind == CSV:
        return numpy.genfromtxt(io.StringIO(data), delimiter=",")
    if kind == NPY:
        return numpy.load(io.BytesIO(data), allow_pickle=False)
    raise Unsupported(content_type)


def encode(prediction: Any, accept: str) -> tuple[str | bytes, str]:
    """As the first type of `accept` that can be written, and which that is. Raises Unsupported."""
    for kind in map(essence, accept.split(",")):
        if kind in (JSON, "*/*"):
            return json.dumps(prediction, default=_listed), JSON
        if kind in (CSV, NPY):
            return _csv(prediction) if kind == CSV else _npy(prediction), kind
    raise Unsupported(accept)


def essence(content_type: str) -> str:
    """Without parameters: `text/csv` of `text/csv; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: write an output_fn.")


def _csv(prediction: Any) -> str:
    written = io.StringIO()
    importlib.import_module("numpy").savetxt(written, prediction, delimiter=",", fmt="%s")
    return written.getvalue()


def _npy(prediction: Any) -> bytes:
    written = io.BytesIO()
    importlib.import_module("numpy").save(written, prediction, allow_pickle=False)
    return written.getvalue()
