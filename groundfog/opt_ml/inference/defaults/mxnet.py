"""The MXNet toolkit, which here serves any Python code: arrays in and out; the model is the user's own to load."""

from __future__ import annotations

from typing import Any

from groundfog.opt_ml.inference.defaults._arrays import decode as input_fn
from groundfog.opt_ml.inference.defaults._arrays import encode as output_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]


def model_fn(model_dir: str) -> Any:
    raise NotImplementedError(
        f"Write a model_fn(model_dir) in your inference script: only it knows what {model_dir} holds."
    )


def predict_fn(data: Any, model: Any) -> Any:
    return model(data)
