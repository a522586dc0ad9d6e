"""What the library promises: it learns, keeps, goes on, and says what is wrong."""

import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from groundfog.algorithms.seq2seq import Checkpoint, Finished, InputFault, Progress, Seq2Seq, Started
from groundfog.algorithms.seq2seq.data.vocabulary import PAD
from groundfog.algorithms.seq2seq.learning.checkpoint import write_tensors
from groundfog.algorithms.seq2seq.learning.optimizer import Schedule, clip
from groundfog.algorithms.seq2seq.learning.scores import error_rates, loss_of, smoothed_loss_of

Pairs = list[tuple[list[str], list[str]]]


def wrong_share(model: Seq2Seq, pairs: Pairs) -> float:
    said = model.translate([source for source, _ in pairs], beam_size=1)
    return error_rates([each.tokens for each in said], [[target] for _, target in pairs]).sequence


def test_it_learns_to_reverse_digits_to_under_five_percent_error(reverser: Seq2Seq, held_out: Pairs) -> None:
    assert wrong_share(reverser, held_out) < 0.05


def test_attention_goes_backwards_when_digits_are_reversed(reverser: Seq2Seq) -> None:
    (found,) = reverser.translate(["1 2 3 4 5 6"], attention=True)
    assert found.target == "6 5 4 3 2 1"
    assert found.attention is not None
    assert found.attention.shape == (6, 6)
    assert found.attention.sum(1) == pytest.approx([1] * 6, abs=1e-5)
    # The focus may lie beside the token, since a state of the encoder knows its neighbours; it has to move to the left.
    focus = (found.attention * range(6)).sum(1)
    assert all(later < earlier for earlier, later in itertools.pairwise(focus))


def test_batches_and_their_order_change_no_answer(reverser: Seq2Seq, held_out: Pairs) -> None:
    sources = [source for source, _ in held_out[:40]]
    together = [each.target for each in reverser.translate(sources)]
    assert [reverser.translate([source])[0].target for source in sources] == together
    assert [each.target for each in reverser.translate(sources[::-1])][::-1] == together


def test_a_fresh_process_says_the_same_from_the_saved_folder(
    reverser: Seq2Seq, reverser_folder: Path, held_out: Pairs
) -> None:
    sources = [" ".join(source) for source, _ in held_out[:20]]
    program = (
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from groundfog.algorithms.seq2seq import Seq2Seq\n"
        "found = Seq2Seq.load(sys.argv[1]).translate(json.loads(sys.argv[2]))\n"
        "print(json.dumps([[each.target, each.score] for each in found]))"
    )
    command = [sys.executable, "-c", program, str(reverser_folder), json.dumps(sources)]
    answered = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert answered == [[each.target, each.score] for each in reverser.translate(sources)]


def test_weights_begin_with_a_line_of_the_cache_where_their_file_is_mapped(tmp_path: Path) -> None:
    tensors = {name: torch.rand(shape) for name, shape in (("odd", (3,)), ("even", (5, 32)), ("also", (16,)))}
    write_tensors(tmp_path / "some", tensors, {"format": "x"})
    read = load_file(tmp_path / "some")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    assert [name for name in read if read[name].data_ptr() % 64] == []


def test_a_saved_folder_has_the_names_of_the_original(reverser_folder: Path) -> None:
    names = {file.name for file in reverser_folder.iterdir()}
    assert names == {"params.best", "symbol.json", "config", "version", "vocab.src.json", "vocab.trg.json"}


def test_empty_and_unknown_and_overlong_sentences_are_answered(reverser: Seq2Seq) -> None:
    empty, unknown, long = reverser.translate([[], ["?"], ["1"] * 300], attention=True)
    assert empty.target == ""
    assert unknown.attention is not None
    assert long.attention is not None
    assert long.attention.shape[1] == 100


@pytest.fixture
def quick(small: dict[str, Any]) -> dict[str, Any]:
    return {**small, "rnn_num_hidden": 16, "checkpoint_frequency_num_batches": 5, "max_num_batches": 12}


def weights_of(model: Seq2Seq) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.network.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("given", [{}, {"embed_dropout_source": 0.3, "rnn_decoder_hidden_dropout": 0.3}], ids=str)
def test_the_same_seed_makes_the_same_model_and_another_one_another(
    given: dict[str, Any], quick: dict[str, Any], digits: Pairs
) -> None:
    models = [Seq2Seq(**quick, **given, seed=seed) for seed in (3, 3, 4)]
    for model in models:
        model.fit(digits[:600])
    first, again, other = (weights_of(model) for model in models)
    assert same(first, again)
    assert not same(first, other)


