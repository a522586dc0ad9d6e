"""Hyperparameters drawn at random from the table's ranges: a training ends well, or it says what to change."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from groundfog.algorithms.seq2seq import Hyperparameters, InputFault, Seq2Seq

Draw = Callable[[random.Random], Any]


def among(*values: Any) -> Draw:
    return lambda draw: draw.choice(values)


def between(least: float, most: float) -> Draw:
    return lambda draw: draw.uniform(least, most)


def widths(draw: random.Random) -> int:
    """Even, and few of them, so that some happen to be equal."""
    return 2 * draw.choice((1, 2, 4, 6, 8))


DROPOUT = lambda draw: draw.choice((0.0, 0.0, draw.uniform(0, 0.5), 1.0))  # noqa: E731

TABLE: dict[str, Draw] = {
    "max_seq_len_source": among(1, 3, 8, 100),
    "max_seq_len_target": among(1, 3, 8, 20),
    "bucketing_enabled": among("true", "false"),
    "bucket_width": among(1, 2, 10),
    "batch_size": among(1, 5, 16, 64, 2048),
    "encoder_type": among("rnn", "cnn", "transformer"),
    "decoder_type": among("rnn", "cnn", "transformer"),
    "num_embed_source": widths,
    "num_embed_target": widths,
    "num_layers_encoder": among(1, 1, 2, 3, 10),
    "num_layers_decoder": among(1, 1, 2, 3, 10),
    "rnn_cell_type": among("lstm", "gru"),
    "rnn_num_hidden": widths,
    "rnn_residual_connections": among("true", "false"),
    "rnn_first_residual_layer": among(1, 2, 3, 20),
    "rnn_attention_type": among("mlp", "dot", "bilinear", "fixed"),
    "rnn_attention_num_hidden": lambda draw: draw.choice((None, widths(draw))),
    "rnn_attention_in_upper_layers": among("true", "false"),
    "rnn_decoder_state_init": among("last", "avg", "zero"),
    "cnn_num_hidden": among(1, 4, 7, 16),
    "cnn_activation_type": among("glu", "relu", "softrelu", "sigmoid", "tanh"),
    "cnn_kernel_width_encoder": among(1, 2, 3, 4, 30),
    "cnn_kernel_width_decoder": among(1, 2, 5, 30),
    "embed_dropout_source": DROPOUT,
    "embed_dropout_target": DROPOUT,
    "rnn_decoder_hidden_dropout": DROPOUT,
    "cnn_hidden_dropout": DROPOUT,
    "weight_decay": between(0, 0.1),
    "weight_init_type": among("xavier", "uniform"),
    "weight_init_scale": lambda draw: draw.choice((draw.uniform(2, 3), draw.uniform(2, 3), draw.uniform(-1, 1))),
    "xavier_factor_type": among("in", "out", "avg"),
    "loss_type": among("cross-entropy"),
    "optimizer_type": among("adam", "sgd", "rmsprop"),
    "learning_rate": lambda draw: draw.choice(
        (*[math.exp(draw.uniform(math.log(0.00005), math.log(0.2)))] * 9, 1000.0)
    ),
    "momentum": lambda draw: draw.choice((None, draw.uniform(0.5, 0.9))),
    "clip_gradient": lambda draw: draw.choice((-1.0, draw.uniform(1, 5))),
    "lr_scheduler_type": among("plateau_reduce", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t", "linear"),
    "plateau_reduce_lr_factor": between(0.1, 0.5),
    "plateau_reduce_lr_threshold": among(1, 3, 5),
    "fixed_rate_lr_half_life": among(10, 30),
    "min_num_epochs": among(0, 0, 0, 1, 2),
    "max_num_epochs": among(None, None, 1, 2),
    "max_num_batches": among(1, 2, 5, 8, 10),
    "checkpoint_frequency_num_batches": among(1, 3, 4, 1000),
    "checkpoint_threshold": among(1, 3),
    "optimized_metric": among("perplexity", "accuracy", "bleu"),
    "training_metric": among("perplexity", "accuracy"),
    "bleu_sample_size": among(0, -1, 3),
    "beam_size": among(1, 2, 5, 20),
    "seed": among(0, 1, 7),
    "precision": among("float32", "float32", "float32", "bfloat16"),
    "input_feeding": among("true", "false"),
    "rnn_bidirectional_layers": among(1, 1, 1, 2),
    "rnn_encoder_hidden_dropout": DROPOUT,
    "transformer_model_size": among(4, 8, 12),
    "transformer_attention_heads": among(1, 2, 4, 4, 3),
    "transformer_feed_forward_num_hidden": among(1, 8, 16),
    "transformer_dropout": DROPOUT,
    "weight_tying": among("none", "none", "none", "trg_softmax", "src_trg", "src_trg_softmax"),
    "label_smoothing": among(0.0, 0.1, 0.9),
    "warmup_num_batches": among(0, 0, 3, 100),
    "average_checkpoints": among(1, 1, 3),
    "shuffle_window": among(1, 7, 1_000_000),
    "length_penalty_alpha": among(0.0, 1.0, 2.5),
    "beam_threshold": among(0.0, 0.5, 4.0),
    "joint_ngram_order": among(0, 0, 1, 4, 20),
    "joint_ngram_weight": lambda draw: draw.choice((None, None, draw.uniform(0, 1))),
}


def drawn(seed: int) -> dict[str, str]:
    """As strings. Three in four contradict nothing, so that a training begins."""
    draw = random.Random(seed)
    while True:
        values = {name: one(draw) for name, one in TABLE.items()}
        given = {name: str(value) for name, value in values.items() if value is not None}
        try:
            Hyperparameters.of(given)
        except InputFault:
            if seed % 4:
                continue
        return given


def pairs(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Of uneven lengths, and longer than the shortest maximum."""
    draw = random.Random(seed)
    return [
        (draw.choices("abcdef", k=draw.randint(1, 9)), draw.choices("uvwxyz", k=draw.randint(0, 12)))
        for _ in range(count)
    ]


