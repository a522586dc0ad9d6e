"""The curves as TensorBoard reads them; those of whole jobs are in test_seq2seq_job.py."""

import sys
from pathlib import Path

import pytest

from groundfog.algorithms.seq2seq.learning.board import Board, scalars
from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Finished, Progress, Started


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
