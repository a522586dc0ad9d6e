"""Every hyperparameter acts: changed alone, it changes the network, the course of its learning, or what it says."""

import random
from dataclasses import fields
from functools import cache
from typing import Any

import pytest

from groundfog.algorithms.seq2seq import Hyperparameters, Seq2Seq, kernels
from groundfog.algorithms.seq2seq.learning import train
from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Progress, log_lines

BASE: dict[str, Any] = {
    "rnn_num_hidden": 8,
    "num_embed_source": 6,
    "num_embed_target": 6,
    "cnn_num_hidden": 6,
    "transformer_model_size": 8,
    "transformer_feed_forward_num_hidden": 6,
    "batch_size": 8,
    "max_num_batches": 5,
    "checkpoint_frequency_num_batches": 2,
    "learning_rate": 0.01,
}
CNN: dict[str, Any] = {"encoder_type": "cnn", "decoder_type": "cnn"}
TRANSFORMER: dict[str, Any] = {"encoder_type": "transformer", "decoder_type": "transformer"}
DEEP: dict[str, Any] = {"num_layers_encoder": 3, "num_layers_decoder": 3}
SGD: dict[str, Any] = {"optimizer_type": "sgd"}
STILL: dict[str, Any] = {
    "learning_rate": 1e-9,
    "optimized_metric": "accuracy",
    "checkpoint_frequency_num_batches": 1,
    "plateau_reduce_lr_threshold": 1,
}
"""Never better than at its first checkpoint."""

CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_seq_len_source": (2, {}),
    "max_seq_len_target": (2, {}),
    "bucketing_enabled": (False, {}),
    "bucket_width": (1, {}),
    "batch_size": (5, {}),
    "encoder_type": ("cnn", {}),
    "decoder_type": ("transformer", {}),
    "num_embed_source": (4, {}),
    "num_embed_target": (4, {}),
    "num_layers_encoder": (2, {}),
    "num_layers_decoder": (2, {}),
    "rnn_cell_type": ("gru", {}),
    "rnn_num_hidden": (4, {}),
    "rnn_residual_connections": (True, DEEP),
    "rnn_first_residual_layer": (3, DEEP | {"rnn_residual_connections": True}),
    "rnn_attention_type": ("dot", {}),
    "rnn_attention_num_hidden": (3, {}),
    "rnn_attention_in_upper_layers": (False, DEEP),
    "rnn_decoder_state_init": ("avg", {}),
    "cnn_num_hidden": (4, CNN),
    "cnn_activation_type": ("relu", CNN),
    "cnn_kernel_width_encoder": (2, CNN),
    "cnn_kernel_width_decoder": (2, CNN),
    "embed_dropout_source": (0.5, {}),
    "embed_dropout_target": (0.5, {}),
    "rnn_decoder_hidden_dropout": (0.5, {}),
    "cnn_hidden_dropout": (0.5, CNN),
    "weight_decay": (0.1, {}),
    "weight_init_type": ("uniform", {}),
    "weight_init_scale": (2.5, {}),
    "xavier_factor_type": ("out", {}),
    "optimizer_type": ("rmsprop", {}),
    "learning_rate": (0.02, {}),
    "momentum": (0.5, SGD),
    "clip_gradient": (0.01, SGD),
    "lr_scheduler_type": ("fixed_rate_inv_t", {}),
    "plateau_reduce_lr_factor": (0.1, STILL),
    "plateau_reduce_lr_threshold": (2, STILL),
    "fixed_rate_lr_half_life": (1, {"lr_scheduler_type": "fixed_rate_inv_sqrt_t"}),
    "min_num_epochs": (2, STILL | {"max_num_batches": -1, "checkpoint_threshold": 1}),
    "max_num_epochs": (1, {}),
    "max_num_batches": (3, {}),
    "checkpoint_frequency_num_batches": (1, {}),
    "checkpoint_threshold": (1, STILL),
    "optimized_metric": ("bleu", {}),
    "training_metric": ("accuracy", {}),
    "bleu_sample_size": (2, {}),
    "beam_size": (1, {"weight_init_scale": 9.0}),
    "seed": (2, {}),
    "input_feeding": (False, {}),
    "rnn_bidirectional_layers": (2, DEEP),
    "rnn_encoder_hidden_dropout": (0.5, {}),
    "transformer_model_size": (4, TRANSFORMER),
    "transformer_attention_heads": (2, TRANSFORMER),
    "transformer_feed_forward_num_hidden": (4, TRANSFORMER),
    "transformer_dropout": (0.5, TRANSFORMER),
    "weight_tying": ("src_trg_softmax", {"num_embed_source": 8, "num_embed_target": 8}),
    "label_smoothing": (0.1, {}),
    "warmup_num_batches": (3, {}),
    "average_checkpoints": (2, {}),
    "length_penalty_alpha": (0.5, {}),
    "beam_threshold": (0.001, {"weight_init_scale": 9.0}),
    "joint_ngram_order": (2, {}),
    "joint_ngram_weight": (0.9, {"joint_ngram_order": 2}),
}

ELSEWHERE = {
    "loss_type": "has one value",
    "precision": "acts where the processor can, in a test of its own",
    "num_processes": "starts processes, in tests of their own",
    "shuffle_window": "acts on data that is read as a stream, in tests of its own",
}


@pytest.fixture(autouse=True)
def _every_batch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "REPORT_EVERY", 1)


@cache
def pairs() -> list[tuple[list[str], list[str]]]:
    draw = random.Random(3)
    return [(source := draw.choices("abcde", k=draw.randint(1, 6)), source[::-1]) for _ in range(21)]


@cache
def course(given: tuple[tuple[str, Any], ...]) -> list[Any]:
    """All that a training with these hyperparameters tells and leaves, but how long it took."""
    told: list[Any] = []
    model = Seq2Seq(**dict(given))
    finished = model.fit(pairs(), pairs()[:9], progress=told.append)
    shapes = {name: tuple(weight.shape) for name, weight in model.network.state_dict().items()}
    kept = [shapes, finished]
    for record in told:
        if isinstance(record, Progress):
            [line] = log_lines(record)
            kept += [record.epoch, record.learning_rate, record.perplexity, line.split("\t")[2:]]
        if isinstance(record, Checkpoint):
            metrics = {
                name: value for name, value in record.metrics.items() if "time" not in name and "sec" not in name
            }
            kept += [record.number, record.updates, record.epoch, record.learning_rate, metrics]
    answers = model.translate([source for source, _ in pairs()])
    return [*kept, [(said.target, said.score) for said in answers]]


@pytest.mark.parametrize("name", CHANGES)
def test_a_hyperparameter_acts(name: str) -> None:
    changed, around = CHANGES[name]
    before = BASE | around
    assert changed != before.get(name, getattr(Hyperparameters(), name))
    assert course(tuple(before.items())) != course(tuple((before | {name: changed}).items()))


def test_precision_acts_where_the_processor_multiplies_bfloat16_and_says_so_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = kernels.library("training")
    can = library is not None and bool(library.has_half())
    rounded = course(tuple((BASE | {"precision": "bfloat16"}).items()))
    assert (rounded != course(tuple(BASE.items()))) is can
    assert ("precision float32, though bfloat16 was asked for" in caplog.text) is not can


def test_the_same_hyperparameters_act_the_same() -> None:
    first = course(tuple(BASE.items()))
    course.cache_clear()
    assert course(tuple(BASE.items())) == first


def test_no_hyperparameter_is_left_out() -> None:
    assert {*CHANGES, *ELSEWHERE} == {each.name for each in fields(Hyperparameters)}
