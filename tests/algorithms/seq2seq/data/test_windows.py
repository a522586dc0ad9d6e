"""Training data as a stream: windows, FIFOs, and going on in the middle."""

import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Checkpoint, Hyperparameters, InputFault, Progress, Seq2Seq, Vocabulary
from groundfog.algorithms.seq2seq.data.batching import Corpus
from groundfog.algorithms.seq2seq.data.channels import read_channels
from groundfog.algorithms.seq2seq.data.recordio import write_pairs
from groundfog.algorithms.seq2seq.data.windows import Windows

Pairs = list[tuple[list[str], list[str]]]
Ids = list[tuple[list[int], list[int]]]


def piece(pairs: Ids) -> Corpus:
    return Corpus.of(pairs, 100, 100)


def told(corpus: Corpus) -> Ids:
    return [(corpus.sources[each].tolist(), corpus.targets[each].tolist()) for each in range(len(corpus))]


@given(st.lists(st.integers(0, 7), max_size=8), st.integers(1, 12))
def test_windows_hold_every_pair_in_order_and_all_but_the_last_are_full(sizes: list[int], most: int) -> None:
    numbers = iter(range(sum(sizes)))
    pieces = [[([number, 5], [number]) for number, _ in zip(numbers, range(size), strict=False)] for size in sizes]
    pairs = [pair for some in pieces for pair in some]
    windows = Windows(lambda: (piece(some) for some in pieces), most)
    assert windows.whole == (len(pairs) <= most)
    assert windows.pairs == min(len(pairs), most)
    for _ in range(2):
        found = [told(window) for window in windows.epoch()]
        assert [pair for window in found for pair in window] == pairs
        assert all(len(window) == most for window in found[:-1])


def test_what_fits_into_one_window_is_read_once() -> None:
    opened = []

    def source() -> Iterator[Corpus]:
        opened.append(1)
        yield piece([([4], [5])] * 10)

    windows = Windows(source, 10)
    first, again = (next(windows.epoch()) for _ in range(2))
    assert first is again
    assert len(opened) == 1


def test_there_is_memory_for_one_window_and_not_for_all() -> None:
    pairs = [([4] * 50, [5] * 50)] * 1000

    def peak(pieces: int) -> int:
        tracemalloc.start()
        for _window in Windows(lambda: (piece(pairs) for _ in range(pieces)), 5000).epoch():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(40) < 1.5 * peak(6)


@pytest.fixture
def folder(tmp_path: Path, digits: Pairs) -> Path:
    """The channels of a job in File mode, of 640 and 40 pairs."""
    vocabulary = Vocabulary.of(source for source, _ in digits)
    ids = [(vocabulary.encode(source), vocabulary.encode(target)) for source, target in digits[:680]]
    parts = {"train/1": ids[:300], "train/2": ids[300:640], "validation/1": ids[640:]}
    for name, some in parts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"".join(write_pairs(some)))
    (tmp_path / "vocab").mkdir()
    for name in ("vocab.src.json", "vocab.trg.json"):
        (tmp_path / "vocab" / name).write_text(vocabulary.text())
    return tmp_path


@pytest.fixture
def streamed(small: dict[str, Any]) -> dict[str, Any]:
    """Three windows an epoch."""
    more = {"rnn_num_hidden": 16, "checkpoint_frequency_num_batches": 5, "max_num_batches": 30, "batch_size": 32}
    return {**small, **more, "shuffle_window": 250}


def fit(
    folder: Path,
    given: dict[str, Any],
    stop_after: int | None = None,
    checkpoints: Path | None = None,
) -> tuple[list[tuple[Any, ...]], dict[str, torch.Tensor]]:
    """The curve and the parameters."""
    channels = read_channels(folder, Hyperparameters.of(given))
    stop, curve = threading.Event(), list[tuple[Any, ...]]()

    def listen(record: Any) -> None:
        if isinstance(record, Progress):
            curve.append((record.updates, record.epoch, record.perplexity))
            if record.updates == stop_after:
                stop.set()
        if isinstance(record, Checkpoint):
            curve.append((record.number, record.samples, record.metrics["perplexity-val"]))

    model = Seq2Seq(**given)
    model.source_vocabulary, model.target_vocabulary = channels.source_vocabulary, channels.target_vocabulary
    model.fit_corpora(channels.train, channels.validation, progress=listen, stop=stop, checkpoints=checkpoints)
    return curve, model.network.state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("after", [3, 8, 9, 19, 26])