VARIANTS: list[dict[str, Any]] = [
    {"embed_dropout_target": 0.2},
    {"optimizer_type": "sgd", "momentum": 0.9, "learning_rate": 0.1},
    {"optimizer_type": "sgd", "learning_rate": 0.1},
    {"optimizer_type": "rmsprop", "learning_rate": 0.001},
    {"lr_scheduler_type": "plateau_reduce", "plateau_reduce_lr_threshold": 1, "optimized_metric": "accuracy"},
    {"average_checkpoints": 2, "checkpoint_frequency_num_batches": 2, "label_smoothing": 0.1},
    {"lr_scheduler_type": "linear", "warmup_num_batches": 4},
]


@pytest.mark.parametrize("given", VARIANTS, ids=str)
@pytest.mark.parametrize("after", [3, 10])
def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(
    given: dict[str, Any],
    after: int,
    quick: dict[str, Any],
    digits: Pairs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.learning.train.REPORT_EVERY", 1)
    options = {**quick, **given}

    def curve(model: Seq2Seq, stop_after: int | None, checkpoints: Path | None) -> list[tuple[Any, ...]]:
        stop = threading.Event()
        told: list[tuple[Any, ...]] = []

        def listen(record: Any) -> None:
            if isinstance(record, Progress):
                told.append((record.updates, record.epoch, record.perplexity, record.accuracy, record.learning_rate))
                if record.updates == stop_after:
                    stop.set()
            if isinstance(record, Checkpoint):
                told.append((record.number, record.improved, record.metrics["perplexity-val"], record.learning_rate))

        model.fit(digits[:600], digits[600:650], progress=listen, stop=stop, checkpoints=checkpoints)
        return told

    whole, first, second = Seq2Seq(**options), Seq2Seq(**options), Seq2Seq(**options)
    uninterrupted = curve(whole, None, None)
    assert curve(first, after, tmp_path) + curve(second, None, tmp_path) == uninterrupted
    assert same(weights_of(whole), weights_of(second))


def test_a_finished_training_is_not_begun_again(quick: dict[str, Any], digits: Pairs, tmp_path: Path) -> None:
    told: list[Any] = []
    for _ in range(2):
        told.clear()
        Seq2Seq(**quick).fit(digits[:600], progress=told.append, checkpoints=tmp_path)
    assert [type(record) for record in told] == [Started, Finished]


def test_a_checkpoint_of_another_training_is_refused(quick: dict[str, Any], digits: Pairs, tmp_path: Path) -> None:
    Seq2Seq(**quick).fit(digits[:600], checkpoints=tmp_path)
    with pytest.raises(InputFault, match=r"other hyperparameters \(learning_rate\)"):
        Seq2Seq(**{**quick, "learning_rate": 0.1}).fit(digits[:600], checkpoints=tmp_path)
    with pytest.raises(InputFault, match=r"written on 5\d\d training pairs and there are 6\d\d now"):
        Seq2Seq(**quick).fit(digits[:700], checkpoints=tmp_path)


def test_the_best_parameters_are_kept_and_not_the_last(small: dict[str, Any], digits: Pairs, tmp_path: Path) -> None:
    options = {**small, "learning_rate": 0.3, "checkpoint_frequency_num_batches": 4, "clip_gradient": -1}
    told: list[Checkpoint] = []

    def listen(record: Any) -> None:
        if isinstance(record, Checkpoint):
            told.append(record)

    finished = Seq2Seq(**options).fit(digits[:500], digits[500:600], progress=listen, folder=tmp_path)
    best = min(told, key=lambda record: record.metrics["perplexity-val"])
    assert (finished.best_checkpoint, finished.best) == (best.number, best.metrics["perplexity-val"])
    assert told[-1].not_improved == 3
    assert len(told) == best.number + 3


@pytest.mark.parametrize(
    "learner",
    [{"optimizer_type": "adam"}, {"optimizer_type": "sgd"}, {"optimizer_type": "rmsprop"}, {"num_processes": 2}],
)
def test_what_is_decoded_at_a_checkpoint_is_what_its_weights_say(
    learner: dict[str, Any], quick: dict[str, Any], digits: Pairs, tmp_path: Path
) -> None:
    """A fused optimizer does not count up the versions of what it changes, by which search knows that it has."""
    said: list[list[str] | None] = []

    def listen(record: Any) -> None:
        if isinstance(record, Checkpoint):
            said.append(record.outputs)

    options = {"bleu_sample_size": -1, "max_num_batches": 45, "learning_rate": 0.01}
    options["checkpoint_frequency_num_batches"] = 15
    model = Seq2Seq(**{**quick, **options, **learner})
    model.fit(digits[:200], validation=digits[:40], progress=listen, folder=tmp_path)
    loaded = Seq2Seq.load(tmp_path)
    assert len(said) == 3
    assert [each.target for each in loaded.translate([source for source, _ in digits[:40]])] in said[-1:]


def test_a_training_that_is_stopped_at_once_leaves_a_model(
    quick: dict[str, Any], digits: Pairs, tmp_path: Path
) -> None:
    stop = threading.Event()
    stop.set()
    assert Seq2Seq(**quick).fit(digits[:100], stop=stop, folder=tmp_path).stopped
    assert len(Seq2Seq.load(tmp_path).translate(["1 2 3"])) == 1


def test_epochs_are_counted_and_limited(quick: dict[str, Any], digits: Pairs) -> None:
    told: list[Checkpoint] = []
    model = Seq2Seq(**{**quick, "max_num_batches": -1, "max_num_epochs": 2})
    model.fit(
        digits[:640],
        digits[:64],
        progress=lambda record: told.append(record) if isinstance(record, Checkpoint) else None,
    )
    assert told[-1].samples == 1280


def test_an_exploding_loss_says_what_to_lower(small: dict[str, Any], digits: Pairs) -> None:
    model = Seq2Seq(**{**small, "optimizer_type": "sgd", "learning_rate": 1e30, "clip_gradient": -1})
    with pytest.raises(InputFault, match="lower learning_rate"):
        model.fit(digits[:600])


def test_what_is_no_model_is_refused_by_what_is_missing(reverser_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputFault, match=r"config, params\.best"):
        Seq2Seq.load(tmp_path)
    for file in reverser_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "params.best").write_bytes(b"\x80\x04pickle.")
    with pytest.raises(InputFault, match="unreadable"):
        Seq2Seq.load(tmp_path)


