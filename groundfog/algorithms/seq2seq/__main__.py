"""seq2seq as SageMaker's built-in algorithm: `python -m groundfog.algorithms.seq2seq train`, or `serve`.

The one file here that knows the treaty, `/opt/ml`.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from groundfog.opt_ml import run
from groundfog.opt_ml import serve as serving
from groundfog.opt_ml.layout import Layout

from .errors import InputFault


def main(arguments: list[str]) -> None:
    # Threads that wait asleep: where others work too, spinning ones make everything several times slower.
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")
    match arguments:
        case ["train"]:
            run.train(train)
        case ["serve"]:
            serving.serve(load)
        case _:
            sys.exit("usage: python -m groundfog.algorithms.seq2seq train|serve")


def train(layout: Layout, stopping: threading.Event) -> None:
    try:
        _train(layout, stopping)
    except InputFault as fault:
        raise run.ClientFault(str(fault)) from fault


def _train(layout: Layout, stopping: threading.Event) -> None:
    # What is wrong with the hyperparameters is said before torch is loaded.
    from .hyperparameters import Hyperparameters

    given = {name: value for name, value in layout.hyperparameters().items() if not name.startswith(_PLATFORM_NAMES)}
    options = Hyperparameters.of(given)
    _refuse_what_is_not_built(layout)

    from . import kernels
    from .data.channels import read_channels
    from .learning.board import Board
    from .learning.journal import Journal
    from .learning.progress import Record
    from .model import Seq2Seq

    # The kernels are one thread's work. Of PyTorch's own, two gain a tenth on small matrices where the cores are idle,
    # and lose half where they are not.
    _use_threads(4 if options.rnn_num_hidden >= 512 and kernels.library("training") is None else 1)
    channels = read_channels(layout.data, options)
    model = Seq2Seq(**{"num_processes": _gpus(), **given})
    model.source_vocabulary, model.target_vocabulary = channels.source_vocabulary, channels.target_vocabulary
    checkpoints = layout.local(layout.checkpoint_config().get("LocalPath", "/opt/ml/checkpoints"))
    journal = Journal(layout.model, checkpoints)
    journal.begin(channels, options, given)
    with Board(checkpoints / "tensorboard", _board(layout)) as board:

        def tell(record: Record) -> None:
            journal(record)
            board(record)

        model.fit_corpora(
            channels.train,
            channels.validation,
            progress=tell,
            stop=stopping,
            checkpoints=checkpoints,
            folder=layout.model,
            reports=(layout.model, layout.output_data),
        )


def _board(layout: Layout) -> Path:
    """Where TensorBoard's files go: where they are kept in S3 as they grow, or with the job's output."""
    path = layout.tensorboard_config().get("LocalPath")
    return layout.local(path) if path else layout.output_data / "tensorboard"


def _gpus() -> int:
    """Of this machine: each has a process of its own; 1 where there are none."""
    import torch

    return max(1, torch.cuda.device_count())


_PLATFORM_NAMES = ("sagemaker_", "_tuning_objective_metric")
"""Hyperparameters that SDKs and tuning jobs add for the platform, not for the algorithm."""


def _refuse_what_is_not_built(layout: Layout) -> None:
    hosts = layout.resource_config().get("hosts", [])
    if len(hosts) > 1:
        raise InputFault(f"seq2seq trains on one instance: set InstanceCount to 1, not {len(hosts)}")
    mode = layout.input_data_config().get("vocab", {}).get("TrainingInputMode", "File")
    if mode != "File":
        raise InputFault(f"Channel 'vocab' has the input mode {mode}: seq2seq reads it in File mode; set its InputMode")


def load(folder: Path) -> "HostedPredictor":
    return HostedPredictor(folder)


class HostedPredictor:
    """serve.Predictor whose rejections are the treaty's."""

    def __init__(self, folder: Path) -> None:
        from .serve import Predictor

        _use_threads(1)
        self._predictor = Predictor.load(folder)
        self.max_batch = self._predictor.max_batch
        self.predict, self.encode = self._predictor.predict, self._predictor.encode

    def decode(self, body: bytes, content_type: str, accept: str) -> tuple[list[Any], str]:
        from .serve import Rejected

        try:
            return self._predictor.decode(body, content_type, accept)
        except Rejected as rejected:
            raise serving.Refused(rejected.status, rejected.message) from rejected


def _use_threads(most: int) -> None:
    """At most `most` of those that OMP_NUM_THREADS or the cores allow: matrices of this size lose from more."""
    import torch

    torch.set_num_threads(min(most, torch.get_num_threads()))


if __name__ == "__main__":
    main(sys.argv[1:])