def test_a_stopped_training_on_a_stream_goes_on_as_if_it_had_not_been_stopped(
    after: int, folder: Path, streamed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.learning.train.REPORT_EVERY", 1)
    whole, parameters = fit(folder, streamed)
    first, _ = fit(folder, streamed, after, tmp_path / "checkpoints")
    second, again = fit(folder, streamed, None, tmp_path / "checkpoints")
    assert first + second == whole
    assert same(parameters, again)


def test_an_epoch_of_a_stream_has_every_pair_once(folder: Path, streamed: dict[str, Any]) -> None:
    curve, _ = fit(folder, {**streamed, "max_num_batches": -1, "max_num_epochs": 2})
    assert curve[-1][1] == 2 * 640


def test_a_window_that_holds_everything_changes_nothing(folder: Path, streamed: dict[str, Any]) -> None:
    _, large = fit(folder, {**streamed, "shuffle_window": 640})
    _, larger = fit(folder, {**streamed, "shuffle_window": 10_000})
    _, smaller = fit(folder, streamed)
    assert same(large, larger)
    assert not same(large, smaller)


def test_fifos_are_read_one_an_epoch_to_the_same_model(folder: Path, streamed: dict[str, Any], tmp_path: Path) -> None:
    _, from_files = fit(folder, streamed)
    data = {
        name: b"".join(file.read_bytes() for file in sorted((folder / name).iterdir()))
        for name in ("train", "validation")
    }
    piped = tmp_path / "piped"
    piped.mkdir()
    (folder / "vocab").rename(piped / "vocab")
    os.mkfifo(piped / "train_0")
    os.mkfifo(piped / "validation_0")

    def feed() -> None:
        for name in ("train_0", "validation_0", "train_1", "train_2", "train_3"):
            if not (piped / name).exists():
                os.mkfifo(piped / name)
            try:
                (piped / name).write_bytes(data[name[:-2]])
            except BrokenPipeError:
                return

    threading.Thread(target=feed, daemon=True).start()
    _, from_fifos = fit(piped, streamed)
    assert same(from_files, from_fifos)


def test_a_straight_line_down_to_zero_needs_batches_where_epochs_cannot_be_counted(
    folder: Path, streamed: dict[str, Any]
) -> None:
    by_epochs = {**streamed, "lr_scheduler_type": "linear", "max_num_batches": -1, "max_num_epochs": 2}
    with pytest.raises(InputFault, match=r"more pairs than shuffle_window \(250\).*give max_num_batches"):
        fit(folder, by_epochs)
    fit(folder, {**by_epochs, "shuffle_window": 640})


@pytest.mark.parametrize("place", [0, 250, 639])
def test_a_fault_names_the_file_and_the_record_however_it_is_read(
    place: int, folder: Path, streamed: dict[str, Any]
) -> None:
    pairs = [([4, 5], [6])] * 640
    pairs[place] = ([4, 99], [6])
    (folder / "train" / "1").write_bytes(b"".join(write_pairs(pairs)))
    with pytest.raises(
        InputFault, match=rf"train/1, record {place + 1}: the source id 99 is outside of vocab.src.json"
    ):
        fit(folder, {**streamed, "shuffle_window": 10_000})


def test_a_record_beyond_the_first_window_is_refused_when_it_is_come_to(
    folder: Path, streamed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.data.channels._AT_ONCE", 1000)
    data = (folder / "train" / "2").read_bytes()
    (folder / "train" / "2").write_bytes(data[:-1000] + b"?" * 1000)
    with pytest.raises(InputFault, match=r"train/2, record \d+"):
        fit(folder, streamed)