def test_a_config_that_asks_for_more_than_the_weights_are_is_refused_before_memory_is_taken(
    reverser_folder: Path, tmp_path: Path
) -> None:
    for file in reverser_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config").read_text())
    (tmp_path / "config").write_text(json.dumps({**config, "rnn_num_hidden": 1_000_000}))
    with pytest.raises(InputFault, match=r"params\.best does not fit config"):
        Seq2Seq.load(tmp_path)


SHAPES: list[dict[str, Any]] = [
    {"rnn_attention_type": "dot", "bucketing_enabled": False},
    {"rnn_attention_type": "bilinear", "rnn_cell_type": "gru", "rnn_decoder_state_init": "avg"},
    {"rnn_attention_type": "fixed", "rnn_decoder_state_init": "zero", "embed_dropout_source": 0.5},
    {"num_layers_encoder": 2, "num_layers_decoder": 3, "rnn_residual_connections": True, "weight_decay": 0.01},
    {"num_layers_decoder": 2, "rnn_attention_in_upper_layers": False, "rnn_decoder_hidden_dropout": 0.5},
    {"weight_init_type": "uniform", "weight_init_scale": 0.1, "rnn_attention_num_hidden": 5},
]


@pytest.mark.parametrize("given", SHAPES, ids=str)
def test_every_shape_of_network_learns_something_and_is_loaded_as_it_was_saved(
    given: dict[str, Any], quick: dict[str, Any], digits: Pairs, tmp_path: Path
) -> None:
    told: list[Checkpoint] = []
    model = Seq2Seq(**{**quick, "max_num_batches": 30}, **given)
    model.fit(
        digits[:600],
        digits[600:650],
        progress=lambda record: told.append(record) if isinstance(record, Checkpoint) else None,
        folder=tmp_path,
    )
    # Guessing among ten digits and the end is a perplexity of 11, among the fixed tokens too one of 14.
    assert told[-1].metrics["perplexity-val"] < 11
    sources = [source for source, _ in digits[:10]]
    loaded = Seq2Seq.load(tmp_path)
    assert [each.target for each in loaded.translate(sources)] == [each.target for each in model.translate(sources)]


@pytest.mark.parametrize("kind", ["dot", "bilinear"])
def test_other_attentions_learn_to_reverse_digits_too(kind: str, small: dict[str, Any], digits: Pairs) -> None:
    short = [(source[:4], source[:4][::-1]) for source, _ in digits]
    model = Seq2Seq(**{**small, "rnn_attention_type": kind, "max_num_batches": 200})
    model.fit(short[:-200], short[-200:])
    assert wrong_share(model, short[-200:]) < 0.05


def test_learning_from_nothing_is_refused(quick: dict[str, Any]) -> None:
    with pytest.raises(InputFault, match="no training pairs"):
        Seq2Seq(**quick).fit([])


