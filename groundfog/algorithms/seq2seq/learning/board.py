"""The curves of a training as TensorBoard reads them, where TensorBoard is installed.

What is written lies with the checkpoints and is copied from there, so that a training that goes on elsewhere begins
with the curves that it had.
"""

import importlib.util
import queue
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from .progress import Checkpoint, Progress, Record, Started

_KINDS = {"train": "train", "val": "validation"}


class Board:
    """A listener of the training, and a context to do it in.

    A thread of its own writes, since to load TensorBoard takes half a second; what goes wrong there costs the curves,
    not the training.
    """

    def __init__(self, kept: Path, shown: Path) -> None:
        self._kept, self._shown = kept, shown
        self._records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="tensorboard", daemon=True)
        self._wanted = importlib.util.find_spec("tensorboard") is not None

    def __enter__(self) -> Self:
        if self._wanted:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            self._records.put(None)
            self._thread.join()

    def __call__(self, record: Record) -> None:
        if self._wanted:
            self._records.put(record)

    def _write(self) -> None:
        try:
            self._write_all()
        except Exception as error:
            print(f"TensorBoard's files are not written any more: {error}", file=sys.stderr)  # noqa: T201

    def _write_all(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = None
        written: dict[str, int] = {}
        while (record := self._records.get()) is not None:
            if writer is None:
                # What an earlier run said of updates that are done once more is not to be shown twice.
                again = record.updates + 1 if isinstance(record, Started) and record.updates else None
                writer = SummaryWriter(str(self._kept), purge_step=again)
            for name, value, updates in scalars(record):
                # Progress and a checkpoint may be told after the same update.
                if written.get(name) != updates:
                    writer.add_scalar(name, value, updates)
                    written[name] = updates
            if self._records.empty():
                writer.flush()
                self._show()
        if writer is not None:
            writer.close()
            self._show()

    def _show(self) -> None:
        """Files only grow, and whoever reads them is to see them grow."""
        self._shown.mkdir(parents=True, exist_ok=True)
        for file in self._kept.iterdir():
            with file.open("rb") as source, (self._shown / file.name).open("ab") as target:
                source.seek(target.tell())
                shutil.copyfileobj(source, target)


def scalars(record: Record) -> Iterator[tuple[str, float, int]]:
    """Name, value and number of updates; names that begin alike share a chart's heading."""
    if isinstance(record, Progress):
        yield "perplexity/train", record.perplexity, record.updates
        yield "accuracy/train", record.accuracy, record.updates
        yield "learning rate", record.learning_rate, record.updates
        yield "pairs per second", record.pairs_per_second, record.updates
    elif isinstance(record, Checkpoint):
        for name, value in record.metrics.items():
            measure, _, kind = name.rpartition("-")
            if kind in _KINDS and not measure.startswith("avg-"):
                yield f"{measure}/{_KINDS[kind]}", value, record.updates
