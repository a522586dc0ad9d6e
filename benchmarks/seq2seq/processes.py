"""Pairs per second in training by one process and by several, batch by batch in turn, on lengths as in CMUdict.

    python benchmarks/seq2seq/processes.py [--hidden 512] [--batches 64,256,1024] [--processes 2] [--updates 40]
                                           [--precision float32]

Two ratios: by the clock, which is the truth where as many cores are idle; and by CPU time, that of the one process
over that of the busiest of the several, which is what the clock would say on idle cores and can be measured on a
machine that is shared.
"""

import argparse
import os
import time
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from throughput import VOCABULARY, dictionary

from groundfog.algorithms.seq2seq import Hyperparameters
from groundfog.algorithms.seq2seq.data.batching import Corpus, epoch_batches
from groundfog.algorithms.seq2seq.learning.processes import Team
from groundfog.algorithms.seq2seq.network.network import Network, initialise


class Runner:
    """A team that learns, and the seconds it takes."""

    def __init__(self, options: Hyperparameters) -> None:
        network = Network(options, len(VOCABULARY), len(VOCABULARY))
        initialise(network, options)
        before = children()
        self.team = Team(network.train(), options, (len(VOCABULARY), len(VOCABULARY)))
        self._workers = sorted(children() - before)
        self.clock, self.cpu = 0.0, np.zeros(1 + len(self._workers))
        self._updates = 0

    def update(self, corpus: Corpus, numbers: np.ndarray) -> None:
        clock, cpu = time.perf_counter(), self._cpu()
        self.team.update(corpus, numbers, 0.0003, self._updates)
        self.clock += time.perf_counter() - clock
        self.cpu += self._cpu() - cpu
        self._updates += 1

    def _cpu(self) -> np.ndarray:
        """Seconds of each process so far."""
        others = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 for pid in self._workers]
        return np.array([time.process_time(), *others])

    def forget(self) -> None:
        self.clock, self.cpu = 0.0, np.zeros_like(self.cpu)


def children() -> set[int]:
    threads = Path("/proc/self/task").iterdir()
    return {int(pid) for thread in threads for pid in (thread / "children").read_text().split()}


def compare(given: argparse.Namespace, batch_size: int) -> None:
    alone, together = (
        Runner(
            Hyperparameters.of(
                {
                    "rnn_num_hidden": given.hidden,
                    "batch_size": batch_size,
                    "precision": given.precision,
                    "num_processes": processes,
                }
            )
        )
        for processes in (1, given.processes)
    )
    corpus = dictionary(max(20_000, 60 * batch_size))
    plan = [
        numbers
        for numbers in epoch_batches(corpus, batch_size, bucket_width=10, seed=1, epoch=0)
        if len(numbers) == batch_size
    ]
    for at in range(5 + given.updates):
        if at == 5:
            alone.forget()
            together.forget()
        for runner in (alone, together):
            runner.update(corpus, plan[at % len(plan)])
    pairs = given.updates * batch_size
    print(
        f"batch {batch_size:>5}   1 process {pairs / alone.clock:7.0f} pairs/s   {given.processes} processes"
        f" {pairs / together.clock:7.0f} pairs/s   by the clock {alone.clock / together.clock:4.2f}x"
        f"   by CPU time {alone.cpu[0] / together.cpu.max():4.2f}x"
        f"   ({1000 * alone.cpu[0] / given.updates:.1f} ms a batch; {millis(together.cpu / given.updates)} ms)"
    )
    for runner in (alone, together):
        runner.team.__exit__(None, None, None)


def millis(seconds: Iterable[float]) -> str:
    return " and ".join(f"{1000 * each:.1f}" for each in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("processes", 2), ("updates", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--batches", default="64,256,1024")
    parser.add_argument("--precision", default="float32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"hidden {given.hidden}, {given.precision}, one thread a process, load {os.getloadavg()[0]:.1f}")
    for size in given.batches.split(","):
        compare(given, int(size))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
