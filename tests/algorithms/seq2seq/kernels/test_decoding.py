"""Search in compiled steps: against the same search in PyTorch, and against itself."""

import math
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Seq2Seq, kernels
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.kernels import decoding
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.search.alignment import forced
from groundfog.algorithms.seq2seq.search.beam import Hypothesis, search_all

pytestmark = pytest.mark.skipif(kernels.library("decoding") is None, reason="there is no compiler")

TOKENS = 9
OPTIONS = st.fixed_dictionaries(
    {
        "rnn_num_hidden": st.sampled_from([2, 10, 16, 38]),
        "num_embed_source": st.sampled_from([5, 16, 38]),
        "num_embed_target": st.sampled_from([3, 16]),
        "rnn_attention_type": st.sampled_from(["mlp", "dot", "bilinear", "fixed"]),
        "rnn_attention_num_hidden": st.sampled_from([None, 7, 32]),
        "rnn_attention_in_upper_layers": st.booleans(),
        "rnn_residual_connections": st.booleans(),
        "rnn_first_residual_layer": st.integers(1, 3),
        "rnn_decoder_state_init": st.sampled_from(["last", "avg", "zero"]),
        "num_layers_encoder": st.integers(1, 3),
        "num_layers_decoder": st.integers(1, 3),
        "rnn_bidirectional_layers": st.integers(1, 2),
        "input_feeding": st.booleans(),
        "weight_init_scale": st.sampled_from([2.34, 9.0]),
        "seed": st.integers(0, 1000),
    }
).filter(lambda options: options["rnn_bidirectional_layers"] <= options["num_layers_encoder"])
SOURCES = st.lists(st.lists(st.integers(1, TOKENS - 1), max_size=9), min_size=1, max_size=12)


def network_of(options: dict[str, Any], tokens: int) -> Network:
    chosen = Hyperparameters.of(options)
    network = Network(chosen, TOKENS, tokens)
    initialise(network, chosen)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(len(parameter)))
    return network.eval()


@contextmanager
def no_compiler() -> Iterator[None]:
    kernels.enabled = False
    try:
        yield
    finally:
        kernels.enabled = True


def in_pytorch(*arguments: Any, **options: Any) -> list[Hypothesis]:
    with no_compiler():
        return search_all(*arguments, **options)


def assert_same(found: Hypothesis, expected: Hypothesis) -> None:
    assert found.ids == expected.ids
    assert found.score == pytest.approx(expected.score, abs=2e-5)
    assert found.log_probability == pytest.approx(expected.log_probability, abs=2e-4)
    assert found.attention is not None
    assert expected.attention is not None
    np.testing.assert_allclose(found.attention, expected.attention, atol=2e-5)
    for one, other in zip(found.alternatives, expected.alternatives, strict=True):
        assert one.ids == other.ids


@settings(max_examples=40, deadline=None)
@given(
    *(OPTIONS, SOURCES, st.integers(5, 40), st.integers(1, 6), st.integers(0, 12), st.sampled_from([0.0, 0.6, 1.0])),
    st.sampled_from([math.inf, 0.0, 0.3, 2.0]),
)
def test_it_finds_what_the_search_in_pytorch_finds(
    options: dict[str, Any],
    sources: list[list[int]],
    tokens: int,
    width: int,
    longest: int,
    alpha: float,
    threshold: float,
) -> None:
    network = network_of(options, tokens)
    nbest = 1 + width // 2 if threshold == math.inf else 1
    wanted = {"width": width, "longest": longest, "alpha": alpha, "nbest": nbest, "threshold": threshold}
    wanted["attention"] = True
    assert decoding.of(network) is not None
    for found, expected in zip(
        search_all(network, sources, **wanted), in_pytorch(network, sources, **wanted), strict=True
    ):
        assert_same(found, expected)


@settings(max_examples=40, deadline=None)
@given(OPTIONS, SOURCES, st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=5), st.randoms())
def test_given_targets_are_as_probable_as_in_pytorch(
    options: dict[str, Any], sources: list[list[int]], targets: list[list[int]], draw: random.Random
) -> None:
    network = network_of(options, 8)
    # Several targets of one source, and one target of several sources.
    pairs = [(draw.choice(sources), draw.choice(targets)) for _ in range(20)]
    found = forced(network, pairs, 0.5)
    with no_compiler():
        expected = forced(network, pairs, 0.5)
    alone = [forced(network, [pair], 0.5)[0] for pair in pairs]
    for one, other, by_itself in zip(found, expected, alone, strict=True):
        assert_same(one, other)
        assert by_itself.score == one.score
        assert np.array_equal(by_itself.attention, one.attention)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(OPTIONS, SOURCES, st.integers(1, 6), st.randoms(use_true_random=False))
