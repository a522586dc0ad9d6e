"""Read a Pipe channel, record by record, in PyTorch.

    dataset = PipeModeDataset("train", "TFRecord", decode=to_tensors)
    for epoch in range(10):
        for batch in DataLoader(dataset, batch_size=256): ...

Each new iteration is the channel's next epoch, whichever process it is in: a file knows which. A channel has one
reader. Two would tear its records apart, or wait for each other for ever; here the second is told so. Give each of
several workers a channel of its own (train_0, train_1 and so on: `groundfog shard` makes them).

Without torch it is a plain iterable.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from groundfog.opt_ml import protobuf, records
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.turns import PipeModeError, Reader, Turns

if TYPE_CHECKING:
    from torch.utils.data import IterableDataset

    _Dataset = IterableDataset[Any]
else:
    try:
        from torch.utils.data import IterableDataset as _Dataset
    except ImportError:
        _Dataset = object

__all__ = ["FORMATS", "PipeModeDataset", "PipeModeError"]

FORMATS = ("RecordIO", "RecordIO-protobuf", "TFRecord", "TextLine")
PATIENCE = 120.0
"""Seconds until the FIFO of the next epoch has to be there."""
_AT_ONCE = 1 << 20
"""Bytes asked of the FIFO at once: as much as one holds."""


class PipeModeDataset(_Dataset):
    """Yields what `decode` makes of each record: of its bytes, or for RecordIO-protobuf of
    `{"features": {name: tensor}, "label": {name: tensor}}`. Without `decode` it yields just these.

    TFRecord's checksums are looked at unless `check` is False. Raises PipeModeError where the channel is no pipe, when
    it has another reader already, and records.RecordError for what does not belong into it.
    """

    def __init__(
        self,
        channel: str,
        record_format: str = "RecordIO",
        *,
        decode: Callable[[Any], Any] | None = None,
        check: bool = True,
        layout: Layout | None = None,
    ) -> None:
        if record_format not in FORMATS:
            raise ValueError(f"record_format is one of {', '.join(FORMATS)}, not {record_format!r}")
        self.channel, self._format, self._decode = channel, record_format, decode
        self._layout = layout or Layout.here()
        _require_pipe(channel, self._layout.input_data_config())
        self._crc = _crc32c() if record_format == "TFRecord" and check else None
        # Whoever made it reads it, though it may do so by a worker of its own, and by another in each epoch.
        self._reader = Reader.this_process()

    def __iter__(self) -> Iterator[Any]:
        _require_one_worker(self.channel)
        turns = Turns(self._layout.pipe_state, self.channel)
        with turns.taken(self._reader) as epoch, _opened(self._layout.fifo(self.channel, epoch)) as stream:
            turns.begun(self._reader, epoch)
            for record in self._records(stream):
                yield record if self._decode is None else self._decode(record)

    def _records(self, stream: BinaryIO) -> Iterator[Any]:
        if self._format == "TFRecord":
            return records.tfrecords(stream, self._crc)
        if self._format == "TextLine":
            return records.text_lines(stream)
        payloads = records.recordio(stream)
        return payloads if self._format == "RecordIO" else map(_tensors, payloads)


def _require_pipe(channel: str, channels: dict[str, Any]) -> None:
    if channel not in channels:
        raise PipeModeError(f"There is no channel {channel!r}; this job has {', '.join(sorted(channels)) or 'none'}")
    mode = channels[channel].get("TrainingInputMode")
    if mode != "Pipe":
        raise PipeModeError(
            f"Channel {channel!r} is not a pipe, its TrainingInputMode is {mode}: set InputMode='Pipe' for it, or read "
            "the files in its folder"
        )


def _require_one_worker(channel: str) -> None:
    torch = _torch()
    worker = torch.utils.data.get_worker_info() if torch is not None else None
    if worker is not None and worker.num_workers > 1:
        raise PipeModeError(
            f"Channel {channel!r} is one pipe and has one reader, but the DataLoader has {worker.num_workers} workers: "
            "set num_workers to 0 or 1"
        )


def _opened(fifo: Path) -> BinaryIO:
    """Waits for the FIFO to be made, and to be written."""
    end, pause = time.monotonic() + PATIENCE, 0.001
    while not fifo.exists():
        if time.monotonic() > end:
            raise PipeModeError(f"There is no {fifo} after {PATIENCE:.0f} s; was an epoch before it left out?")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return fifo.open("rb", buffering=_AT_ONCE)


def _crc32c() -> records.Crc:
    for name, attribute in (("google_crc32c", "value"), ("anycrc", "Model")):
        try:
            found = getattr(importlib.import_module(name), attribute)
        except ImportError:
            continue
        crc: records.Crc = found("CRC32C").calc if name == "anycrc" else found
        return crc
    raise PipeModeError(
        "TFRecord's checksums need a library: add anycrc (or google-crc32c) to requirements.txt, or pass check=False"
    )


def _tensors(payload: bytes) -> dict[str, dict[str, Any]]:
    record = protobuf.record(payload)
    return {
        part: {name: _tensor(value) for name, value in values.items()}
        for part, values in (("features", record.features), ("label", record.label))
    }


def _tensor(value: protobuf.Tensor | list[bytes]) -> Any:
    """A row of one thing of bytes is that thing; a sparse tensor stays as it was written."""
    torch = _torch()
    if isinstance(value, list):
        return value[0] if len(value) == 1 else value
    if value.keys or torch is None:
        return value
    kinds = {"f": torch.float32, "d": torch.float64, "i": torch.int32}
    tensor = torch.frombuffer(value.values, dtype=kinds[value.values.typecode]) if value.values else torch.tensor([])
    return tensor.reshape(value.shape) if value.shape else tensor


def _torch() -> Any:
    """None where it is not installed."""
    return importlib.import_module("torch") if _Dataset is not object else None
