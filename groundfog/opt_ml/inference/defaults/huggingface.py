"""The HuggingFace toolkit: a transformers pipeline for `HF_TASK`, or for what the model's architecture is made for."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from pathlib import Path
from typing import Any

from groundfog.opt_ml.inference.defaults._arrays import CSV, JSON, NPY, essence
from groundfog.opt_ml.inference.defaults._arrays import decode as decode_array
from groundfog.opt_ml.inference.defaults._arrays import encode as encode_array
from groundfog.opt_ml.inference.handler import Unsupported

TASKS = {
    "TapasForQuestionAnswering": "table-question-answering",
    "ForQuestionAnswering": "question-answering",
    "ForTokenClassification": "token-classification",
    "ForSequenceClassification": "text-classification",
    "ForMultipleChoice": "multiple-choice",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "MTModel": "text2text-generation",
    "EncoderDecoderModel": "text2text-generation",
    "GPT2LMHeadModel": "text-generation",
    "T5WithLMHeadModel": "text2text-generation",
}
"""By the end of the architecture's name; the first that fits."""
_FEATURES = (
    "automatic-speech-recognition",
    "image-segmentation",
    "image-classification",
    "audio-classification",
    "object-detection",
    "zero-shot-image-classification",
)
_HEADED = ("question", "context", "inputs")


def model_fn(model_dir: str) -> Any:
    where = os.environ.get("HF_MODEL_ID") or model_dir
    task = os.environ.get("HF_TASK") or task_of(Path(model_dir))
    pipeline = importlib.import_module("transformers").pipeline
    beside = {"feature_extractor" if task in _FEATURES else "tokenizer": where}
    return pipeline(task=task, model=where, device=_device(), **beside)


def input_fn(data: Any, content_type: str) -> Any:
    kind = essence(content_type)
    if kind == JSON:
        return json.loads(data)
    if kind == CSV:
        return _rows(data)
    if kind == NPY:
        return decode_array(data, content_type)
    if kind.startswith("image/"):
        image = importlib.import_module("PIL.Image")
        return {"inputs": image.open(io.BytesIO(data)).convert("RGB")}
    if kind.startswith("audio/"):
        return {"inputs": data}
    raise Unsupported(content_type)


def predict_fn(data: Any, model: Any) -> Any:
    """`{"inputs": ..., "parameters": {...}}`, or the inputs alone."""
    inputs, parameters = data, None
    if isinstance(data, dict):
        parameters = data.pop("parameters", None)
        inputs = data.pop("inputs", data)
    return model(inputs, **(parameters or {}))


def output_fn(prediction: Any, accept: str) -> str | bytes:
    kind = essence(accept)
    if kind == JSON:
        return json.dumps(prediction, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    if kind == CSV:
        return _table(prediction if isinstance(prediction, list) else [prediction])
    if kind == NPY:
        return encode_array(prediction, accept)[0]
    raise Unsupported(accept)


def task_of(model_dir: Path) -> str:
    config = model_dir / "config.json"
    if not config.is_file():
        raise ValueError(
            f"{model_dir} holds no config.json: name the model's task in the environment as HF_TASK, or write a "
            "model_fn in code/inference.py."
        )
    architecture = (json.loads(config.read_text()).get("architectures") or [""])[0]
    for ending, task in TASKS.items():
        if architecture.endswith(ending):
            return task
    raise ValueError(f"What task {architecture or 'the model'} is for cannot be told: name it as HF_TASK.")


def _device() -> int:
    return 0 if importlib.import_module("torch").cuda.is_available() else -1


def _rows(data: str) -> Any:
    lines = data.splitlines()
    if not lines or not any(name in lines[0].lower() for name in _HEADED):
        raise ValueError(f"CSV needs a first line with the names of its columns: {', '.join(_HEADED)}.")
    rows = list(csv.DictReader(io.StringIO(data)))
    return {"inputs": [row["inputs"] for row in rows] if rows and "inputs" in rows[0] else rows}


def _table(rows: Any) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: write an output_fn.")
