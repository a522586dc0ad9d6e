"""The report of a training: while it runs, when it ends, when it is stopped and goes on."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundfog.algorithms.seq2seq import Checkpoint, InputFault, Seq2Seq, Translation
from groundfog.algorithms.seq2seq.report import evaluate

Pairs = list[tuple[list[str], list[str]]]


@pytest.fixture
def quick(small: dict[str, Any]) -> dict[str, Any]:
    return {**small, "rnn_num_hidden": 16, "checkpoint_frequency_num_batches": 5, "max_num_batches": 20}


def numbers(folder: Path) -> dict[str, Any]:
    read = json.loads((folder / "report.json").read_text())
    assert isinstance(read, dict)
    return read


def test_a_training_keeps_a_report_up_to_date_and_ends_it_with_an_evaluation(
    quick: dict[str, Any], digits: Pairs, tmp_path: Path
) -> None:
    seen: list[tuple[int, bool]] = []

    def listen(record: object) -> None:
        # The report is written after the listener: at checkpoint 2 it tells of checkpoint 1.
        if isinstance(record, Checkpoint) and record.number > 1:
            written = numbers(tmp_path)
            seen.append((len(written["curves"]["checkpoints"]), written["evaluation"] is None))

    model = Seq2Seq(**quick)
    model.fit(digits[:600], digits[600:640], progress=listen, report=tmp_path)
    assert seen == [(1, True), (2, True), (3, True)]
    written = numbers(tmp_path)
    assert [point["number"] for point in written["curves"]["checkpoints"]] == [1, 2, 3, 4]
    assert written["curves"]["ended"].startswith("Maximum # of updates (20)")
    assert 35 < written["evaluation"]["sources"] <= 40
    assert written["evaluation"]["attention"]
    assert "trained for 20 updates" in (tmp_path / "report.html").read_text()


def test_the_curves_of_a_training_that_was_stopped_go_on(
    quick: dict[str, Any], digits: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.learning.train.REPORT_EVERY", 2)

    def fit(folder: str, stop_at: int | None, checkpoints: Path) -> dict[str, Any]:
        stop = threading.Event()

        def listen(record: Any) -> None:
            if getattr(record, "updates", 0) == stop_at:
                stop.set()

        model = Seq2Seq(**quick)
        model.fit(
            digits[:600], digits[600:640], progress=listen, stop=stop, checkpoints=checkpoints, report=tmp_path / folder
        )
        return numbers(tmp_path / folder)

    whole = fit("whole", None, tmp_path / "a")
    first = fit("first", 8, tmp_path / "b")
    assert first["curves"]["stopped"]
    assert first["evaluation"]["sources"]
    assert re.search("stopped after [0-9]+ updates", (tmp_path / "first" / "report.html").read_text())
    second = fit("second", None, tmp_path / "b")
    for name in ("updates", "tokens", "loss", "accuracy"):
        points, uninterrupted = ([point[name] for point in one["curves"]["training"]] for one in (second, whole))
        assert points == pytest.approx(uninterrupted), name
    for one, other in zip(second["curves"]["checkpoints"], whole["curves"]["checkpoints"], strict=True):
        assert (one["number"], one["metrics"]["perplexity-val"]) == (
            other["number"],
            other["metrics"]["perplexity-val"],
        )


def test_a_report_that_cannot_be_written_stops_no_training(
    quick: dict[str, Any], digits: Pairs, tmp_path: Path
) -> None:
    (tmp_path / "report").write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="There is no new report: FileExistsError"):
        finished = Seq2Seq(**quick).fit(digits[:600], digits[600:640], report=tmp_path / "report")
    assert finished.updates == 20


def test_the_page_of_a_training_that_fails_says_why(quick: dict[str, Any], digits: Pairs, tmp_path: Path) -> None:
    exploding = {"optimizer_type": "sgd", "learning_rate": 1e30, "clip_gradient": -1}
    with pytest.raises(InputFault, match="lower learning_rate"):
        Seq2Seq(**{**quick, **exploding}).fit(digits[:300], digits[600:640], report=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "failed after 0 updates" in page
    assert "lower learning_rate" in page
    assert 'http-equiv="refresh"' not in page
    assert numbers(tmp_path)["curves"]["failed"]


def test_an_evaluation_counts_what_the_model_gets_wrong(reverser: Seq2Seq, held_out: Pairs, tmp_path: Path) -> None:
    pairs = held_out[:100]
    # Every answer to a source is right; here is one that has a second one.
    found = reverser.evaluate([*pairs, (pairs[0][0], ["9"])], beam_size=1)
    sources = {tuple(source) for source, _ in pairs}
    said = reverser.translate([list(source) for source in sources], beam_size=1)
    wrong = sum(each.tokens != list(source)[::-1] for source, each in zip(sources, said, strict=True))
    assert found.sequence_error_rate == wrong / len(sources)
    assert (found.sources, found.of, found.beam_size) == (len(sources), len(sources), 1)
    assert 0.9 < found.bleu <= 1
    assert all(len(look.matrix) == len(look.said) for look in found.attention)
    assert all(len(row) == len(look.source) for look in found.attention for row in look.matrix)
    assert len(found.attention) == 12
    found.save_report(tmp_path)
    assert numbers(tmp_path)["evaluation"]["sequence_error_rate"] == found.sequence_error_rate
    assert numbers(tmp_path)["curves"] is None


def test_an_evaluation_leaves_the_curves_where_they_are(quick: dict[str, Any], digits: Pairs, tmp_path: Path) -> None:
    model = Seq2Seq(**quick)
    model.fit(digits[:600], digits[600:640], report=tmp_path)
    curves = numbers(tmp_path)["curves"]
    model.evaluate(digits[640:660]).save_report(tmp_path)
    assert numbers(tmp_path)["curves"] == curves
    assert numbers(tmp_path)["evaluation"]["of"] <= 20


def test_an_evaluation_can_be_short(reverser: Seq2Seq, held_out: Pairs) -> None:
    found = evaluate(reverser, held_out, most=50, seconds=0)
    assert (found.sources, found.of > 200) == (1, True)


@pytest.mark.parametrize("each", [0.01, 0.4, 3.0, 50.0])
def test_an_evaluation_takes_no_longer_than_it_may_however_slow_the_model(
    each: float, untrained: Callable[..., Seq2Seq], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained()
    now, translate = 0.0, model.translate

    def slowly(sentences: list[Any], **options: Any) -> list[Translation]:
        nonlocal now
        now += each * len(sentences)
        return translate(sentences, **options)

    monkeypatch.setattr(model, "translate", slowly)
    monkeypatch.setattr("groundfog.algorithms.seq2seq.report.evaluation.time.monotonic", lambda: now)
    pairs = [(" ".join("abcd"[number // 4**place % 4] for place in range(5)), "x") for number in range(1000)]
    found = evaluate(model, pairs, most=500, seconds=20.0)
    assert now <= max(20.0, each)
    assert found.sources == min(500, max(1, int(15.0 / each)))
    assert len(found.attention) == (12 if each < 0.4 else min(12, int((20.0 - found.sources * each) / each)))


def test_a_notebook_shows_a_translation_with_its_attention(reverser: Seq2Seq) -> None:
    (found,) = reverser.translate(["1 2 3"], attention=True)
    shown = found._repr_html_()
    assert shown.startswith("<div><b>3 2 1</b>")
    assert "3 looks at" in shown
    (plain,) = reverser.translate(["1 2 3"])
    assert "<svg" not in plain._repr_html_()
