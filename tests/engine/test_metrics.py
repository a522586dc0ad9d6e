import time
from pathlib import Path

from groundfog.engine.logs.file import backward
from groundfog.engine.metrics import last_metrics

DEFINITIONS = {"validation:loss": r"val-loss=(\S+)", "train:loss": r"train-loss=(\S+)", "silent": r"nothing=(\S+)"}


def test_what_was_said_last_counts_and_what_is_no_number_is_passed_over(tmp_path: Path) -> None:
    log, now = tmp_path / "log", time.time()
    said = [
        "val-loss=0.5 train-loss=2",
        "[1,0]<stdout>: train-loss=1.5e-3",
        "val-loss=0.25",
        "val-loss=nan",
        "val-loss=x",
    ]
    log.write_text("".join(f"{int(now * 1000)}\t{line}\n" for line in said))
    assert len(list(backward(log))) == len(said)
    loss, train = last_metrics([log], DEFINITIONS)
    assert (loss.name, loss.value) == ("validation:loss", 0.25)
    assert (train.name, train.value) == ("train:loss", 0.0015)
    assert abs(loss.at - now) < 0.01


def test_a_log_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert last_metrics([tmp_path / "log"], DEFINITIONS) == ()
