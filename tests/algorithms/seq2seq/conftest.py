"""A toy task that needs attention, and a model that has learnt it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq import Seq2Seq, Vocabulary
from groundfog.algorithms.seq2seq.network.network import Network, initialise

SMALL: dict[str, Any] = {
    "rnn_num_hidden": 64,
    "num_embed_source": 32,
    "num_embed_target": 32,
    "batch_size": 64,
    "learning_rate": 0.005,
    "max_seq_len_target": 12,
    "checkpoint_frequency_num_batches": 100,
}

Pairs = list[tuple[list[str], list[str]]]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def reversals(count: int, seed: int, longest: int = 8) -> Pairs:
    """Digits and the same digits backwards."""
    draw = random.Random(seed)
    sources = [[draw.choice("0123456789") for _ in range(draw.randint(2, longest))] for _ in range(count)]
    return [(source, source[::-1]) for source in sources]


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    return dict(SMALL)


@pytest.fixture(scope="session")
def digits() -> Pairs:
    return reversals(4000, seed=1)


@pytest.fixture(scope="session")
def held_out() -> Pairs:
    return reversals(300, seed=2)


@pytest.fixture(scope="session")
def reverser(digits: Pairs, held_out: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Seq2Seq:
    model = Seq2Seq(**SMALL, max_num_batches=450)
    model.fit(digits, held_out[:100], folder=tmp_path_factory.mktemp("model"))
    return model


@pytest.fixture(scope="session")
def reverser_folder(reverser: Seq2Seq, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reverser")
    reverser.save(folder)
    return folder


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Seq2Seq]:
    """Models at random, made at once, for what has to be true of any model: sources of a b c d, targets of x y z."""

    def make(seed: int = 1, target: str = "x y z", **options: Any) -> Seq2Seq:
        sizes = {"rnn_num_hidden": 8, "num_embed_source": 5, "num_embed_target": 6, "max_seq_len_target": 4}
        model = Seq2Seq(**(sizes | {"weight_init_scale": 9.0, "seed": seed} | options))
        model.source_vocabulary, model.target_vocabulary = Vocabulary.of(["a b c d"]), Vocabulary.of([target])
        model._network = Network(model.hyperparameters, 8, len(model.target_vocabulary)).eval()
        initialise(model._network, model.hyperparameters)
        return model

    return make