def rates(improved: list[bool], **given: Any) -> list[float]:
    schedule = Schedule(Seq2Seq(learning_rate=1, checkpoint_frequency_num_batches=10, **given).hyperparameters)
    told = [schedule.rate(0)]
    for number, better in enumerate(improved, start=1):
        schedule.checkpoint(better)
        told.append(schedule.rate(number * 10))
    return told


def test_schedules_are_those_of_the_documentation() -> None:
    plateau = rates([False, False, True, False, False], plateau_reduce_lr_threshold=2, plateau_reduce_lr_factor=0.1)
    assert plateau == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01])
    by_time = rates([False] * 4, lr_scheduler_type="fixed_rate_inv_t", fixed_rate_lr_half_life=2)
    assert by_time == pytest.approx([1, 1 / 1.5, 1 / 2, 1 / 2.5, 1 / 3])
    by_root = rates([True] * 2, lr_scheduler_type="fixed_rate_inv_sqrt_t", fixed_rate_lr_half_life=2)
    assert by_root == pytest.approx([1, 2.5**-0.5, 0.5])


def test_a_linear_schedule_ends_at_zero_and_a_warm_up_begins_there() -> None:
    def told(last_update: int | None, **given: Any) -> list[float]:
        schedule = Schedule(Seq2Seq(learning_rate=1, max_num_batches=10, **given).hyperparameters, last_update)
        return [schedule.rate(updates) for updates in range(11)]

    assert told(10, lr_scheduler_type="linear") == pytest.approx([each / 10 for each in range(10, -1, -1)])
    risen = told(10, lr_scheduler_type="linear", warmup_num_batches=5)
    assert risen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])
    for other in ("plateau_reduce", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t"):
        cold, warm = told(None, lr_scheduler_type=other), told(None, lr_scheduler_type=other, warmup_num_batches=5)
        assert warm[:4] == pytest.approx([rate * part for rate, part in zip(cold, (0.2, 0.4, 0.6, 0.8), strict=False)])
        assert warm[4:] == cold[4:]


@pytest.mark.parametrize("limit", [{"max_num_batches": 8}, {"max_num_batches": -1, "max_num_epochs": 1}], ids=str)
def test_a_linear_schedule_knows_when_the_training_ends(
    limit: dict[str, Any], quick: dict[str, Any], digits: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.learning.train.REPORT_EVERY", 1)
    told: list[Any] = []
    model = Seq2Seq(**{**quick, **limit, "lr_scheduler_type": "linear"})
    model.fit(digits[:512], digits[:20], progress=told.append)
    rates = [record.learning_rate for record in told if isinstance(record, Progress)]
    assert rates == pytest.approx([quick["learning_rate"] * left / len(rates) for left in reversed(range(len(rates)))])
    assert len(rates) == told[-1].updates >= 8


def test_label_smoothing_is_learnt_from_and_not_told() -> None:
    scores, outputs = torch.randn(5, 3, 11, requires_grad=True), torch.randint(1, 11, (5, 3))
    outputs[3:, 1] = PAD
    learnt, told = smoothed_loss_of(scores, outputs, 0.2)
    right = torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), outputs.flatten(), ignore_index=PAD, reduction="sum", label_smoothing=0.2
    )
    assert learnt.item() == pytest.approx(right.item(), rel=1e-5)
    assert told.item() == pytest.approx(loss_of(scores, outputs).item(), rel=1e-5)
    torch.testing.assert_close(*(torch.autograd.grad(loss, scores)[0] for loss in (learnt, right)))


def test_a_smoothed_model_is_less_certain(quick: dict[str, Any], digits: Pairs) -> None:
    def certainty(smoothing: float) -> float:
        model = Seq2Seq(**{**quick, "max_num_batches": 60, "label_smoothing": smoothing})
        model.fit(digits[:200], digits[:50])
        return sum(each.score for each in model.translate([source for source, _ in digits[:50]]))

    assert certainty(0.5) < certainty(0.0)


def test_the_mean_of_the_last_checkpoints_is_what_is_kept(quick: dict[str, Any], digits: Pairs) -> None:
    def after(updates: int, average: int) -> dict[str, torch.Tensor]:
        model = Seq2Seq(**{**quick, "max_num_batches": updates, "average_checkpoints": average})
        model.fit(digits[:600], digits[600:650])
        return weights_of(model)

    # The perplexity falls from one of the three checkpoints to the next, so that the last is the best.
    alone = [after(updates, 1) for updates in (5, 10, 15)]
    averaged = after(15, 2)
    for name, weight in averaged.items():
        torch.testing.assert_close(weight, (alone[1][name] + alone[2][name]) / 2)
    assert not same(averaged, alone[2])


