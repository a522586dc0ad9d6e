"""Encoders and decoders of every kind learn, search, are scored, saved and loaded; weights that are tied stay so."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq import InputFault, Seq2Seq, Vocabulary
from groundfog.algorithms.seq2seq.data.batching import Corpus, Source
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.learning.train import tally
from groundfog.algorithms.seq2seq.network.network import Network, initialise

PAIRS = [("cnn", "cnn"), ("transformer", "transformer"), ("cnn", "rnn"), ("rnn", "cnn"), ("transformer", "rnn")]
TOY: dict[str, Any] = {
    "rnn_num_hidden": 48,
    "cnn_num_hidden": 48,
    "transformer_model_size": 48,
    "transformer_feed_forward_num_hidden": 96,
    "num_embed_source": 32,
    "num_embed_target": 32,
    "learning_rate": 0.003,
    "max_seq_len_target": 6,
    "max_num_batches": 220,
}


def reversals(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    draw = random.Random(seed)
    sources = [draw.choices("0123456789", k=draw.randint(1, 4)) for _ in range(count)]
    return [(source, source[::-1]) for source in sources]


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_other_kinds_learn_to_reverse_digits_and_are_loaded_as_they_were_saved(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    encoder, decoder = kinds
    model = Seq2Seq(encoder_type=encoder, decoder_type=decoder, **TOY)
    model.fit(reversals(2500, 1), reversals(100, 2), folder=tmp_path)
    asked = reversals(150, 3)
    answers = model.translate([source for source, _ in asked], attention=True)
    right = sum(said.tokens == target for said, (_, target) in zip(answers, asked, strict=True))
    assert right / len(asked) > 0.6
    loaded = Seq2Seq.load(tmp_path).translate([source for source, _ in asked])
    assert [said.tokens for said in loaded] == [said.tokens for said in answers]
    assert encoder in (kind := json.loads((tmp_path / "symbol.json").read_text())["network"]) and decoder in kind
    corpus = Corpus.of([([4, 5], [6]), ([4], [])], 9, 9)
    assert tally(model.network, corpus).tokens == 3


def test_the_state_of_a_convolutional_decoder_stays_as_small_as_its_window() -> None:
    options = Hyperparameters.of({"decoder_type": "cnn", "cnn_kernel_width_decoder": 3, "cnn_num_hidden": 4})
    network = Network(options, 9, 9).eval()
    memory, state = network.begin(Source.of([[4, 5], [6, 7]]))
    for place in range(5):
        assert [tuple(past.shape) for past in state.past] == [(2, 4, 2)]
        assert state.place.tolist() == [place, place]
        _, state, _ = network.step(torch.tensor([4, 5]), state, memory)


@pytest.mark.parametrize("tying", ["trg_softmax", "src_trg", "src_trg_softmax"])
def test_tied_weights_are_one_from_the_first_update_to_the_loaded_model(tying: str, tmp_path: Path) -> None:
    sizes = {"rnn_num_hidden": 8, "num_embed_source": 8, "num_embed_target": 8, "max_num_batches": 3}
    told: list[Any] = []
    model = Seq2Seq(weight_tying=tying, average_checkpoints=2, checkpoint_frequency_num_batches=1, **sizes)
    model.fit(reversals(50, 1), progress=told.append, folder=tmp_path / "model", checkpoints=tmp_path / "checkpoints")
    loaded = Seq2Seq.load(tmp_path / "model")
    for network in (model.network, loaded.network):
        encoder, decoder = network.encoder.embedding.weight, network.decoder.embedding.weight
        assert (decoder is network.decoder.output.weight) == ("softmax" in tying)
        assert (decoder is encoder) == ("src" in tying)
        untied = Network(Hyperparameters.of(sizes), 14, 14)
        spared = 14 * 8 * tying.count("_")
        assert sum(weight.numel() for weight in untied.parameters()) - spared == told[0].parameters
    torch.testing.assert_close(dict(loaded.network.state_dict()), dict(model.network.state_dict()))


def test_sources_and_targets_share_embeddings_only_if_they_share_a_vocabulary() -> None:
    model = Seq2Seq(weight_tying="src_trg", num_embed_source=8, num_embed_target=8, max_num_batches=1)
    model.source_vocabulary, model.target_vocabulary = Vocabulary.of(["a b"]), Vocabulary.of(["x y"])
    with pytest.raises(InputFault, match="weight_tying src_trg needs one vocabulary for sources and targets: make one"):
        model.fit_corpora(Corpus.of([([4], [5])], 9, 9), Corpus.of([([4], [5])], 9, 9))


def test_norms_begin_at_one_and_convolutions_within_their_own_bound() -> None:
    options = Hyperparameters.of({"encoder_type": "cnn", "decoder_type": "transformer", "cnn_num_hidden": 16})
    network = Network(options, 9, 9)
    initialise(network, options)
    assert (network.decoder.norm.weight == 1).all() and not network.decoder.norm.bias.any()
    # Each number that leaves a convolution is made of 16 channels at 3 places.
    bound = (2.34 / (16 * 3)) ** 0.5
    assert 0.9 * bound < network.encoder.layers[0].convolution.weight.abs().max() <= bound
