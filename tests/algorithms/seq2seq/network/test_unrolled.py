"""The derivative of the decoder's loop that was written by hand, against autograd's and against differences."""

from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.learning.scores import loss_of
from groundfog.algorithms.seq2seq.network.decoder import Decoder
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.network.unrolled import Unrolled

EQUAL = [([4, 5, 6], [7, 8]), ([6, 4, 4], [4, 4, 4])]
RAGGED = [([4, 5, 6], [7, 8, 8, 4]), ([6], [4, 4, 4]), ([5, 4, 4, 6, 5], [8])]

ATTENTIONS: list[dict[str, Any]] = [
    {"rnn_attention_type": "mlp"},
    {"rnn_attention_type": "mlp", "rnn_attention_num_hidden": 3},
    {"rnn_attention_type": "dot"},
    {"rnn_attention_type": "dot", "rnn_attention_num_hidden": 3},
    {"rnn_attention_type": "bilinear"},
]


def network_of(**given: Any) -> Network:
    options = Hyperparameters.of({"rnn_num_hidden": 8, "num_embed_source": 5, "num_embed_target": 6, **given})
    network = Network(options, 9, 10)
    initialise(network, options)
    with torch.no_grad():
        # Biases begin at zero, where a forgotten one would not be seen.
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.uniform_(-0.5, 0.5)
    return network


def without_a_table(self: Decoder, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = self.cells[0].project(self.embedding(inputs)).flatten(0, 1)
    return rows, torch.arange(len(rows)).view_as(inputs)


def gradients(network: Network, batch: Batch) -> dict[str, torch.Tensor]:
    network.zero_grad()
    loss_of(network(batch), batch.outputs).backward()
    return {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("precision", [torch.float, torch.double], ids=str)
@pytest.mark.parametrize("pairs", [EQUAL, RAGGED], ids=["equal", "ragged"])
@pytest.mark.parametrize("given", ATTENTIONS, ids=str)
def test_the_gradients_are_those_of_autograd(
    given: dict[str, Any], pairs: Any, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(**given).to(precision)
    batch = Batch.of(Corpus.of(pairs, 100, 100), range(len(pairs)))
    by_hand = gradients(network, batch)
    monkeypatch.setattr(Decoder, "_unrolled", Decoder._step_by_step)
    monkeypatch.setattr(Decoder, "_projected", without_a_table)
    within = 1e-5 if precision is torch.float else 1e-12
    torch.testing.assert_close(by_hand, gradients(network, batch), atol=within, rtol=within)


@pytest.mark.parametrize("kind", ["mlp", "product", "projected product"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
def test_the_derivative_is_the_numerical_one(kind: str, ragged: bool, dropout: bool) -> None:
    sentences, positions, steps, hidden = 2, 3, 2, 2
    width = 3 if kind != "product" else hidden

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.double, requires_grad=True)

    mask = torch.zeros(sentences, 1, positions, dtype=torch.double)
    mask[1, 0, 2:] = -torch.inf
    arguments = (
        random(steps, sentences, 4 * hidden),
        random(sentences, hidden),
        random(sentences, hidden),
        random(sentences, positions, width),
        random(sentences, positions, hidden),
        mask if ragged else None,
        random(4 * hidden, 2 * hidden),
        random(hidden if kind == "product" else hidden + width, hidden),
        random(width) if kind == "mlp" else None,
        torch.tensor([0.0, 2.0, 2.0, 0.0, 2.0, 0.0, 2.0, 2.0], dtype=torch.double).view(steps, sentences, hidden)
        if dropout
        else None,
    )
    assert torch.autograd.gradcheck(Unrolled.apply, arguments)


def test_dropout_is_on_what_is_said_and_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(rnn_decoder_hidden_dropout=0.5)
    batch = Batch.of(Corpus.of(RAGGED, 100, 100), range(len(RAGGED)))
    drawn = torch.bernoulli(torch.full((len(batch.inputs), len(batch), 8), 0.5)) * 2
    monkeypatch.setattr(network.decoder.hidden_dropout, "forward", lambda ones: ones * drawn)
    by_hand = gradients(network, batch)
    rows = iter(drawn)
    monkeypatch.setattr(network.decoder.hidden_dropout, "forward", lambda fed: fed * next(rows))
    monkeypatch.setattr(Decoder, "_unrolled", Decoder._step_by_step)
    torch.testing.assert_close(by_hand, gradients(network, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "by_hand"),
    [
        *((given, True) for given in ATTENTIONS),
        ({"rnn_attention_type": "fixed"}, False),
        ({"rnn_cell_type": "gru"}, False),
        ({"num_layers_decoder": 2}, False),
        ({"rnn_decoder_hidden_dropout": 0.5}, True),
    ],
    ids=str,
)
def test_other_decoders_are_left_to_autograd(
    given: dict[str, Any], by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    monkeypatch.setattr(Decoder, "_unrolled", lambda *given: called.append(True) or Decoder._step_by_step(*given))
    gradients(network_of(**given), Batch.of(Corpus.of(EQUAL, 100, 100), [0, 1]))
    assert bool(called) == by_hand