def ended(seed: int, folder: Path) -> bool:
    """Whether the training came to its end, and its model says the same elsewhere; False: it said what to change."""
    given = drawn(seed)
    try:
        model = Seq2Seq(**given)
        model.fit(pairs(30, seed), pairs(8, seed + 1), folder=folder)
    except InputFault as fault:
        assert any(name in str(fault) for name in given), f"{fault} names nothing of {given}"
        return False
    sources = [source for source, _ in pairs(5, seed + 2)] + [[]]
    there = model.translate(sources, attention=True)
    options = model.hyperparameters
    for source, said in zip(sources, there, strict=True):
        assert len(said.tokens) <= options.max_seq_len_target
        assert said.attention is not None
        if source:
            assert said.attention.shape == (len(said.tokens), min(len(source), options.max_seq_len_source))
            assert said.attention.sum(1) == pytest.approx([1] * len(said.tokens), abs=1e-3)
    loaded = Seq2Seq.load(folder).translate(sources)
    assert [said.tokens for said in loaded] == [said.tokens for said in there]
    return True


def test_the_table_of_draws_is_whole() -> None:
    # Several processes are started for their own tests, which takes seconds each time.
    assert set(TABLE) == {each.name for each in fields(Hyperparameters)} - {"num_processes"}


@pytest.mark.parametrize("seed", range(10))
def test_a_job_of_random_hyperparameters_ends_or_says_what_to_change(seed: int, tmp_path: Path) -> None:
    ended(seed, tmp_path)


@pytest.mark.slow
def test_a_hundred_jobs_of_random_hyperparameters_end_or_say_what_to_change(tmp_path: Path) -> None:
    started = time.process_time()
    well = sum(ended(seed, tmp_path / str(seed)) for seed in range(100, 200))
    assert well >= 60
    assert time.process_time() - started < 200