def test_neighbours_and_order_change_no_bit(
    options: dict[str, Any], sources: list[list[int]], width: int, shuffled: random.Random
) -> None:
    network = network_of(options, 30)
    together = search_all(network, sources, width=width, longest=8, attention=True)
    order = list(range(len(sources)))
    shuffled.shuffle(order)
    again = search_all(network, [sources[place] for place in order], width=width, longest=8, attention=True)
    alone = [search_all(network, [source], width=width, longest=8, attention=True)[0] for source in sources]
    for place, found in zip([*order, *range(len(sources))], again + alone, strict=True):
        assert found.ids == together[place].ids
        assert found.score == together[place].score
        assert np.array_equal(found.attention, together[place].attention)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    options=OPTIONS,
    draw=st.randoms(use_true_random=False),
    width=st.integers(2, 6),
    longest=st.sampled_from([2, 5, 9]),
    alpha=st.sampled_from([0.0, 1.0, 2.0]),
    data=st.data(),
)
def test_among_so_many_that_hopeless_hypotheses_are_left_out_a_source_has_the_same_answers(
    options: dict[str, Any], draw: random.Random, width: int, longest: int, alpha: float, data: st.DataObject
) -> None:
    network = network_of(options, 12)
    with torch.no_grad():
        # As sure of what comes next as a learnt one is; else none is hopeless.
        network.decoder.output.weight.mul_(data.draw(st.sampled_from([5, 20])))
    wanted = {"width": width, "longest": longest, "alpha": alpha, "nbest": data.draw(st.integers(1, width))}
    sources = [[draw.randrange(1, TOKENS) for _ in range(draw.randint(1, 6))] for _ in range(50)]
    together = search_all(network, sources, **wanted)
    # Alone all hypotheses take their steps at once: none is known to be hopeless.
    assert [search_all(network, [source], **wanted)[0] for source in sources] == together
    for found, expected in zip(together, in_pytorch(network, sources, **wanted), strict=True):
        assert found.score == pytest.approx(expected.score, abs=1e-3)


def test_more_rows_than_are_multiplied_at_a_time_change_no_bit() -> None:
    network = network_of({"rnn_num_hidden": 512, "weight_init_scale": 9.0}, 30)
    draw = random.Random(1)
    sources = [[draw.randrange(1, TOKENS) for _ in range(9)] for _ in range(64)]
    together = search_all(network, sources, width=5, longest=3)
    assert [search_all(network, [source], width=5, longest=3)[0] for source in sources[::9]] == together[::9]


