"""Several processes learn what one does, and end together."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq import Checkpoint, InputFault, Progress, Seq2Seq
from groundfog.algorithms.seq2seq.data.batching import Corpus
from groundfog.algorithms.seq2seq.learning.processes import Team, WorkerDied

Pairs = list[tuple[list[str], list[str]]]
Curve = list[tuple[int, float, float]]


@pytest.fixture
def two(small: dict[str, Any]) -> dict[str, Any]:
    more = {"rnn_num_hidden": 16, "batch_size": 32, "checkpoint_frequency_num_batches": 5, "max_num_batches": 12}
    return {**small, **more, "num_processes": 2}


def fit(
    pairs: Pairs,
    given: dict[str, Any],
    *,
    checkpoints: Path | None = None,
    listen: Callable[[Any, threading.Event], None] = lambda record, stop: None,
) -> tuple[Curve, dict[str, torch.Tensor]]:
    curve, stop = Curve(), threading.Event()

    def told(record: Any) -> None:
        if isinstance(record, Checkpoint):
            curve.append((record.number, record.metrics["perplexity-train"], record.metrics["perplexity-val"]))
        listen(record, stop)

    model = Seq2Seq(**given)
    model.fit(pairs, pairs[:40], progress=told, stop=stop, checkpoints=checkpoints)
    return curve, model.network.state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def children() -> set[int]:
    here = Path("/proc/self/task")
    return {int(pid) for task in here.iterdir() for pid in (task / "children").read_text().split()}


def test_two_processes_learn_the_same_as_one(two: dict[str, Any], digits: Pairs) -> None:
    # The last batch of an epoch has one pair, of which the second process gets nothing.
    pairs = digits[:97]
    before = children()
    alone, _ = fit(pairs, {**two, "num_processes": 1, "bucketing_enabled": False})
    together, _ = fit(pairs, {**two, "bucketing_enabled": False})
    for expected, found in zip(alone, together, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert children() == before


def test_processes_learn_the_same_every_time_and_go_on_as_if_they_had_not_been_stopped(
    two: dict[str, Any], digits: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.learning.train.REPORT_EVERY", 1)
    given = {**two, "embed_dropout_target": 0.3, "average_checkpoints": 2}

    def stop_after_seven(record: Any, stop: threading.Event) -> None:
        if isinstance(record, Progress) and record.updates == 7:
            stop.set()

    whole, parameters = fit(digits[:400], given)
    first, _ = fit(digits[:400], given, checkpoints=tmp_path, listen=stop_after_seven)
    second, again = fit(digits[:400], given, checkpoints=tmp_path)
    assert first + second == whole
    assert same(parameters, again)


@pytest.mark.slow
def test_a_collective_learns_the_same_too(
    two: dict[str, Any], digits: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As GPUs do it, here by Gloo; and what two began one may end."""
    monkeypatch.setattr(Team, "_meeting", lambda team: tmp_path / "meeting")

    def stop_at_checkpoint(record: Any, stop: threading.Event) -> None:
        if isinstance(record, Checkpoint) and record.number == 2:
            stop.set()

    alone, _ = fit(digits[:400], {**two, "num_processes": 1})
    together, _ = fit(digits[:400], two, checkpoints=tmp_path, listen=stop_at_checkpoint)
    together += fit(digits[:400], {**two, "num_processes": 1}, checkpoints=tmp_path)[0]
    for expected, found in zip(alone, together, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


def test_a_process_that_dies_ends_the_training_and_says_how(two: dict[str, Any], digits: Pairs) -> None:
    before = children()

    def kill(record: Any, stop: threading.Event) -> None:
        if isinstance(record, Checkpoint):
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerDied, match=r"Training process 1 was killed by SIGKILL.*Lower num_processes"):
        fit(digits[:400], two, listen=kill)
    assert children() == before


@pytest.mark.slow
def test_what_fails_in_a_process_is_told_by_the_first(
    two: dict[str, Any], digits: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Corpus.of([([4, 9999], [5])], 100, 100)
    monkeypatch.setattr(Corpus, "some", lambda corpus, numbers: outside)
    with pytest.raises(WorkerDied, match=r"Training process 1 failed: IndexError: index out of range"):
        fit(digits[:400], two)


@pytest.mark.slow
def test_an_exploding_loss_ends_all_processes(two: dict[str, Any], digits: Pairs) -> None:
    before = children()
    with pytest.raises(InputFault, match="lower learning_rate"):
        fit(digits[:400], {**two, "optimizer_type": "sgd", "learning_rate": 1e30, "clip_gradient": -1})
    assert children() == before


@pytest.mark.slow
def test_where_the_first_process_is_killed_the_others_end(tmp_path: Path) -> None:
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "from groundfog.algorithms.seq2seq import Checkpoint, Seq2Seq\n"
        "from pathlib import Path\n"
        "def told(record):\n"
        "    if isinstance(record, Checkpoint):\n"
        "        print(*[pid for task in Path('/proc/self/task').iterdir()\n"
        "                for pid in (task / 'children').read_text().split()], flush=True)\n"
        "Seq2Seq(rnn_num_hidden=16, num_processes=2, checkpoint_frequency_num_batches=2, checkpoint_threshold=10**6)"
        ".fit([('1 2', '2 1')] * 64, progress=told)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(pid) for pid in re.findall(r"\d+", process.stdout.readline())]
    assert len(workers) == 1
    process.kill()
    process.communicate()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.1)
