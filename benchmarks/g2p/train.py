"""Trains pronunciation on CMUdict, on one thread, and follows it by CPU-seconds.

    python benchmarks/g2p/train.py OUT --cpu-hours 1 rnn_num_hidden=512 lr_scheduler_type=linear ...
    python benchmarks/g2p/train.py OUT --like walkthrough

OUT gets `model/` (the best so far, for evaluate.py), `checkpoints/` (the same command goes on from there), `run.json`,
`cpu-seconds`, and `curve.tsv`: a line per checkpoint, and where it was the best so far, the error rates of 2,000 dev
words, said greedily. Hyperparameters are those of the algorithm, by their names.

All CPU time of the process counts, validation too. With --cpu-hours and no max_num_batches or max_num_epochs, the speed
is measured first, and max_num_batches becomes what the budget allows, so that a linear schedule ends at zero in time.
"""

import argparse
import json
import os
import platform
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from scoring import score

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Finished, Progress, Record, log_lines

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "walkthrough": {
        "max_seq_len_source": 34,
        "max_seq_len_target": 32,
        "optimized_metric": "bleu",
        "batch_size": 64,
        "checkpoint_frequency_num_batches": 1000,
        "rnn_num_hidden": 512,
        "num_embed_source": 512,
        "num_embed_target": 512,
        "checkpoint_threshold": 3,
    },
}
COLUMNS = "cpu\tupdates\tepoch\trate\tperplexity-train\tperplexity-val\taccuracy-val\twer\tper\tplain-wer\tplain-per\n"
SAMPLE = 2000
RESERVE = 0.03
"""Of the budget: a busy machine may be slower later than it was when its speed was measured."""


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    parts = dictionary.split(dictionary.read())
    known, held = dictionary.pairs(parts.train), dictionary.pairs(parts.dev)
    model = Seq2Seq(**hyperparameters(given, known, held))
    follower = Follower(given.out, parts.dev, given.cpu_hours)
    finished = model.fit(
        known,
        held,
        progress=follower.hear,
        stop=follower.stop,
        checkpoints=given.out / "checkpoints",
        folder=given.out / "model",
    )
    print(f"{follower.cpu:,.0f} CPU-seconds, {finished.updates:,} batches; {finished.reason}")


def hyperparameters(given: argparse.Namespace, known: list[Any], held: list[Any]) -> dict[str, Any]:
    """As asked for, or of the run that `OUT` holds already."""
    run = given.out / "run.json"
    if run.exists():
        return dict(json.loads(run.read_text())["hyperparameters"])
    options = CONFIGURATIONS.get(given.like, {}) | dict(each.split("=", 1) for each in given.hyperparameters)
    if given.cpu_hours and not {"max_num_batches", "max_num_epochs"} & options.keys():
        options["max_num_batches"] = affordable_batches(options, known, held, 3600 * given.cpu_hours)
    given.out.mkdir(parents=True, exist_ok=True)
    about = {"cpu_hours": given.cpu_hours, "machine": machine(), "torch": torch.__version__}
    all_options = asdict(Seq2Seq(**options).hyperparameters)
    run.write_text(json.dumps(about | {"hyperparameters": all_options}, indent=2) + "\n")
    return options


def affordable_batches(options: dict[str, Any], known: list[Any], held: list[Any], budget: float) -> int:
    """How many batches the rest of the budget is enough for, by the speed of the first few."""
    asked = Seq2Seq(**(options | {"max_num_batches": 1})).hyperparameters
    warm, trial = 50, 50 + 50 * max(2, 12_800 // asked.batch_size // 50)
    times: dict[int, float] = {}

    def listen(record: Record) -> None:
        if isinstance(record, Progress):
            times[record.updates] = time.process_time()

    limits = {"max_num_batches": trial, "checkpoint_frequency_num_batches": trial, "joint_ngram_order": 0}
    Seq2Seq(**(options | limits)).fit(known, held, progress=listen)
    end = time.process_time()
    batch, checkpoint = (times[trial] - times[warm]) / (trial - warm), end - times[trial]
    each = batch + 1.5 * checkpoint / asked.checkpoint_frequency_num_batches
    affordable = int(((1 - RESERVE) * budget - end) / each)
    print(f"{asked.batch_size / batch:.0f} pairs per CPU-second: {affordable:,} batches in {budget:,.0f} s", flush=True)
    return affordable


class Follower:
    """Prints and writes down how a training goes; stops it at the end of its budget, or when it is told to."""

    def __init__(self, out: Path, dev: dictionary.Entries, cpu_hours: float | None) -> None:
        self.stop = threading.Event()
        self._model, self._curve = out / "model", out / "curve.tsv"
        self._sample = dict(list(dev.items())[:SAMPLE])
        self._budget = 3600 * cpu_hours if cpu_hours else float("inf")
        self._spent = out / "cpu-seconds"
        self._before = float(self._spent.read_text()) if self._spent.exists() else 0.0
        if not self._curve.exists():
            self._curve.write_text(COLUMNS)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())

    @property
    def cpu(self) -> float:
        """Seconds, also of the runs that this one goes on from."""
        return self._before + time.process_time()

    def hear(self, record: Record) -> None:
        for line in log_lines(record):
            print(f"{self.cpu:8.0f}  {line}", flush=True)
        if isinstance(record, Checkpoint):
            self._write(record)
        if isinstance(record, Checkpoint | Finished):
            self._spent.write_text(f"{self.cpu:.1f}\n")
        if self.cpu > self._budget:
            self.stop.set()

    def _write(self, record: Checkpoint) -> None:
        line = [f"{self.cpu:.0f}", record.updates, record.epoch, f"{record.learning_rate:.6f}"]
        line += [f"{record.metrics[name]:.4f}" for name in ("perplexity-train", "perplexity-val", "accuracy-val")]
        if record.improved:
            scores = score(self._said(), self._sample)
            line += [f"{rate:.2f}" for rate in scores]
            print(f"{self.cpu:8.0f}  {scores}", flush=True)
        with self._curve.open("a") as curve:
            curve.write("\t".join(map(str, line)) + "\n")

    def _said(self) -> list[list[str]]:
        """By the model as it was saved, which is the mean where checkpoints are averaged."""
        saved = Seq2Seq.load(self._model)
        return [each.tokens for each in saved.translate([list(word) for word in self._sample], beam_size=1)]


def machine() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path, metavar="OUT")
    asked.add_argument("hyperparameters", nargs="*", metavar="name=value")
    asked.add_argument("--like", choices=CONFIGURATIONS)
    asked.add_argument("--cpu-hours", type=float)
    return asked.parse_intermixed_args()


if __name__ == "__main__":
    main()
