"""Which sentences stand beside a sentence, in which order and how padded changes no answer, of any kind of network."""

import itertools
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.search.beam import search_all

SIZES = {
    "rnn_num_hidden": 8,
    "num_embed_source": 5,
    "num_embed_target": 6,
    "cnn_num_hidden": 7,
    "transformer_model_size": 8,
    "transformer_attention_heads": 2,
    "transformer_feed_forward_num_hidden": 9,
    "max_seq_len_source": 6,
    "weight_init_scale": 5.0,
}
PARTS = ("rnn", "cnn", "transformer")
KINDS: list[dict[str, Any]] = [
    *({"encoder_type": encoder, "decoder_type": decoder} for encoder, decoder in itertools.product(PARTS, PARTS)),
    {"encoder_type": "cnn", "decoder_type": "cnn", "num_layers_encoder": 3, "cnn_kernel_width_encoder": 4},
    {"encoder_type": "cnn", "decoder_type": "rnn", "rnn_decoder_state_init": "avg"},
    {"encoder_type": "transformer", "decoder_type": "transformer", "num_layers_encoder": 2, "num_layers_decoder": 2},
    {"encoder_type": "transformer", "decoder_type": "rnn", "rnn_decoder_state_init": "avg"},
    {"input_feeding": False, "num_layers_decoder": 2},
    *({"rnn_attention_type": kind} for kind in ("dot", "bilinear", "fixed")),
    *({"rnn_cell_type": "gru", "input_feeding": fed, "num_layers_decoder": 2} for fed in (True, False)),
    {"num_layers_encoder": 2, "rnn_bidirectional_layers": 2, "rnn_residual_connections": True},
]


@cache
def network_of(number: int) -> Network:
    options = Hyperparameters.of(SIZES | KINDS[number])
    network = Network(options, 9, 9).eval()
    initialise(network, options)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.add_(torch.linspace(-0.5, 0.6, len(weight)))
    return network


kinds = st.integers(0, len(KINDS) - 1)
tokens = st.integers(4, 8)
sources = st.lists(tokens, min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(number=kinds, together=st.lists(sources, min_size=1, max_size=6), width=st.integers(1, 4), data=st.data())
def test_no_sentence_is_answered_otherwise_in_company(
    number: int, together: list[list[int]], width: int, data: st.DataObject
) -> None:
    network = network_of(number)
    order = data.draw(st.permutations(range(len(together))))

    def answers(asked: list[list[int]]) -> list[Any]:
        return search_all(network, asked, width=width, longest=6, attention=True)

    alone = [answers([source])[0] for source in together]
    for found in (answers(together), sorted_by(order, answers([together[place] for place in order]))):
        for one, other in zip(alone, found, strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
    for source, said in zip(together, alone, strict=True):
        assert said.attention.shape == (len(said.ids), len(source))
        assert said.attention.sum(1) == pytest.approx([1] * len(said.ids), abs=1e-5)
        assert (said.attention >= 0).all()


def sorted_by(order: list[int], answers: list[Any]) -> list[Any]:
    return [answer for _, answer in sorted(zip(order, answers, strict=True), key=lambda pair: pair[0])]


@settings(deadline=None, max_examples=40)
@given(number=kinds, pairs=st.lists(st.tuples(sources, st.lists(tokens, max_size=7)), min_size=1, max_size=5))
def test_no_target_is_more_probable_for_the_company_of_others(
    number: int, pairs: list[tuple[list[int], list[int]]]
) -> None:
    network, corpus = network_of(number), Corpus.of(pairs, 100, 100)
    with torch.no_grad():
        together = network(Batch.of(corpus, range(len(pairs))))
        for place, (_, target) in enumerate(pairs):
            alone = network(Batch.of(corpus, [place]))[:, 0]
            torch.testing.assert_close(together[: len(target) + 1, place], alone, atol=1e-4, rtol=1e-4)


@settings(deadline=None, max_examples=40)
@given(number=kinds, source=sources, target=st.lists(tokens, min_size=1, max_size=8))
def test_a_step_says_what_training_says_and_knows_nothing_of_what_comes(
    number: int, source: list[int], target: list[int]
) -> None:
    network = network_of(number)
    batch = Batch.of(Corpus.of([(source, target)], 100, 100), [0])
    with torch.no_grad():
        at_once = network(batch)
        memory, state = network.begin(batch.source)
        for place, token in enumerate(batch.inputs):
            scores, state, _ = network.step(token, state, memory)
            torch.testing.assert_close(scores, at_once[place], atol=1e-4, rtol=1e-4)
