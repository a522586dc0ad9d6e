"""The curves as TensorBoard reads them: of a job that ran through, and of one that went on elsewhere."""

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from algorithms.seq2seq.test_seq2seq_job import lay_out, run, start  # noqa: F401  (a fixture)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from groundfog.algorithms.seq2seq.learning.board import Board, scalars
from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Finished, Progress, Started
from groundfog.opt_ml.layout import Layout

CONFIGURED = {"tensorboardoutputconfig": {"LocalPath": "/opt/ml/output/tensorboard", "S3OutputPath": "s3://b/board"}}


def curve(folder: Path, name: str) -> dict[int, float]:
    """By the number of updates, of all event files in the order of the runs that wrote them."""
    points: dict[int, float] = {}
    for file in sorted(folder.iterdir()):
        events = EventAccumulator(str(file))
        events.Reload()
        if name in events.Tags()["scalars"]:
            points |= {event.step: event.value for event in events.Scalars(name)}
    return dict(sorted(points.items()))


def test_a_job_that_goes_on_elsewhere_shows_the_curves_of_one_that_was_not_interrupted(
    lay_out: Callable[..., Layout],  # noqa: F811
) -> None:
    whole, first, second = (lay_out(name, max_num_batches="100") for name in ("whole", "first", "second"))
    for layout in (first, second):
        layout.configure(layout.hyperparameters(), layout.input_data_config(), layout.resource_config(), CONFIGURED)
    assert run(whole)[0] == 0
    process = start(first)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Checkpoint [2]"):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=100)
    shutil.copytree(first.checkpoints, second.checkpoints, dirs_exist_ok=True)
    code, said = run(second)
    assert code == 0 and "Training goes on from update" in said

    # Where nothing else is asked for, they lie with the output.
    validation = curve(whole.output_data / "tensorboard", "perplexity/validation")
    assert list(validation) == [25, 50, 75, 100]
    lines = (whole.model / "metrics").read_text().splitlines()
    told = [float(line.partition("perplexity-val=")[2].partition("\t")[0]) for line in lines]
    assert list(validation.values()) == pytest.approx(told, rel=1e-5)
    board = second.root / "output" / "tensorboard"
    assert curve(board, "perplexity/validation") == pytest.approx(validation, rel=1e-5)
    train = curve(whole.output_data / "tensorboard", "perplexity/train")
    assert curve(board, "perplexity/train") == pytest.approx(train, rel=1e-5)
    assert not (second.output_data / "tensorboard").exists()


def test_names_tell_what_is_measured_and_on_what() -> None:
    metrics = {"perplexity-train": 3.0, "bleu-val": 0.5, "avg-sec-per-sent-val": 0.1, "time-elapsed": 9.0}
    checkpoint = Checkpoint(1, 0, 50, 500, 1.0, metrics, "perplexity", True, 3.0, 0, 3, 0.1)
    assert list(scalars(checkpoint)) == [("perplexity/train", 3.0, 50), ("bleu/validation", 0.5, 50)]
    assert [name for name, _, _ in scalars(Progress(0, 50, 900.0, 3.0, 0.5, 0.1))] == [
        *("perplexity/train", "accuracy/train", "learning rate", "pairs per second"),
    ]
    assert not list(scalars(Started(1, 1, "perplexity", 0)))


def test_what_goes_wrong_costs_the_curves_and_not_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("a file where a folder must be")
    with Board(tmp_path / "kept", tmp_path / "shown") as board:
        board(Started(1, 1, "perplexity", 0))
        board(Finished("done", "perplexity", 1, 1, 1.0))
    assert "TensorBoard's files are not written any more" in capfd.readouterr().err


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with Board(tmp_path / "kept", tmp_path / "shown") as board:
        board(Started(1, 1, "perplexity", 0))
    assert list(tmp_path.iterdir()) == []