@pytest.mark.parametrize("residual", [False, True])
def test_a_large_vocabulary_needs_no_tables(residual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_MOST_IN_TABLE", 1)
    network = network_of(
        {
            "rnn_num_hidden": 20,
            "num_embed_source": 20,
            "num_embed_target": 6,
            "rnn_residual_connections": residual,
            "rnn_first_residual_layer": 1,
        },
        50,
    )
    sources = [[4, 5, 6, 7], [8], [4, 4, 5]]
    for found, expected in zip(
        search_all(network, sources, width=3, longest=9, attention=True),
        in_pytorch(network, sources, width=3, longest=9, attention=True),
        strict=True,
    ):
        assert_same(found, expected)


def test_weights_that_changed_are_searched_with() -> None:
    network = network_of({"rnn_num_hidden": 16, "seed": 1}, 30)
    other = network_of({"rnn_num_hidden": 16, "seed": 2}, 30)
    sources = [[4, 5, 6], [7, 8]]
    first = search_all(network, sources, width=2, longest=7)
    network.load_state_dict(other.state_dict())
    changed = search_all(network, sources, width=2, longest=7)
    assert [each.score for each in changed] != [each.score for each in first]
    assert [each.score for each in changed] == [each.score for each in search_all(other, sources, width=2, longest=7)]


def test_rounded_to_bfloat16_it_is_nearly_the_same_and_neighbours_change_no_bit() -> None:
    options = {"rnn_num_hidden": 38, "num_embed_source": 21, "seed": 3}
    sources = [[4, 5, 6, 7, 8], [8], [4, 4, 5], [7, 6]]
    exact, rounded = (network_of({**options, "precision": name}, 50) for name in ("float32", "bfloat16"))
    expected = search_all(exact, sources, width=2, longest=7)
    found = search_all(rounded, sources, width=2, longest=7)
    for source, one, other in zip(sources, expected, found, strict=True):
        assert other.score == pytest.approx(one.score, abs=0.02)
        assert other == search_all(rounded, [source], width=2, longest=7)[0]


def test_what_is_made_of_the_weights_is_small() -> None:
    network = network_of({"rnn_num_hidden": 128, "num_embed_source": 128, "num_embed_target": 128}, 90)
    compiled = decoding.of(network)
    assert compiled is not None
    made = sum(held.nbytes for held in compiled._held if isinstance(held, torch.Tensor))
    assert made < 0.3 * sum(weight.nbytes for weight in network.parameters())


def in_memory(file: Path) -> float:
    """The share of a mapped file that is in this process's memory."""
    text = Path("/proc/self/smaps").read_text()
    return float(re.search(rf"{file}\n.*?\nRss: +(\d+)", text, re.DOTALL)[1]) * 1024 / file.stat().st_size


def test_a_loaded_models_matrices_are_not_in_memory_beside_their_rounded_copies(tmp_path: Path) -> None:
    if subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True).stdout.strip() == "tmpfs":
        pytest.skip("what lies in memory alone cannot be left to its file")
    made = Seq2Seq(rnn_num_hidden=256, num_embed_source=64, num_embed_target=64, max_num_batches=1)
    made.fit([("a b", "c")] * 2, [("a", "c")], folder=tmp_path)
    network = Seq2Seq.load(tmp_path).network
    network.decoder.output.weight.detach().add_(1)
    # Only a processor that has bfloat16 would search with it.
    rounding = SimpleNamespace(has_half=lambda: 1, search=SimpleNamespace(), tell=SimpleNamespace(), release=None)
    decoding.Compiled(network.encoder, network.decoder, [], rounding, half=True)
    assert in_memory(tmp_path / "params.best") < 0.4
    for name, weight in made.network.state_dict().items():
        assert torch.equal(network.state_dict()[name], weight + (name == "decoder.output.weight")), name
    assert in_memory(tmp_path / "params.best") > 0.9


@pytest.mark.parametrize(
    "options", [{"rnn_cell_type": "gru"}, {"encoder_type": "cnn", "decoder_type": "cnn", "cnn_num_hidden": 16}]
)
def test_other_networks_are_searched_with_in_pytorch(options: dict[str, Any]) -> None:
    network = network_of({"rnn_num_hidden": 16, **options}, 12)
    assert decoding.of(network) is None
    assert len(search_all(network, [[4, 5]], width=2, longest=3)[0].ids) <= 3


def test_in_training_mode_there_is_nothing_compiled() -> None:
    assert decoding.of(network_of({"rnn_num_hidden": 16}, 12).train()) is None


def test_an_id_outside_of_the_vocabulary_is_refused() -> None:
    network = network_of({"rnn_num_hidden": 16}, 12)
    for outside in (TOKENS, -1):
        with pytest.raises(IndexError):
            search_all(network, [[4, outside]], width=1, longest=3)
    for outside in (12, -1):
        with pytest.raises(IndexError):
            forced(network, [([4], [4, outside])])


def test_numbers_that_are_none_end_the_search() -> None:
    network = network_of({"rnn_num_hidden": 16}, 12)
    with torch.no_grad():
        network.decoder.output.weight.fill_(torch.nan)
    found = search_all(network, [[4, 5]], width=3, longest=4, nbest=2, attention=True)
    assert found[0].ids == []


def test_a_learnt_model_says_the_same_with_and_without_the_compiler(
    reverser: Seq2Seq, held_out: list[tuple[list[str], list[str]]]
) -> None:
    sources = [source for source, _ in held_out]
    compiled = reverser.translate(sources, beam_size=4)
    with no_compiler():
        plain = reverser.translate(sources, beam_size=4)
    assert [each.tokens for each in compiled] == [each.tokens for each in plain]
