"""The compiled kernels of training against the text in PyTorch: results and gradients, in float32 and bfloat16."""

import ctypes
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from groundfog.algorithms.seq2seq import Seq2Seq, kernels
from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.kernels import training as compiled
from groundfog.algorithms.seq2seq.kernels.training import LinearByKernels, LSTMByKernels, UnrolledByKernels
from groundfog.algorithms.seq2seq.learning.scores import loss_of
from groundfog.algorithms.seq2seq.network.cells import lstm_gates
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.network.unrolled import Unrolled

pytestmark = pytest.mark.skipif(kernels.library("training") is None, reason="there is no C++ compiler")

PRECISIONS = [pytest.param(False, 2e-6, id="float32"), pytest.param(True, 2e-2, id="bfloat16")]
"""With what the relative error of a result or a gradient has to be within, as a norm."""

EQUAL = [([4, 5, 6], [7, 8]), ([6, 4, 4], [4, 4, 4])]
RAGGED = [([4, 5, 6], [7, 8, 8, 4]), ([6], [4, 4, 4]), ([5, 4, 4, 6, 5], [8])]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def results_and_gradients(function: Callable[..., Any], arguments: list[Tensor | None]) -> list[Tensor]:
    arguments = [None if each is None else each.detach().clone().requires_grad_() for each in arguments]
    results = function(*arguments)
    results = results if isinstance(results, tuple) else (results,)
    draw = torch.Generator().manual_seed(2)
    sum((each * torch.randn(each.shape, generator=draw)).sum() for each in results).backward()
    return [each.detach() for each in results] + [each.grad for each in arguments if each is not None]


def assert_same(found: list[Tensor], right: list[Tensor], within: float) -> None:
    for number, (one, other) in enumerate(zip(found, right, strict=True)):
        assert (one - other).norm() <= within * other.norm(), number


@pytest.mark.parametrize(("half", "within"), PRECISIONS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (64, 49, 33), (130, 96, 2100), (30, 997, 20)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["with bias", "without"])
def test_a_linear_layer_is_that_of_torch(shape: tuple[int, int, int], bias: bool, half: bool, within: float) -> None:
    rows, outputs, inputs = shape
    arguments = [torch.randn(rows, 1, inputs), torch.randn(outputs, inputs), torch.randn(outputs) if bias else None]
    found = results_and_gradients(lambda *given: LinearByKernels.apply(*given, half), arguments)
    assert_same(found, results_and_gradients(functional.linear, arguments), within)


