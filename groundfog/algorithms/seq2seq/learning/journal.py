"""What a training job leaves beside its model: the log, the metrics, and translations of validation sources.

    log                        the lines that also go to stdout
    metrics                    a line per checkpoint
    decode.source              the validation sources that are translated at each checkpoint, as tokens
    decode.target              their right targets
    decode.output.00001 ...    what the model said at each checkpoint
    args.json                  the hyperparameters as the job was given them

They are also kept in the checkpoint folder, since a job that goes on elsewhere begins with an empty model folder.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ..data.batching import Sequences
from ..data.channels import Channels
from ..data.vocabulary import Vocabulary
from ..hyperparameters import Hyperparameters
from ..model import write_text
from .progress import Checkpoint, Record, log_lines
from .train import decoding_sample


class Journal:
    """A listener of the training."""

    def __init__(self, model: Path, checkpoints: Path) -> None:
        self._kept, self._model = checkpoints / "journal", model
        self._kept.mkdir(parents=True, exist_ok=True)
        model.mkdir(parents=True, exist_ok=True)
        for file in self._kept.iterdir():
            shutil.copyfile(file, model / file.name)

    def begin(self, channels: Channels, options: Hyperparameters, given: Mapping[str, str]) -> None:
        self._write("args.json", json.dumps(dict(given), indent=2) + "\n")
        sample = decoding_sample(channels.validation, options)
        if sample is not None:
            validation = channels.validation
            self._write("decode.source", _lines(validation.sources, sample, channels.source_vocabulary))
            self._write("decode.target", _lines(validation.targets, sample, channels.target_vocabulary))

    def __call__(self, record: Record) -> None:
        lines = "".join(f"{line}\n" for line in log_lines(record) if line)
        sys.stdout.write(lines)
        sys.stdout.flush()
        for folder in (self._kept, self._model):
            with (folder / "log").open("a", encoding="utf-8") as log:
                log.write(lines)
        if isinstance(record, Checkpoint):
            self._checkpoint(record)

    def _checkpoint(self, record: Checkpoint) -> None:
        metrics = self._kept / "metrics"
        before = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
        # A job that died right here comes to the same checkpoint again.
        earlier = [line for line in before if int(line.split("\t")[0]) < record.number]
        self._write("metrics", "".join(f"{line}\n" for line in [*earlier, record.line]))
        if record.outputs is not None:
            self._write(f"decode.output.{record.number:05d}", "".join(f"{output}\n" for output in record.outputs))

    def _write(self, name: str, text: str) -> None:
        for folder in (self._kept, self._model):
            write_text(folder / name, text)


def _lines(sequences: Sequences, sample: list[int], vocabulary: Vocabulary) -> str:
    return "".join(" ".join(vocabulary.decode(sequences[number])) + "\n" for number in sample)
