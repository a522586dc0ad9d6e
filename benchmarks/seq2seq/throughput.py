"""Pairs per second in training and words per second in decoding, on a vocabulary and lengths as in CMUdict.

    python benchmarks/seq2seq/throughput.py [--hidden 512] [--batch 64] [--threads 1] [--batches 60]
                                            [--dropout 0.2] [--no-input-feeding] [--precision bfloat16] [--no-kernels]

Speeds are per CPU-second too, since wall-clock says little on a machine that is shared. Training is measured as PyTorch
alone computes it, by the compiled kernels, and by those in bfloat16, in turn. The data is random, with the
lengths of an English pronouncing dictionary (7.5 letters, 6.4 phonemes on average).
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from groundfog.algorithms.seq2seq import Hyperparameters, Vocabulary, kernels
from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus, epoch_batches
from groundfog.algorithms.seq2seq.learning.learner import Learner
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.search.beam import search_all

VOCABULARY = Vocabulary.of([[f"token-{number}" for number in range(89)]])


class Speed(NamedTuple):
    wall: float
    cpu: float


def speed_of(run: Callable[[], int]) -> Speed:
    """`run` returns how many it did."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = run()
    return Speed(done / (time.perf_counter() - wall), done / (time.process_time() - cpu))


def median(speeds: list[Speed]) -> Speed:
    return Speed(*(statistics.median(column) for column in zip(*speeds, strict=True)))


def dictionary(pairs: int) -> Corpus:
    """Of the lengths of CMUdict; 27 letters here, 62 phonemes there, in one vocabulary as the walkthrough has them."""
    random = np.random.default_rng(1)

    letters = np.clip(random.normal(7.5, 2.2, pairs).round(), 1, 20).astype(int)
    phonemes = np.clip((letters * 0.85 + random.normal(0, 0.9, pairs)).round(), 1, 20).astype(int)
    return Corpus.of(
        (
            (random.integers(4, 31, size=source), random.integers(31, len(VOCABULARY), size=target))
            for source, target in zip(letters, phonemes, strict=True)
        ),
        100,
        100,
    )


class Way(NamedTuple):
    """How a training computes."""

    name: str
    precision: str
    by_kernels: bool


WAYS = [
    Way("PyTorch", "float32", False),
    Way("kernels", "float32", True),
    Way("kernels, bfloat16", "bfloat16", True),
]


def train_speeds(ways: list[Way], options: dict[str, Any], corpus: Corpus, batches: int) -> list[Speed]:
    """Of each way, by turns on the same batches: what slows the machine down slows all of them down."""
    given = [Hyperparameters.of({**options, "precision": way.precision}) for way in ways]
    learners = [Learner(new_network(each), each) for each in given]
    plan = epoch_batches(corpus, given[0].batch_size, bucket_width=10, seed=1, epoch=0)
    speeds: list[list[Speed]] = [[] for _ in ways]

    def update(learner: Learner, numbers: np.ndarray) -> int:
        learner.gradients(Batch.of(corpus, numbers), len(numbers))
        learner.step(0.0003)
        return len(numbers)

    # Several batches in a measurement: they differ in length. The first ones are for getting warm.
    for start in range(0, 10 + batches, 10):
        for way, learner, measured in zip(ways, learners, speeds, strict=True):
            kernels.enabled = way.by_kernels
            measured.append(speed_of(lambda of=learner, at=start: sum(update(of, each) for each in plan[at : at + 10])))
    kernels.enabled = True
    return [median(measured[1:]) for measured in speeds]


def decode_speed(network: Network, corpus: Corpus, width: int, together: int) -> Speed:
    """Every target is stopped at 7 tokens, the mean of the dictionary: an untrained network finds no end."""
    network.eval()
    sources = [corpus.sources[number] for number in range(5 * together)]

    def decode(start: int) -> int:
        return len(search_all(network, sources[start : start + together], width=width, longest=7))

    decode(0)
    return median([speed_of(lambda at=start: decode(at)) for start in range(0, len(sources), together)])


def new_network(options: Hyperparameters) -> Network:
    network = Network(options, len(VOCABULARY), len(VOCABULARY))
    initialise(network, options)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("embedding", 0), ("batch", 64), ("threads", 1), ("batches", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.0, help="of both embeddings and of the decoder's h~")
    parser.add_argument("--no-input-feeding", action="store_true")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="train in this one only")
    parser.add_argument("--no-kernels", action="store_true", help="PyTorch alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    kernels.enabled = not given.no_kernels
    embedding = given.embedding or given.hidden
    options = {
        "rnn_num_hidden": given.hidden,
        "num_embed_source": embedding,
        "num_embed_target": embedding,
        "batch_size": given.batch,
        "input_feeding": not given.no_input_feeding,
        **dict.fromkeys(("embed_dropout_source", "embed_dropout_target", "rnn_decoder_hidden_dropout"), given.dropout),
    }
    network = new_network(Hyperparameters.of(options))
    corpus = dictionary(20_000)
    parameters = sum(weight.numel() for weight in network.parameters())
    print(
        f"hidden {given.hidden}, embedding {embedding}, {parameters / 1e6:.1f} M parameters, {given.threads} thread(s)"
    )
    ways = [
        way for way in WAYS if given.precision in (way.precision, None) and not (given.no_kernels and way.by_kernels)
    ]
    speeds = train_speeds(ways, options, corpus, given.batches)
    for way, speed in zip(ways, speeds, strict=True):
        label = f"training, batch {given.batch}, {way.name}"
        times = speed.cpu / speeds[0].cpu
        print(f"{label:<37} {speed.wall:8.0f} pairs/s {speed.cpu:8.0f} pairs/CPU-s  {times:.2f} times")
    kernels.enabled = not given.no_kernels
    for width in (1, 5):
        for together in (1, 64, 512):
            speed = decode_speed(network, corpus, width, together)
            label = f"decoding, beam {width}, {together:>3} together"
            print(f"{label}  {speed.wall:8.0f} words/s {speed.cpu:8.0f} words/CPU-s")


if __name__ == "__main__":
    main()
