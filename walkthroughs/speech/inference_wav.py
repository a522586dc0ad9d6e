"""The same for WAV files, and all of it in one function: `transform_fn` has a request's body and makes the answer's."""

import io
import json

import soundfile
from inference import Loaded, model_fn, transcript

__all__ = ["model_fn", "transform_fn"]


def transform_fn(loaded: Loaded, body: bytes, content_type: str, accept: str) -> str:
    if content_type not in ("audio/wav", "audio/x-wav"):
        raise ValueError(f"content type {content_type}: send a WAV file as audio/wav")
    samples, rate = soundfile.read(io.BytesIO(body), dtype="float32", always_2d=True)
    text = transcript(loaded, samples.mean(axis=1), rate)
    return json.dumps({"text": text})
