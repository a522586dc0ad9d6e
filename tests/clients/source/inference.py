"""A user's inference script, after the conventions of AWS's inference toolkits."""

import json
from pathlib import Path

import rounding


def model_fn(model_dir):
    return json.loads(Path(model_dir, "mean.json").read_text())


def input_fn(body, content_type):
    assert content_type == "application/json", content_type
    return json.loads(body)


def predict_fn(numbers, model):
    return [rounding.rounded(number - model["mean"]) for number in numbers]


def output_fn(prediction, accept):
    return json.dumps({"above_the_mean": prediction})
