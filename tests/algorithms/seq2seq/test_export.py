"""An exported model says what the model says, without us."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundfog.algorithms.seq2seq import Ensemble, InputFault, Seq2Seq, Vocabulary
from groundfog.algorithms.seq2seq.data.tokenizer import Tokenizers
from groundfog.algorithms.seq2seq.export.translate import Model, Text
from groundfog.algorithms.seq2seq.network.network import initialise

Pairs = list[tuple[list[str], list[str]]]


def assert_both_say_the_same(model: Seq2Seq | Ensemble, exported: Model, sources: list[list[str]]) -> None:
    ours = model.translate(sources, beam_size=1, attention=True)
    for one, (tokens, score, attention) in zip(ours, exported.translate(sources), strict=True):
        assert tokens == one.tokens
        assert score == pytest.approx(one.score, abs=1e-4)
        assert one.attention is not None
        assert attention.shape == one.attention.shape
        assert np.allclose(attention, one.attention, atol=1e-4)


@pytest.fixture(scope="module")
def exported(reverser: Seq2Seq, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    reverser.export_onnx(folder)
    return folder


def test_an_exported_model_says_the_same_in_batches_of_any_lengths(
    reverser: Seq2Seq, exported: Path, held_out: Pairs
) -> None:
    sources = [source for source, _ in held_out]
    model = Model(exported)
    assert_both_say_the_same(reverser, model, [*sources, [], ["?"], ["1"] * 150])
    for few in (sources[:1], [["7"]], sources[5:7]):
        assert_both_say_the_same(reverser, model, few)


def test_an_exported_model_runs_without_torch_and_without_groundfog(exported: Path) -> None:
    names = {
        "encoder.onnx",
        "decoder_step.onnx",
        "vocab.src.json",
        "vocab.trg.json",
        "config",
        "translate.py",
        "README.md",
    }
    assert {file.name for file in exported.iterdir()} == names
    program = (
        "import runpy, sys\n"
        f"runpy.run_path({str(exported / 'translate.py')!r}, run_name='__main__')\n"
        "assert not {'torch', 'groundfog'} & {name.split('.')[0] for name in sys.modules}"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program], input="1 2 3\n\n5 6\n", capture_output=True, text=True, cwd=exported
    )
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "3 2 1\n\n6 5\n")


def test_how_raw_text_becomes_tokens_goes_along(digits: Pairs, small: dict[str, Any], tmp_path: Path) -> None:
    model = Seq2Seq(**{**small, "rnn_num_hidden": 8, "max_num_batches": 1, "encoder_type": "cnn", "cnn_num_hidden": 4})
    raw = [("".join(source), "".join(target)) for source, target in digits[:100]]
    model.fit(raw, tokens="character")
    model.export_onnx(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["source"]["kind"] == "character"
    assert_both_say_the_same(model, Model(tmp_path), [list("123"), list("98765")])


TEXTS = ["It's 30.", "  two  blanks ", "", "▁ and ￭!", "cafe\u0301 e\u0301.", "x_y 10km ...", "日本 3,5"]


@pytest.mark.parametrize("kind", ["blank", "character", "word", "sentencepiece", "sentencepiece-bpe"])
def test_raw_text_is_read_and_said_as_the_model_does(kind: str) -> None:
    learnt = Tokenizers.learn(kind, [(text, text) for text in TEXTS], size=60)
    text = Text(**json.loads(learnt.text())["source"])
    for each in TEXTS:
        tokens = learnt.source.split(each)
        assert text.split(each) == tokens
        assert text.join(tokens) == learnt.source.join(tokens)


def test_what_is_missing_is_said(reverser: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.export.writing.find_spec", lambda name: None)
    with pytest.raises(InputFault, match=r"pip install 'groundfog\[onnx\]'"):
        reverser.export_onnx(tmp_path)


KINDS: list[dict[str, Any]] = [
    {"rnn_cell_type": "gru", "rnn_attention_type": "dot"},
    {
        "num_layers_encoder": 3,
        "rnn_bidirectional_layers": 2,
        "num_layers_decoder": 3,
        "rnn_residual_connections": True,
        "rnn_attention_type": "bilinear",
        "rnn_decoder_state_init": "avg",
    },
    {
        "rnn_cell_type": "gru",
        "num_layers_encoder": 2,
        "num_layers_decoder": 2,
        "rnn_attention_type": "fixed",
        "rnn_attention_in_upper_layers": False,
        "rnn_decoder_state_init": "zero",
    },
    {"input_feeding": False, "num_layers_decoder": 2, "rnn_attention_num_hidden": 7},
    {"rnn_attention_type": "dot", "rnn_attention_num_hidden": 7, "weight_tying": "src_trg_softmax"},
    {"encoder_type": "cnn", "decoder_type": "cnn", "num_layers_encoder": 2, "num_layers_decoder": 2},
    {"encoder_type": "transformer", "decoder_type": "transformer", "num_layers_decoder": 2},
    {"encoder_type": "rnn", "decoder_type": "transformer"},
    {"encoder_type": "cnn", "decoder_type": "rnn", "cnn_activation_type": "softrelu"},
    {"encoder_type": "transformer", "decoder_type": "cnn", "cnn_kernel_width_decoder": 3},
    {"encoder_type": "rnn", "decoder_type": "cnn", "cnn_kernel_width_decoder": 1},
]


@pytest.mark.slow
@pytest.mark.parametrize("given", KINDS, ids=str)
@pytest.mark.parametrize("tokens", [10, 5000], ids=["few tokens", "many tokens"])
def test_every_kind_of_network_can_be_exported(given: dict[str, Any], tokens: int, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"rnn_num_hidden": 16, "cnn_num_hidden": 14, "transformer_model_size": 16}
    embedded = {"num_embed_source": 16, "num_embed_target": 16, "transformer_feed_forward_num_hidden": 20}
    model = Seq2Seq(**sizes, **embedded, **given, max_seq_len_target=15, weight_init_scale=6.0)
    vocabulary = Vocabulary.of([[f"t{number}" for number in range(tokens)]])
    model.source_vocabulary = model.target_vocabulary = vocabulary
    _make_up_weights(model)
    model.export_onnx(tmp_path)
    draw = random.Random(3)
    sources = [[f"t{draw.randrange(tokens)}" for _ in range(draw.choice([1, 2, 3, 5, 8, 13]))] for _ in range(60)]
    exported = Model(tmp_path)
    assert_both_say_the_same(model, exported, sources)
    assert_both_say_the_same(model, exported, sources[:1])


@pytest.mark.slow
def test_an_ensemble_of_any_kinds_can_be_exported(untrained: Callable[..., Seq2Seq], tmp_path: Path) -> None:
    members = [
        untrained(1, max_seq_len_source=5),
        untrained(2, encoder_type="cnn", decoder_type="transformer", cnn_num_hidden=4, transformer_model_size=8),
        untrained(3, encoder_type="transformer", rnn_cell_type="gru", rnn_num_hidden=12, max_seq_len_target=9),
    ]
    ensemble = Ensemble(members)
    ensemble.export_onnx(tmp_path)
    sources = [text.split() for text in ["a b c", "d", "a a b b c d", "", "b a", "d d c c b b a a"]]
    assert_both_say_the_same(ensemble, Model(tmp_path), sources)
    assert_both_say_the_same(ensemble, Model(tmp_path), sources[:1])


def _make_up_weights(model: Seq2Seq) -> None:
    """Random ones, biases too, so that nothing that is left out goes unnoticed."""
    network = model._outline().to_empty(device="cpu")
    initialise(network, model.hyperparameters)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter += torch.randn(parameter.shape, generator=generator) * 0.3
    model._network = network.eval()