def test_gradients_are_clipped_by_component_and_a_negative_limit_clips_nothing() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([-5.0, 0.5, 5.0])
    clip([weight], -1)
    assert weight.grad.tolist() == [-5, 0.5, 5]
    clip([weight], 1)
    assert weight.grad.tolist() == [-1, 0.5, 1]


def test_importing_the_room_loads_no_heavy_library() -> None:
    program = (
        "import sys, groundfog.algorithms.seq2seq\n"
        "assert not {'torch', 'numpy', 'sacrebleu'} & set(sys.modules)\n"
        "from groundfog.algorithms.seq2seq import Seq2Seq\n"
        "assert not {'sacrebleu', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_weights_are_written_as_the_library_of_the_format_reads_them(tmp_path: Path) -> None:
    tensors = {"scalar": torch.tensor(2.5), "matrix": torch.randn(3, 5).t(), "bytes": torch.arange(7).to(torch.uint8)}
    write_tensors(tmp_path / "file", tensors, {"of": "a test"})
    with safe_open(tmp_path / "file", framework="pt") as stored:
        assert stored.metadata() == {"of": "a test"}
        assert all(torch.equal(stored.get_tensor(name), tensor) for name, tensor in tensors.items())
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_nonsense_is_seen_with_every_optimizer_and_at_the_validation_too(
    optimizer: str, precision: str, quick: dict[str, Any], digits: Pairs
) -> None:
    # The one update of this training is harmless; what it makes of the parameters is seen in the validation.
    given = {"optimizer_type": optimizer, "precision": precision, "learning_rate": 1e38, "max_num_batches": 1}
    with pytest.raises(InputFault, match=r"The validation loss became .* at update 1: lower learning_rate"):
        Seq2Seq(**{**quick, **given}).fit(digits[:200])
    with pytest.raises(InputFault, match=r"The loss became .* at update 2: lower learning_rate"):
        Seq2Seq(**{**quick, **given, "max_num_batches": 9}).fit(digits[:200])


def test_weights_that_begin_too_large_are_told_from_a_rate_that_is_too_high(
    quick: dict[str, Any], digits: Pairs
) -> None:
    given = {"weight_init_type": "uniform", "weight_init_scale": 1e9, "max_num_batches": 9}
    with pytest.raises(
        InputFault, match=r"^The loss is .* at the first batch: lower weight_init_scale \(now 1e\+09\)$"
    ):
        Seq2Seq(**{**quick, **given}).fit(digits[:200])


def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it() -> None:
    program = "import sys; sys.modules['safetensors'] = None\nfrom groundfog.algorithms.seq2seq import Seq2Seq"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: safetensors is not installed: pip install 'groundfog[seq2seq]'"
    )


def started_with(start: Seq2Seq, pairs: Pairs, **options: Any) -> Seq2Seq:
    """After a single step, and one that changes nothing to speak of."""
    model = Seq2Seq(**options, max_num_batches=1)
    model.fit(pairs, pairs[:20], start=start)
    return model


@pytest.mark.parametrize("processes", [1, 2])
def test_what_starts_with_a_model_knows_what_that_knew(
    reverser: Seq2Seq, held_out: Pairs, small: dict[str, Any], processes: int
) -> None:
    options = small | {"learning_rate": 1e-7, "num_processes": processes}
    # Of a few digits only: their vocabulary would be another one.
    few = [pair for pair in held_out if set(pair[0]) <= set("12345")]
    model = started_with(reverser, few, **options)
    assert model.vocabularies == reverser.vocabularies
    assert wrong_share(model, held_out) < 0.05
    assert model.network.state_dict()["decoder.output.weight"].data_ptr() != (
        reverser.network.state_dict()["decoder.output.weight"].data_ptr()
    )


def test_a_network_of_another_shape_cannot_start_with_it(
    reverser: Seq2Seq, held_out: Pairs, small: dict[str, Any]
) -> None:
    with pytest.raises(InputFault, match=r"of another shape than that of the model to begin with"):
        started_with(reverser, held_out, **(small | {"rnn_num_hidden": 32}))


def test_pairs_of_other_vocabularies_cannot_start_with_it(reverser: Seq2Seq, small: dict[str, Any]) -> None:
    other = Seq2Seq(**small, max_num_batches=1)
    other.fit([(["a"], ["b"])], [(["a"], ["b"])])
    corpus = other._corpus([(["a"], ["b"])])
    with pytest.raises(InputFault, match="has other vocabularies: encode the pairs with its own"):
        other.fit_corpora(corpus, corpus, start=reverser)
