from typing import Any

import numpy as np
import pytest

from groundfog.algorithms.seq2seq import Hyperparameters, InputFault


def fault_of(**given: Any) -> str:
    with pytest.raises(InputFault) as fault:
        Hyperparameters.of(given)
    return str(fault.value)


def test_the_walkthroughs_strings_are_read_as_values() -> None:
    options = Hyperparameters.of(
        {"max_seq_len_source": "34", "optimized_metric": "bleu", "batch_size": "64", "rnn_num_hidden": "512"}
    )
    assert (options.max_seq_len_source, options.optimized_metric, options.rnn_num_hidden) == (34, "bleu", 512)
    assert (options.learning_rate, options.clip_gradient, options.beam_size) == (0.0003, 1.0, 5)


def test_the_documented_defaults_hold_where_nothing_is_given() -> None:
    options = Hyperparameters.of({})
    assert (options.rnn_num_hidden, options.num_embed_source, options.rnn_attention_type) == (1024, 512, "mlp")
    assert (options.checkpoint_frequency_num_batches, options.checkpoint_threshold, options.max_num_batches) == (
        1000,
        3,
        -1,
    )
    assert options.max_num_epochs is None
    assert options.attention_width == 1024


def test_values_in_json_are_read_as_frameworks_send_them() -> None:
    assert Hyperparameters.of({"optimizer_type": '"sgd"', "momentum": '"0.9"'}).momentum == 0.9


def test_an_unknown_name_is_told_as_aws_tells_it_with_the_one_that_was_meant() -> None:
    assert "Additional properties are not allowed ('foo' was unexpected)" in fault_of(foo="1")
    assert "did you mean batch_size" in fault_of(batchsize="1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_size": "0"}, "batch_size has to be an integer of at least 1, not '0'"),
        ({"batch_size": "many"}, "batch_size has to be an integer of at least 1, not 'many'"),
        ({"batch_size": "9" * 5000}, "batch_size has to be an integer"),
        ({"max_num_batches": "0"}, "max_num_batches has to be an integer of at least 1, or -1"),
        ({"rnn_num_hidden": "7"}, "rnn_num_hidden has to be an even integer of at least 2"),
        ({"embed_dropout_source": "1.5"}, "embed_dropout_source has to be a number from 0 to 1"),
        ({"learning_rate": "nan"}, "learning_rate has to be a number of at least 0"),
        ({"rnn_cell_type": "elman"}, "rnn_cell_type has to be one of lstm, gru"),
        ({"bucketing_enabled": "yes"}, "bucketing_enabled has to be true or false"),
        ({"loss_type": "hinge"}, "loss_type has to be cross-entropy"),
        ({"momentum": "0.9"}, "momentum is for the optimizer_type sgd only"),
        ({"encoder_type": "lstm"}, "encoder_type has to be one of rnn, cnn, transformer, not 'lstm'"),
        ({"cnn_kernel_width_decoder": "0"}, "cnn_kernel_width_decoder has to be an integer of at least 1"),
        (
            {"decoder_type": "transformer", "transformer_attention_heads": "3"},
            "transformer_model_size (256) has to be a multiple of transformer_attention_heads (3)",
        ),
        (
            {"weight_tying": "trg_softmax"},
            "weight_tying trg_softmax needs num_embed_target (512) to be rnn_num_hidden (1024)",
        ),
        (
            {"weight_tying": "src_trg_softmax", "decoder_type": "cnn", "num_embed_source": 256},
            "weight_tying src_trg_softmax needs num_embed_source (256) to be num_embed_target (512)",
        ),
        ({"min_num_epochs": 3, "max_num_epochs": 2}, "max_num_epochs (2) is below min_num_epochs (3)"),
        (
            {"rnn_bidirectional_layers": 2, "num_layers_encoder": 1},
            "rnn_bidirectional_layers (2) is above num_layers_encoder (1)",
        ),
        ({"batch_size": True}, "batch_size has to be an integer"),
        ({"lr_scheduler_type": "linear"}, "lr_scheduler_type linear ends at 0, so it needs max_num_batches or"),
        ({"clip_gradient": "0"}, "clip_gradient 0 leaves nothing of any gradient; give a number above 0, or -1"),
        ({"momentum": "1.1", "optimizer_type": "sgd"}, "momentum has to be a number from 0 to 1, not '1.1'"),
        ({"clip_gradient": [1]}, "clip_gradient has to be a number"),
    ],
)
def test_a_wrong_value_is_told_with_its_range(given: dict[str, Any], said: str) -> None:
    assert said in fault_of(**given)


def test_all_faults_are_told_together() -> None:
    said = fault_of(batch_size="x", foo="1", rnn_cell_type="y")
    assert all(name in said for name in ("batch_size", "foo", "rnn_cell_type"))


def test_numbers_of_numpy_are_numbers() -> None:
    options = Hyperparameters.of({"batch_size": np.int64(64), "learning_rate": np.float32(0.5)})
    assert (type(options.batch_size), options.learning_rate, type(options.learning_rate)) == (int, 0.5, float)
    assert fault_of(batch_size=64.0) == "batch_size has to be an integer of at least 1, not 64.0"