@pytest.mark.parametrize(("half", "within"), PRECISIONS)
@pytest.mark.parametrize("width", [3, 16, 21])
def test_an_lstm_is_that_of_the_cells(width: int, half: bool, within: float) -> None:
    numbers = torch.randint(0, 8, (6, 5))

    def by_cells(rows: Tensor, of_step: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        outputs, cells = [], []
        for gates in functional.embedding(numbers, rows).unbind(0):
            hidden, cell = lstm_gates(gates + hidden @ of_step.t(), cell)[:2]
            outputs.append(hidden)
            cells.append(cell)
        return torch.stack(outputs), torch.stack(cells)

    arguments = [
        torch.randn(8, 4 * width),
        torch.randn(4 * width, width) / 3,
        torch.randn(5, width),
        torch.randn(5, width),
    ]
    found = results_and_gradients(lambda rows, *given: LSTMByKernels.apply(rows, numbers, *given, half), arguments)
    assert_same(found, results_and_gradients(by_cells, arguments), within)


def test_a_second_backward_over_what_the_first_has_overwritten_is_refused() -> None:
    rows, of_step, state = torch.randn(4, 12, requires_grad=True), torch.randn(12, 3), torch.randn(2, 3)
    outputs, _ = LSTMByKernels.apply(rows, torch.randint(0, 4, (5, 2)), of_step, state, state, False)
    outputs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


@pytest.mark.parametrize(("half", "within"), PRECISIONS)
@pytest.mark.parametrize("kind", ["mlp", "product", "projected product"])
@pytest.mark.parametrize("ragged", [False, True], ids=["equal", "ragged"])
@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
def test_the_decoders_loop_is_the_one_written_by_hand(
    kind: str, ragged: bool, dropout: bool, half: bool, within: float
) -> None:
    steps, sentences, positions, hidden, rows = 5, 7, 18, 21, 9
    width = hidden if kind == "product" else 11
    numbers, mask, kept = torch.randint(0, rows, (steps, sentences)), None, None
    if ragged:
        mask = torch.zeros(sentences, 1, positions)
        mask[1, 0, 2:] = mask[4, 0, 17:] = -torch.inf
    if dropout:
        kept = torch.bernoulli(torch.full((steps, sentences, hidden), 0.5)) * 2
    arguments = [
        torch.randn(rows, 4 * hidden),
        torch.randn(sentences, hidden),
        torch.randn(sentences, hidden),
        torch.randn(sentences, positions, width),
        torch.randn(sentences, positions, hidden),
        torch.randn(4 * hidden, 2 * hidden) / 5,
        torch.randn(hidden + (0 if kind == "product" else width), hidden) / 5,
        torch.randn(width) if kind == "mlp" else None,
    ]

    def by_kernels(rows: Tensor, *given: Tensor) -> Tensor:
        return UnrolledByKernels.apply(rows, numbers, *given[:4], mask, *given[4:], kept, half)

    def by_hand(rows: Tensor, *given: Tensor) -> Tensor:
        return Unrolled.apply(functional.embedding(numbers, rows), *given[:4], mask, *given[4:], kept)

    assert_same(results_and_gradients(by_kernels, arguments), results_and_gradients(by_hand, arguments), within)


def gradients(pairs: Any, given: dict[str, Any]) -> dict[str, Tensor]:
    options = Hyperparameters.of({"rnn_num_hidden": 8, "num_embed_source": 5, "num_embed_target": 6, **given})
    network = Network(options, 9, 10)
    initialise(network, options)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.uniform_(-0.5, 0.5)
    batch = Batch.of(Corpus.of(pairs, 100, 100), range(len(pairs)))
    loss_of(network(batch), batch.outputs).backward()
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("pairs", [EQUAL, RAGGED, RAGGED * 5], ids=["equal", "ragged", "more places than tokens"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"num_layers_encoder": 3, "rnn_residual_connections": True},
        {"num_layers_encoder": 2, "rnn_bidirectional_layers": 2},
        {"num_layers_decoder": 2},
        {"embed_dropout_source": 0.5, "embed_dropout_target": 0.5, "rnn_decoder_hidden_dropout": 0.5},
        {"rnn_attention_type": "fixed"},
        {"rnn_cell_type": "gru"},
        {"input_feeding": False},
        {"input_feeding": False, "rnn_attention_type": "dot", "num_layers_decoder": 2},
        {"input_feeding": False, "rnn_attention_type": "dot", "rnn_attention_in_upper_layers": False},
        {"input_feeding": False, "rnn_attention_type": "dot", "rnn_attention_num_hidden": 3},
        {"input_feeding": False, "rnn_attention_type": "bilinear"},
        {"encoder_type": "transformer", "transformer_model_size": 8, "decoder_type": "cnn", "cnn_num_hidden": 8},
    ],
    ids=str,
)
def test_a_networks_gradients_are_those_without_kernels(
    given: dict[str, Any], pairs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled.Dropout, "forward", nn.Dropout.forward)  # the same draws
    by_kernels = gradients(pairs, given)
    monkeypatch.setattr(kernels, "enabled", False)
    torch.testing.assert_close(by_kernels, gradients(pairs, given), atol=2e-5, rtol=1e-4)


def test_bfloat16_rounds_a_little_and_the_same_each_time() -> None:
    exact, rounded, again = (gradients(RAGGED, {"precision": name}) for name in ("float32", "bfloat16", "bfloat16"))
    assert all(torch.equal(rounded[name], again[name]) for name in rounded)
    if kernels.library("training").has_half():
        assert not all(torch.equal(exact[name], rounded[name]) for name in exact)
    assert_same(list(rounded.values()), list(exact.values()), 0.1)


