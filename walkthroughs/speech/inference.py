"""What the endpoint does with a request: JSON of samples in, the text out, by the HuggingFace toolkit's four functions.

`output_fn` returns a pair, which that toolkit hands on as it is: the client sees a JSON list of text and content type.
"""

import json
from typing import Any

import torch
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

Loaded = tuple[Wav2Vec2ForCTC, Wav2Vec2Processor]


def model_fn(model_dir: str) -> Loaded:
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return Wav2Vec2ForCTC.from_pretrained(model_dir).to(device).eval(), Wav2Vec2Processor.from_pretrained(model_dir)


def input_fn(body: str | bytes, content_type: str = "application/json") -> dict[str, Any]:
    if content_type.split(";")[0] != "application/json":
        raise ValueError(
            f'content type {content_type}: send application/json, {{"speech_array": [...], "sampling_rate": 16000}}'
        )
    return json.loads(body)


def predict_fn(asked: dict[str, Any], loaded: Loaded) -> str:
    return transcript(loaded, asked["speech_array"], asked["sampling_rate"])


def output_fn(text: str, accept: str = "application/json") -> tuple[str, str]:
    return json.dumps(text), accept


def transcript(loaded: Loaded, samples: Any, rate: int) -> str:
    """The likeliest letter of each moment; repetitions and blanks go (CTC)."""
    model, processor = loaded
    values = processor(samples, sampling_rate=rate, return_tensors="pt").input_values
    with torch.inference_mode():
        scores = model(values.to(model.device)).logits
    return processor.batch_decode(scores.argmax(dim=-1))[0]
