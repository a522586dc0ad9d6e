"""The parts of the network against plain code, and against each other."""

from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus, Source
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.learning.scores import loss_of
from groundfog.algorithms.seq2seq.network.attention import mask_of
from groundfog.algorithms.seq2seq.network.cells import GRUCell, LSTMCell, LSTMGates
from groundfog.algorithms.seq2seq.network.network import Network, initialise

TINY = {
    "rnn_num_hidden": 8,
    "num_embed_source": 5,
    "num_embed_target": 6,
    "cnn_num_hidden": 7,
    "transformer_model_size": 12,
    "transformer_attention_heads": 2,
    "transformer_feed_forward_num_hidden": 16,
}
PAIRS = [([4, 5, 6], [7, 8]), ([6], [4, 4, 4]), ([5, 4, 4, 6, 5], [8])]


def network_of(**given: Any) -> Network:
    options = Hyperparameters.of({**TINY, **given})
    network = Network(options, 10, 10)
    initialise(network, options)
    return network


VARIANTS: list[dict[str, Any]] = [
    {"rnn_attention_type": "mlp"},
    {"rnn_attention_type": "dot"},
    {"rnn_attention_type": "dot", "rnn_attention_num_hidden": 3},
    {"rnn_attention_type": "bilinear"},
    {"rnn_attention_type": "fixed"},
    {"rnn_cell_type": "gru"},
    {"rnn_decoder_state_init": "avg"},
    {"rnn_decoder_state_init": "zero"},
    {"num_layers_encoder": 3, "num_layers_decoder": 3},
    {"num_layers_encoder": 3, "num_layers_decoder": 3, "rnn_residual_connections": True},
    {"num_layers_decoder": 2, "rnn_attention_in_upper_layers": False, "rnn_cell_type": "gru"},
    {
        "rnn_residual_connections": True,
        "rnn_first_residual_layer": 1,
        "num_embed_source": 8,
        "rnn_decoder_state_init": "avg",
    },
    {"num_layers_encoder": 3, "rnn_bidirectional_layers": 2, "rnn_residual_connections": True},
    {"num_layers_encoder": 2, "rnn_bidirectional_layers": 2, "rnn_cell_type": "gru"},
    {"input_feeding": False},
    {"input_feeding": False, "rnn_cell_type": "gru", "rnn_attention_type": "fixed"},
    {"input_feeding": False, "num_layers_decoder": 3, "rnn_residual_connections": True},
    {"input_feeding": False, "num_layers_decoder": 3, "rnn_cell_type": "gru", "rnn_attention_type": "bilinear"},
    {"input_feeding": False, "num_layers_decoder": 2, "rnn_attention_in_upper_layers": False},
    {"encoder_type": "cnn", "decoder_type": "cnn", "num_layers_encoder": 2, "num_layers_decoder": 2},
    {"encoder_type": "cnn", "decoder_type": "cnn", "cnn_activation_type": "softrelu", "cnn_kernel_width_encoder": 4},
    {"encoder_type": "cnn", "decoder_type": "cnn", "cnn_activation_type": "tanh", "cnn_kernel_width_decoder": 1},
    {"encoder_type": "rnn", "decoder_type": "cnn", "rnn_cell_type": "gru"},
    {"encoder_type": "cnn", "rnn_attention_type": "dot"},
    {"encoder_type": "cnn", "rnn_attention_type": "bilinear", "rnn_decoder_state_init": "avg"},
    {"encoder_type": "cnn", "rnn_attention_type": "mlp", "num_layers_decoder": 3, "rnn_cell_type": "gru"},
    {"encoder_type": "transformer", "num_layers_decoder": 2, "input_feeding": False},
    {"encoder_type": "transformer", "decoder_type": "transformer", "num_layers_encoder": 2, "num_layers_decoder": 2},
    {"encoder_type": "transformer", "decoder_type": "cnn", "num_embed_source": 12},
    {"encoder_type": "rnn", "decoder_type": "transformer", "num_embed_target": 12},
    {"weight_tying": "trg_softmax", "num_embed_target": 8},
    {"weight_tying": "src_trg", "num_embed_target": 5},
    {"weight_tying": "src_trg_softmax", "decoder_type": "cnn", "num_embed_source": 7, "num_embed_target": 7},
]


@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_padding_changes_no_probability(given: dict[str, Any]) -> None:
    network = network_of(**given).eval()
    corpus = Corpus.of(PAIRS, 100, 100)
    together = network(Batch.of(corpus, [0, 1, 2]))
    for number, (_, target) in enumerate(PAIRS):
        alone = network(Batch.of(corpus, [number]))
        torch.testing.assert_close(together[: len(target) + 1, number], alone[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_every_weight_learns(given: dict[str, Any]) -> None:
    network = network_of(**given)
    batch = Batch.of(Corpus.of(PAIRS, 100, 100), [0, 1, 2])
    loss_of(network(batch), batch.outputs).backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.abs().sum()]
    assert still == []


@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_attention_rows_sum_to_one_and_are_zero_in_the_padding(given: dict[str, Any]) -> None:
    network = network_of(**given).eval()
    source = Source.of([source for source, _ in PAIRS])
    memory, state = network.begin(source)
    _, _, weights = network.decoder.step(torch.tensor([4, 5, 6]), state, memory)
    assert weights.shape == (3, 1, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 1))
    assert weights[0, 0, 3:].tolist() == [0, 0]
    assert weights[1, 0, 1:].tolist() == [0, 0, 0, 0]


