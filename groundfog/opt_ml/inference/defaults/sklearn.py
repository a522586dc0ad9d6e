"""The scikit-learn toolkit: arrays of float32 in, `model.predict`, arrays out; the model is the user's own to load."""

from __future__ import annotations

from typing import Any

from groundfog.opt_ml.inference.defaults._arrays import NPY, decode, essence
from groundfog.opt_ml.inference.defaults._arrays import encode as output_fn
from groundfog.opt_ml.inference.defaults.mxnet import model_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]


def input_fn(data: Any, content_type: str) -> Any:
    array = decode(data, content_type)
    return array if essence(content_type) == NPY else array.astype("float32")


def predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)
