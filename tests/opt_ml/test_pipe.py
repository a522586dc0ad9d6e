"""PipeModeDataset over FIFOs, as a job finds them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import anycrc
import pytest
import torch
from torch.utils.data import DataLoader

from groundfog.algorithms.seq2seq.data.record_pb2 import Record
from groundfog.opt_ml import pipe, turns
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.pipe import PipeModeDataset, PipeModeError
from groundfog.opt_ml.records import RecordError, framed, tfrecord

CRC = anycrc.Model("CRC32C").calc
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None\n"
"""For processes that have no need of it, and where there is none."""


class Platform:
    """Makes and writes FIFOs until it has written all that it was given."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.writers = layout, list[threading.Thread]()
        layout.lay_out()
        channels = {"train": {"TrainingInputMode": "Pipe"}, "test": {"TrainingInputMode": "File"}}
        layout.configure({}, channels, {})

    def feed(self, *epochs: bytes, channel: str = "train") -> None:
        os.mkfifo(self.layout.fifo(channel, 0))
        writer = threading.Thread(target=self._write, args=(channel, epochs), daemon=True)
        writer.start()
        self.writers.append(writer)

    def _write(self, channel: str, epochs: tuple[bytes, ...]) -> None:
        for number, data in enumerate(epochs):
            try:
                with self.layout.fifo(channel, number).open("wb", buffering=0) as file:
                    os.mkfifo(self.layout.fifo(channel, number + 1))
                    file.write(data)
            except BrokenPipeError:
                pass
            self.layout.fifo(channel, number).unlink()


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(Layout(tmp_path))


@pytest.fixture(autouse=True)
def no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "HOROVOD_RANK", "PMI_RANK"):
        monkeypatch.delenv(name, raising=False)


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def tensors(features: dict[str, list[float]], label: float) -> bytes:
    record = Record()
    for name, values in features.items():
        record.features[name].float32_tensor.values.extend(values)
        record.features[name].float32_tensor.shape.extend([2, len(values) // 2])
    record.label["values"].int32_tensor.values.append(int(label))
    return b"".join(bytes(piece) for piece in framed(record.SerializeToString()))


@pytest.mark.parametrize(
    ("record_format", "data"),
    [
        ("RecordIO", b"".join(bytes(piece) for text in (b"fog", b"mist") for piece in framed(text))),
        ("TFRecord", tfrecord(b"fog", CRC) + tfrecord(b"mist", CRC)),
        ("TextLine", b"fog\nmist\n"),
    ],
)
def test_each_iteration_is_an_epoch(platform: Platform, record_format: str, data: bytes) -> None:
    platform.feed(data, data)
    dataset = PipeModeDataset("train", record_format, layout=platform.layout)
    assert [list(dataset), list(dataset)] == [[b"fog", b"mist"]] * 2


def test_recordio_protobuf_gives_tensors_that_make_batches(platform: Platform) -> None:
    platform.feed(tensors({"values": [1, 2, 3, 4]}, 0) + tensors({"values": [5, 6, 7, 8]}, 1))
    dataset = PipeModeDataset("train", "RecordIO-protobuf", layout=platform.layout)
    (batch,) = DataLoader(dataset, batch_size=2)
    assert torch.equal(batch["features"]["values"], torch.tensor([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]]))
    assert torch.equal(batch["label"]["values"], torch.tensor([[0], [1]], dtype=torch.int32))


def test_sparse_tensors_and_bytes_stay_as_they_were_written(platform: Platform) -> None:
    record = Record()
    record.features["sparse"].float32_tensor.values.append(1)
    record.features["sparse"].float32_tensor.keys.append(7)
    record.features["picture"].bytes.value.append(b"jpeg")
    record.features["nothing"].float64_tensor.SetInParent()
    platform.feed(b"".join(bytes(piece) for piece in framed(record.SerializeToString())))
    (read,) = PipeModeDataset("train", "RecordIO-protobuf", layout=platform.layout)
    assert read["features"]["picture"] == b"jpeg"
    assert (read["features"]["sparse"].keys, list(read["features"]["sparse"].values)) == ((7,), [1.0])
    assert read["features"]["nothing"].shape == (0,)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataloader_reads_epoch_after_epoch(platform: Platform, workers: int) -> None:
    platform.feed(lines("1", "2", "3"), lines("4", "5", "6"))
    dataset = PipeModeDataset("train", "TextLine", decode=int, layout=platform.layout)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers)
    assert [[batch.tolist() for batch in loader] for _ in range(2)] == [[[1, 2], [3]], [[4, 5], [6]]]


