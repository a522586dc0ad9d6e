# ruff: noqa: T201
"""Wishes about what is kept while a program runs: metrics that it says, checkpoints, TensorBoard's events."""

import json
import os
import signal
import time
from pathlib import Path

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def count_epochs() -> None:
    """Say the metrics of each epoch, once over all runs: told to end, it does so between two.

    The first run waits for that after `wait_at` epochs.
    """
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    given = json.loads((HERE / "input" / "config" / "hyperparameters.json").read_text())
    kept = HERE / "checkpoints" / "epoch"
    first = int(kept.read_text()) + 1 if kept.exists() else 1
    print("first epoch:", first)
    for epoch in range(first, int(given["epochs"]) + 1):
        print(f"[1,mpirank:0]<stdout>: {{'eval_loss': {1 / epoch:.4f}, 'eval_wer': 1e-2, 'epoch': {epoch}.0}}")
        being_written = kept.with_suffix(".new")
        being_written.write_text(str(epoch))
        being_written.replace(kept)
        with (HERE / "output" / "tensorboard" / f"events-{first}").open("a") as events:
            events.write(f"{epoch}\n")
        while epoch == int(given["wait_at"]) and not asked:
            time.sleep(0.02)
        if asked:
            raise SystemExit(1)
    (HERE / "model" / "weights").write_text(str(epoch))
