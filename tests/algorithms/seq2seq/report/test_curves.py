"""The course of a training, from what it tells."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Finished, Progress, Started
from groundfog.algorithms.seq2seq.report.curves import Curves


def progress(updates: int, tokens: int, loss: float, accuracy: float = 0.5) -> Progress:
    return Progress(0, updates, 100.0, math.exp(loss), accuracy, 0.001, tokens=tokens)


def checkpoint(number: int, updates: int, tokens: int = 0, improved: bool = True, **metrics: float) -> Checkpoint:
    metrics = {name.replace("_", "-"): value for name, value in metrics.items()}
    values: dict[str, Any] = {"best": 1.0, "not_improved": 0, "threshold": 3, "learning_rate": 0.001, "tokens": tokens}
    return Checkpoint(number, 0, updates, 64 * updates, 1.0, metrics, "perplexity", improved, **values)


def losses(curves: Curves) -> list[float]:
    return [round(point.loss, 6) for point in curves.training]


def test_means_since_the_last_checkpoint_are_taken_apart_into_means_since_the_point_before() -> None:
    curves = Curves()
    curves.add(progress(50, 1000, loss=4.0, accuracy=0.1))
    curves.add(progress(100, 2000, loss=3.0, accuracy=0.2))
    curves.add(checkpoint(1, 120, 2500, perplexity_train=math.exp(2.6), accuracy_train=0.28, perplexity_val=math.e))
    curves.add(progress(150, 500, loss=0.5, accuracy=0.9))
    assert losses(curves) == [4.0, 2.0, 1.0, 0.5]
    assert [round(point.accuracy, 6) for point in curves.training] == [0.1, 0.3, 0.6, 0.9]
    assert [point.updates for point in curves.training] == [50, 100, 120, 150]
    assert curves.checkpoints[0].loss == pytest.approx(1.0)


def test_a_checkpoint_right_after_a_report_adds_no_point_of_its_own() -> None:
    curves = Curves()
    curves.add(progress(50, 1000, loss=4.0))
    curves.add(checkpoint(1, 50, 1000, perplexity_train=math.exp(4.0), accuracy_train=0.5))
    assert losses(curves) == [4.0]


def test_a_long_training_keeps_few_points_and_their_mean() -> None:
    curves = Curves()
    for number in range(1, 2001):
        curves.add(progress(50 * number, 100 + number, loss=1 + number % 7))
        curves.add(checkpoint(number, 50 * number))
    tokens = sum(100 + number for number in range(1, 2001))
    mean = sum((100 + number) * (1 + number % 7) for number in range(1, 2001)) / tokens
    assert 200 < len(curves.training) <= 600
    assert sum(point.tokens for point in curves.training) == tokens
    assert sum(point.tokens * point.loss for point in curves.training) / tokens == pytest.approx(mean)
    assert curves.training[-1].updates == 100_000


def test_what_a_job_told_beyond_its_last_checkpoint_is_forgotten_when_it_goes_on(tmp_path: Path) -> None:
    curves = Curves()
    curves.add(progress(50, 1000, loss=4.0))
    curves.add(checkpoint(1, 100, perplexity_val=9.0))
    curves.add(progress(150, 1000, loss=3.0))
    file = tmp_path / "curves.json"
    file.write_text(curves.text())
    again = Curves.read(file)
    assert again == curves
    again.add(Started(10, 20, "perplexity", 100))
    assert (losses(again), len(again.checkpoints), again.updates) == ([4.0], 1, 100)
    again.add(Started(10, 20, "perplexity", 0))
    assert (again.training, again.checkpoints) == ([], [])


def test_a_training_that_was_stopped_between_reports_goes_on_where_its_curve_was() -> None:
    curves = Curves()
    curves.add(progress(50, 1000, loss=4.0))
    curves.add(Finished("Told to stop", "perplexity", 70, 0, 0.0, stopped=True))
    assert curves.stopped
    curves.add(Started(10, 20, "perplexity", 70))
    assert curves.ended is None
    curves.add(progress(100, 2000, loss=3.0))
    assert losses(curves) == [4.0, 2.0]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"training": 3}', "null"])
def test_a_spoilt_file_begins_new_curves_and_stops_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "curves.json").write_text(text)
    assert Curves.read(tmp_path / "curves.json") == Curves()


def test_infinite_perplexity_is_no_number_of_a_curve() -> None:
    curves = Curves()
    curves.add(Progress(0, 50, 1.0, math.inf, 0.0, 0.001, tokens=10))
    curves.add(checkpoint(1, 50, perplexity_val=math.inf))
    assert losses(curves) == [50.0]
    assert curves.checkpoints[0].loss is None
    assert Curves.of(json.loads(curves.text())) == curves


def test_the_best_checkpoint_is_the_last_that_was_better_than_all_before() -> None:
    curves = Curves()
    for number, improved in enumerate([True, True, False], start=1):
        curves.add(checkpoint(number, 100 * number, improved=improved))
    assert curves.best is not None
    assert curves.best.number == 2
