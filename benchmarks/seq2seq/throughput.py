"""Pairs per second in training and words per second in decoding, on a vocabulary and lengths as in CMUdict.

    python benchmarks/seq2seq/throughput.py [--hidden 512] [--batch 64] [--threads 1] [--batches 60]

Speeds are per CPU-second too, since wall-clock says little on a machine that is shared. The data is random, with the
lengths of an English pronouncing dictionary (7.5 letters, 6.4 phonemes on average).
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from groundfog.algorithms.seq2seq import Hyperparameters, Vocabulary
from groundfog.algorithms.seq2seq.batching import Batch, Corpus, epoch_batches
from groundfog.algorithms.seq2seq.beam import search_all
from groundfog.algorithms.seq2seq.network import Network, initialise
from groundfog.algorithms.seq2seq.optimizer import clip, make_optimizer
from groundfog.algorithms.seq2seq.scores import loss_of

VOCABULARY = Vocabulary.of([[f"token-{number}" for number in range(89)]])


class Speed(NamedTuple):
    wall: float
    cpu: float


def measure(runs: list[Callable[[], int]]) -> Speed:
    """Each run returns how many it did; medians over the runs."""
    speeds = []
    for run in runs:
        wall, cpu = time.perf_counter(), time.process_time()
        done = run()
        speeds.append(Speed(done / (time.perf_counter() - wall), done / (time.process_time() - cpu)))
    return Speed(*(statistics.median(column) for column in zip(*speeds, strict=True)))


def dictionary(pairs: int) -> Corpus:
    random = np.random.default_rng(1)

    def sequence(length: int) -> np.ndarray:
        return random.integers(4, len(VOCABULARY), size=length)

    letters = np.clip(random.normal(7.5, 2.2, pairs).round(), 1, 20).astype(int)
    phonemes = np.clip((letters * 0.85 + random.normal(0, 0.9, pairs)).round(), 1, 20).astype(int)
    return Corpus.of(
        ((sequence(source), sequence(target)) for source, target in zip(letters, phonemes, strict=True)), 100, 100
    )


def train_speed(network: Network, corpus: Corpus, options: Hyperparameters, batches: int) -> Speed:
    optimizer = make_optimizer(network.parameters(), options)
    plan = epoch_batches(corpus, options.batch_size, bucket_width=10, seed=1, epoch=0)

    def update(numbers: np.ndarray) -> int:
        batch = Batch.of(corpus, numbers)
        optimizer.zero_grad()
        (loss_of(network(batch), batch.outputs) / len(batch)).backward()
        clip(network.parameters(), 1.0)
        optimizer.step()
        return len(batch)

    network.train()
    for numbers in plan[:5]:
        update(numbers)
    # Several batches in a measurement: they differ in length.
    return measure([lambda at=at: sum(map(update, plan[at : at + 10])) for at in range(5, 5 + batches, 10)])


def decode_speed(network: Network, corpus: Corpus, width: int, together: int) -> Speed:
    """Every target is stopped at 7 tokens, the mean of the dictionary: an untrained network finds no end."""
    network.eval()
    sources = [corpus.sources[number] for number in range(5 * together)]

    def decode(start: int) -> int:
        return len(search_all(network, sources[start : start + together], width=width, longest=7))

    decode(0)
    return measure([lambda start=start: decode(start) for start in range(0, len(sources), together)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("embedding", 0), ("batch", 64), ("threads", 1), ("batches", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    embedding = given.embedding or given.hidden
    options = Hyperparameters.of(
        {
            "rnn_num_hidden": given.hidden,
            "num_embed_source": embedding,
            "num_embed_target": embedding,
            "batch_size": given.batch,
        }
    )
    network = Network(options, len(VOCABULARY), len(VOCABULARY))
    initialise(network, options)
    corpus = dictionary(20_000)
    parameters = sum(weight.numel() for weight in network.parameters())
    print(
        f"hidden {given.hidden}, embedding {embedding}, {parameters / 1e6:.1f} M parameters, {given.threads} thread(s)"
    )
    speed = train_speed(network, corpus, options, given.batches)
    print(f"training, batch {given.batch:<4}          {speed.wall:8.0f} pairs/s {speed.cpu:8.0f} pairs/CPU-s")
    for width in (1, 5):
        for together in (1, 64, 512):
            speed = decode_speed(network, corpus, width, together)
            label = f"decoding, beam {width}, {together:>3} together"
            print(f"{label}  {speed.wall:8.0f} words/s {speed.cpu:8.0f} words/CPU-s")


if __name__ == "__main__":
    main()
