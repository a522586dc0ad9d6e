"""The PyTorch toolkit: a TorchScript model, tensors in and out.

A pickled model is code, and only the user's own `model_fn` may load one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from groundfog.opt_ml.inference.defaults._arrays import NPY, decode, encode, essence

_USUAL = "model.pt"


def model_fn(model_dir: str) -> Any:
    torch = importlib.import_module("torch")
    found = [Path(model_dir) / _USUAL]
    if not found[0].is_file():
        found = sorted(file for file in Path(model_dir).iterdir() if file.suffix in (".pt", ".pth"))
    if len(found) != 1:
        raise ValueError(
            f"Exactly one .pth or .pt file is required for PyTorch models without a model_fn: {model_dir} has "
            f"{', '.join(file.name for file in found) or 'none'}."
        )
    try:
        model = torch.jit.load(str(found[0]), map_location=_device())
    except RuntimeError as problem:
        raise ValueError(
            f"{found[0].name} is no TorchScript model: save it with torch.jit.save, or write a model_fn."
        ) from problem
    return model.eval()


def input_fn(data: Any, content_type: str) -> Any:
    torch, array = importlib.import_module("torch"), decode(data, content_type)
    tensor = torch.from_numpy(array)
    return (tensor if essence(content_type) == NPY else tensor.float()).to(_device())


def predict_fn(data: Any, model: Any) -> Any:
    with importlib.import_module("torch").no_grad():
        return model(data)


def output_fn(prediction: Any, accept: str) -> tuple[str | bytes, str]:
    tensor = importlib.import_module("torch").Tensor
    return encode(prediction.detach().cpu().numpy() if isinstance(prediction, tensor) else prediction, accept)


def _device() -> str:
    return "cuda" if importlib.import_module("torch").cuda.is_available() else "cpu"