def test_what_is_saved_of_a_model_learnt_in_bfloat16_is_float32(tmp_path: Path) -> None:
    model = Seq2Seq(precision="bfloat16", rnn_num_hidden=8, num_embed_source=8, num_embed_target=8, max_num_batches=2)
    model.fit([("A B", "B A"), ("B", "B")] * 8)
    model.save(tmp_path)
    again = Seq2Seq.load(tmp_path)
    assert {weight.dtype for weight in again._network.parameters()} == {torch.float32}
    assert again.translate(["A B"]) == model.translate(["A B"])


@pytest.mark.parametrize("there", [True, False], ids=["with kernels", "without"])
def test_what_becomes_of_bfloat16_is_said(
    there: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "enabled", there)
    with caplog.at_level(logging.INFO):
        compiled.note_precision(torch.device("cpu"))
    half = there and kernels.library("training").has_half()
    assert ("precision bfloat16: in the products" in caplog.text) == half
    assert ("precision float32, though" in caplog.text) == (not half)


@pytest.mark.parametrize(
    ("name", "function", "most"),
    [("exponential", torch.exp, 87.0), ("hyperbolic_tangent", torch.tanh, 20.0), ("sigmoid", torch.sigmoid, 80.0)],
)
def test_functions_of_vectors_are_right_to_a_few_last_places(
    name: str, function: Callable[[Tensor], Tensor], most: float, tmp_path: Path
) -> None:
    header = Path(kernels.__file__).parent / "vectors.h"
    (tmp_path / "functions.cpp").write_text(
        f'#include "{header}"\n'
        'extern "C" void apply(float* x, long count) {\n'
        f"    for (long at = 0; at < count; at += LANES) store(x + at, {name}(load(x + at)));\n}}\n"
    )
    library = ctypes.CDLL(str(kernels._compile(tmp_path / "functions.cpp", tmp_path / "functions.so")))
    around = torch.linspace(-1, 1, 80_000).pow(3) * most  # many near 0
    found = around.clone()
    library.apply(ctypes.c_void_p(found.data_ptr()), ctypes.c_long(len(found)))
    right = function(around.double())
    assert ((found - right).abs() <= 4e-7 * right.abs()).all()


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_draws_as_often_as_it_should_and_what_the_seed_says(probability: float) -> None:
    dropout, ones = compiled.Dropout(probability), torch.ones(1000, 1000, requires_grad=True)
    torch.manual_seed(5)
    first, second = dropout(ones), dropout(ones)
    torch.manual_seed(5)
    assert torch.equal(dropout(ones), first)
    assert not torch.equal(second, first)
    for kept in (first, second):
        assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
        for over in (0, 1):
            # Rows and columns alike: 5 standard deviations of a mean of 1000.
            spread = 5 * (probability / (1 - probability) / 1000) ** 0.5
            assert (kept.mean(over) - 1).abs().max() < spread
    # No draw knows its neighbour's.
    together = (first[:, 1:] == 0) & (first[:, :-1] == 0)
    assert together.float().mean().item() == pytest.approx(probability**2, abs=0.005)
    first.sum().backward()
    assert torch.equal(ones.grad, first.detach())


def test_dropout_of_all_or_of_nothing_is_torchs() -> None:
    ones = torch.ones(3, requires_grad=True)
    assert torch.equal(compiled.Dropout(0.0)(ones), ones)
    assert torch.equal(compiled.Dropout(1.0)(ones), torch.zeros(3))
    assert torch.equal(compiled.Dropout(0.5).eval()(ones), ones)


def test_what_is_no_number_stays_none() -> None:
    inputs, weight = torch.full((3, 4), torch.nan), torch.randn(5, 4)
    for half in (False, True):
        assert LinearByKernels.apply(inputs, weight, None, half).isnan().all()
