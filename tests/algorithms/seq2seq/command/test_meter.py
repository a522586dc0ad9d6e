"""The line that a training shows: on a terminal it changes, elsewhere it is seldom."""

import io
import math

import pytest

from groundfog.algorithms.seq2seq import Checkpoint, Finished, Hyperparameters, Progress, Started
from groundfog.algorithms.seq2seq.command.meter import Meter, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(updates: int) -> Progress:
    return Progress(0, updates, 1234.5, math.e, 0.5, 0.001)


def checkpoint(improved: bool) -> Checkpoint:
    metrics = {"perplexity-val": math.e, "accuracy-val": 0.75, "bleu-val": 0.5, "time-elapsed": 65.0}
    return Checkpoint(2, 1, 100, 3200, 5.0, metrics, "perplexity", improved, 2.0, 0 if improved else 3, 6, 0.001)


def test_on_a_terminal_the_line_is_written_over() -> None:
    terminal = Terminal()
    meter = Meter(Hyperparameters(batch_size=10, max_num_epochs=2), terminal)
    meter(Started(1000, 12345, "perplexity", 0))
    for updates in (50, 100):
        meter(progress(updates))
    meter(checkpoint(True))
    meter(Finished("", "perplexity", 200, 1, 2.0))
    said = terminal.getvalue()
    assert "learning: 1,000 pairs, 12,345 parameters\n" in said
    assert (
        "\r\x1b[Kepoch 1 · update 100 · loss 1.000 · 50.0% of tokens right · 1,234 pairs/s · at most 0:00:00 left"
        in said
    )
    line = "checkpoint 2 · update 100 · 0:01:05 · validation: loss 1.0000, 75.00% of tokens right, BLEU 0.500"
    assert f"\r\x1b[K{line} · the best so far\n" in said


def test_elsewhere_a_line_is_seldom_and_a_checkpoint_is_not() -> None:
    file = io.StringIO()
    meter = Meter(Hyperparameters(), file)
    meter(Started(1000, 12345, "perplexity", 700))
    meter(progress(50))
    meter(checkpoint(False))
    assert "update 50" not in file.getvalue()
    assert "going on from update 700" in file.getvalue()
    assert file.getvalue().endswith("not better for 3 of 6\n")
    assert "\r" not in file.getvalue()


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"max_num_batches": 300}, "at most 0:00:02 left"),
        ({"max_num_epochs": 3}, "at most 0:00:02 left"),
        ({"max_num_epochs": 9, "max_num_batches": 150}, "at most 0:00:00 left"),
        ({}, "pairs/s"),
    ],
)
def test_what_is_left_is_counted_to_the_nearest_end(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], left: str
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    terminal = Terminal()
    meter = Meter(Hyperparameters(batch_size=10, **limits), terminal)
    meter(Started(1000, 1, "perplexity", 0))
    now[0] = 1.5
    meter(progress(150))
    assert terminal.getvalue().endswith(left)


def test_durations_are_read_as_on_a_clock() -> None:
    assert [duration(seconds) for seconds in (0.4, 61, 36_000)] == ["0:00:00", "0:01:01", "10:00:00"]