def test_an_epoch_that_is_left_early_is_over(platform: Platform) -> None:
    platform.feed(lines("1", *["x" * 1000] * 1000), lines("2"))
    dataset = PipeModeDataset("train", "TextLine", layout=platform.layout)
    for line in dataset:
        assert line == b"1"
        break
    assert list(dataset) == [b"2"]


def test_another_process_goes_on_with_the_next_epoch(platform: Platform) -> None:
    platform.feed(lines("1"), lines("2"), lines("3"))
    code = (
        f"{WITHOUT_TORCH}"
        "from groundfog.opt_ml.pipe import PipeModeDataset\n"
        "print([line.decode() for line in PipeModeDataset('train', 'TextLine')])"
    )
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(platform.layout.root)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == ["['1']\n", "['2']\n"]
    assert list(PipeModeDataset("train", "TextLine", layout=platform.layout)) == [b"3"]


def test_several_workers_are_refused(platform: Platform) -> None:
    platform.feed(lines("1"))
    loader = DataLoader(PipeModeDataset("train", "TextLine", layout=platform.layout), num_workers=2)
    with pytest.raises(Exception, match="Channel 'train' is one pipe and has one reader, but the DataLoader has 2 wor"):
        list(loader)


SECOND = f"""
{WITHOUT_TORCH}
from groundfog.opt_ml.pipe import PipeModeDataset
try:
    print(list(PipeModeDataset("train", "TextLine")))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("reading", [True, False], ids=["while the first reads", "between two epochs"])
def test_a_second_reader_is_told_who_the_first_is(
    platform: Platform, reading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.feed(lines("1", "2"), lines("3"))
    monkeypatch.setenv("RANK", "0")
    first = iter(PipeModeDataset("train", "TextLine", layout=platform.layout))
    assert next(first) == b"1"
    if not reading:
        assert list(first) == [b"2"]
    environment = os.environ | {
        "SAGEMAKER_BASE_DIR": str(platform.layout.root),
        "RANK": "",
        "OMPI_COMM_WORLD_RANK": "1",
    }
    second = subprocess.run([sys.executable, "-c", SECOND], env=environment, capture_output=True, text=True, timeout=60)
    said = second.stdout
    assert said.startswith(
        f"PipeModeError Channel 'train' has two readers: rank 0 (process {os.getpid()}), and rank 1 ("
    )
    assert "train_0, train_1" in said and "groundfog shard" in said


def test_the_same_process_twice_at_once_is_told_so(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE", 0.1)
    platform.feed(lines("1", "2"))
    dataset = PipeModeDataset("train", "TextLine", layout=platform.layout)
    first = iter(dataset)
    assert next(first) == b"1"
    with pytest.raises(PipeModeError, match=r"is being read already, by process \d+ itself"):
        next(iter(dataset))
    assert list(first) == [b"2"]


def test_what_is_no_pipe_is_refused_at_once(platform: Platform) -> None:
    with pytest.raises(PipeModeError, match="There is no channel 'tran'; this job has test, train"):
        PipeModeDataset("tran", layout=platform.layout)
    with pytest.raises(PipeModeError, match="Channel 'test' is not a pipe, its TrainingInputMode is File"):
        PipeModeDataset("test", layout=platform.layout)
    with pytest.raises(ValueError, match="record_format is one of RecordIO, RecordIO-protobuf, TFRecord, TextLine"):
        PipeModeDataset("train", "CSV", layout=platform.layout)


def test_a_fifo_that_never_comes_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "PATIENCE", 0.05)
    with pytest.raises(PipeModeError, match=r"There is no .*/input/data/train_0 after 0 s"):
        list(PipeModeDataset("train", layout=platform.layout))
    platform.feed(lines("1"))
    assert list(PipeModeDataset("train", "TextLine", layout=platform.layout)) == [b"1"], "it still is epoch 0"


def test_damage_is_found_and_the_next_epoch_is_whole(platform: Platform) -> None:
    platform.feed(tfrecord(b"fog", CRC)[:-1] + b"?", tfrecord(b"fog", CRC))
    dataset = PipeModeDataset("train", "TFRecord", layout=platform.layout)
    with pytest.raises(RecordError, match="record 1 at byte 0: the CRC of its 3 bytes is wrong"):
        list(dataset)
    assert list(dataset) == [b"fog"]


def test_without_a_library_for_checksums_tfrecord_says_what_to_do(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("anycrc", "google_crc32c"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PipeModeError, match=r"to requirements\.txt, or pass check=False"):
        PipeModeDataset("train", "TFRecord", layout=platform.layout)
    platform.feed(tfrecord(b"fog", CRC))
    assert list(PipeModeDataset("train", "TFRecord", check=False, layout=platform.layout)) == [b"fog"]
