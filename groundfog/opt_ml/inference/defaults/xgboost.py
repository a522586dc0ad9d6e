"""The XGBoost toolkit in script mode: CSV and LIBSVM in, the model is the user's own to load."""

from __future__ import annotations

import importlib
import tempfile
from typing import Any

from groundfog.opt_ml.inference.defaults._arrays import CSV, decode, essence
from groundfog.opt_ml.inference.defaults._arrays import encode as output_fn
from groundfog.opt_ml.inference.defaults.mxnet import model_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]

_LIBSVM = ("text/libsvm", "text/x-libsvm")


def input_fn(data: Any, content_type: str) -> Any:
    xgboost = importlib.import_module("xgboost")
    if essence(content_type) in _LIBSVM:
        with tempfile.NamedTemporaryFile(suffix=".libsvm") as file:
            file.write(data)
            file.flush()
            return xgboost.DMatrix(f"{file.name}?format=libsvm")
    array = decode(data, content_type)
    # One line of CSV is one row.
    return xgboost.DMatrix(array.reshape(1, -1) if essence(content_type) == CSV and array.ndim == 1 else array)


def predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data, validate_features=False)