def test_fixed_attention_looks_at_the_last_token() -> None:
    network = network_of(rnn_attention_type="fixed").eval()
    for sources in ([[4, 5, 6], [4]], [[4, 5, 6], [7, 7, 7]]):
        memory, state = network.begin(Source.of(sources))
        _, _, weights = network.decoder.step(torch.tensor([4, 4]), state, memory)
        assert weights.argmax(-1).flatten().tolist() == [len(source) - 1 for source in sources]


def test_the_mask_stands_where_no_token_does() -> None:
    mask = mask_of(Source.of([[4, 5], [6]]), torch.zeros(1))
    assert mask is not None
    assert mask.tolist() == [[[0, 0]], [[0, -torch.inf]]]
    assert mask_of(Source.of([[4], [6]]), torch.zeros(1)) is None


@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_the_scores_told_the_target_are_those_of_single_steps(given: dict[str, Any]) -> None:
    network = network_of(**given).eval()
    with torch.no_grad():
        # Biases begin at zero, where a forgotten one would not be seen.
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.uniform_(-0.5, 0.5)
    batch = Batch.of(Corpus.of(PAIRS, 100, 100), [0, 1, 2])
    at_once = network(batch)
    memory, state = network.begin(batch.source)
    for position, token in enumerate(batch.inputs):
        scores, state, _ = network.decoder.step(token, state, memory)
        torch.testing.assert_close(scores, at_once[position], atol=1e-6, rtol=1e-5)


def test_without_input_feeding_no_step_is_told_what_the_one_before_concluded() -> None:
    fed, unfed = network_of(), network_of(input_feeding=False)
    assert fed.decoder.cells[0].from_step.weight.shape == (32, 16)
    assert unfed.decoder.cells[0].from_step.weight.shape == (32, 8)


def test_dropout_after_encoder_layers_acts_in_training_alone() -> None:
    network = network_of(num_layers_encoder=2, rnn_encoder_hidden_dropout=0.5)
    source = Source.of([[4, 5, 6, 7]] * 50)
    states = network.encoder(source).states
    assert 0.4 < (states == 0).double().mean() < 0.6
    assert not (network.eval().encoder(source).states == 0).any()


def test_the_lstm_cell_is_that_of_torch() -> None:
    ours, theirs = LSTMCell(3, 0, 4), torch.nn.LSTMCell(3, 4)
    # Torch has the gates in another order: input, forget, candidate, output.
    order = torch.cat([torch.arange(8), torch.arange(12, 16), torch.arange(8, 12)])
    with torch.no_grad():
        ours.from_input.weight.copy_(theirs.weight_ih[order])
        ours.from_input.bias.copy_((theirs.bias_ih + theirs.bias_hh)[order])
        ours.from_step.weight.copy_(theirs.weight_hh[order])
    inputs, hidden, cell = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    for told, expected in zip(
        ours(ours.project(inputs), None, (hidden, cell)), theirs(inputs, (hidden, cell)), strict=True
    ):
        torch.testing.assert_close(told, expected)


def test_the_gru_cell_is_that_of_torch() -> None:
    ours, theirs = GRUCell(3, 0, 4), torch.nn.GRUCell(3, 4)
    with torch.no_grad():
        ours.from_input.weight.copy_(theirs.weight_ih)
        ours.from_input.bias.copy_(theirs.bias_ih)
        ours.from_hidden.weight.copy_(theirs.weight_hh)
        ours.from_hidden.bias.copy_(theirs.bias_hh)
    inputs, hidden = torch.randn(2, 3), torch.randn(2, 4)
    torch.testing.assert_close(ours(ours.project(inputs), None, (hidden,))[0], theirs(inputs, hidden))


def test_the_derivative_of_the_lstm_gates_is_the_numerical_one() -> None:
    gates = torch.randn(3, 8, dtype=torch.double, requires_grad=True)
    cell = torch.randn(3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(LSTMGates.apply, (gates, cell))


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"weight_init_type": "uniform", "weight_init_scale": 0.3}, 0.3),
        ({"xavier_factor_type": "in"}, (2.34 / 8) ** 0.5),
        ({"xavier_factor_type": "out"}, (2.34 / 10) ** 0.5),
        ({"xavier_factor_type": "avg"}, (2.34 / 9) ** 0.5),
    ],
    ids=str,
)
def test_weights_begin_within_the_bound_that_the_hyperparameters_give(given: dict[str, Any], bound: float) -> None:
    weight = network_of(**given).decoder.output.weight
    assert 0.8 * bound < weight.abs().max() <= bound
