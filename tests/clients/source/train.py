"""A user's training script: it learns the mean of its channel's numbers, and says so as it goes."""

import argparse
import json
import os
import sys
from pathlib import Path

import rounding

asked = argparse.ArgumentParser()
asked.add_argument("--epochs", type=int)
asked.add_argument("--fail", type=str, default="")
given, _ = asked.parse_known_args()
if given.fail:
    raise ValueError(f"the script was told to fail: {given.fail}")

channel = Path(os.environ["SM_CHANNEL_TRAIN"])
numbers = [float(line) for file in sorted(channel.iterdir()) for line in file.read_text().splitlines()]
for epoch in range(given.epochs):
    print(f"epoch={epoch} mean_so_far={sum(numbers) / len(numbers):.3f};", flush=True)

model = {"mean": rounding.rounded(sum(numbers) / len(numbers)), "python": sys.version_info[:2]}
Path(os.environ["SM_MODEL_DIR"], "mean.json").write_text(json.dumps(model))
Path(os.environ["SM_OUTPUT_DATA_DIR"], "count.txt").write_text(str(len(numbers)))
