"""groundfog seq2seq train: what it guesses, what it says, what it leaves, and how it goes on."""

import importlib
import json
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import Result

from groundfog.algorithms.seq2seq import Hyperparameters, Seq2Seq
from groundfog.algorithms.seq2seq.command.assumptions import SIZES, hyperparameters, kind_of
from groundfog.algorithms.seq2seq.command.hyperparameter_options import SECTIONS

from .conftest import LEARNT, Run, spelled

COMMAND = [sys.executable, "-m", "groundfog", "seq2seq"]


def test_it_says_what_it_assumed(trained: tuple[Result, Path]) -> None:
    said = trained[0].stderr
    assert "pairs.tsv: 1,000 pairs, tab-separated, no header line, column 1 to column 2" in said
    assert "held out for validation" in said
    assert (
        "tokens: characters, 6 different to what stands between blanks, 6 different (--tokens says otherwise)" in said
    )
    assert "network: medium, rnn to rnn, and joint n-grams; " in said
    assert said.count("Joint n-grams: ") == 2
    assert "the best so far" in said


def test_it_ends_with_the_scores_and_what_to_do_next(trained: tuple[Result, Path]) -> None:
    result, folder = trained
    assert "% entirely right, " in result.stdout
    assert f"Go on: groundfog seq2seq translate {folder}" in result.stdout
    assert (folder / "report.html").exists()


def test_what_it_leaves_is_a_model_for_raw_text(model: Path) -> None:
    loaded = Seq2Seq.load(model)
    assert loaded.translate(["fade"])[0].text == "F A D E"
    assert loaded.hyperparameters.max_seq_len_source == 5


def test_the_same_command_again_finds_it_finished(run: Run, table: Path, trained: tuple[Result, Path]) -> None:
    before = (trained[1] / "params.best").read_bytes()
    again = run("train", table, "--output", trained[1], *LEARNT)
    assert again.exit_code == 0, again.output
    assert "going on from update" in again.stderr
    assert again.stdout == trained[0].stdout
    assert (trained[1] / "params.best").read_bytes() == before


def test_a_report_that_could_not_be_drawn_is_not_missed(
    run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("groundfog.algorithms.seq2seq.report.document.Report.write", broken)
    with pytest.warns(UserWarning, match="no ink"):
        result = run("train", table, "--output", tmp_path / "model", "--size", "small", "--max-num-batches", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"The model is in {tmp_path / 'model'}\n")


def test_other_hyperparameters_or_data_are_no_going_on(run: Run, table: Path, tmp_path: Path) -> None:
    short = ["--output", tmp_path / "model", "--size", "small", "--max-num-batches", 3]
    assert run("train", table, *short).exit_code == 0
    refused = run("train", table, *short, "--learning-rate", "0.5")
    assert refused.exit_code == 1
    assert "other hyperparameters (learning_rate)" in refused.stderr
    assert "--restart" in refused.stderr
    refused = run("train", table, *short, "--tokens", "word")
    assert refused.exit_code == 1
    assert (
        "has a training on other data, with other tokens, or from another start: --restart begins anew there"
        in refused.stderr
    )
    assert run("train", table, *short, "--tokens", "word", "--restart").exit_code == 0


def test_what_is_said_is_true_of_a_single_pair_and_a_few_batches(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("a b\tc\n")
    said = run("train", tmp_path / "one.tsv", "--size", "small", "--max-num-batches", 2).stderr
    assert "validated on what is learnt: with a single source nothing can be held out" in said
    assert "rnn to rnn, and joint n-grams; at most 2 batches of 32, learning rate 0.002" in said


def test_beside_the_data_is_where_it_goes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in spelled(30, seed=2)))
    result = run("train", tmp_path / "words.csv", "--size", "small", "--max-num-batches", 2)
    assert result.exit_code == 0, result.output
    assert "comma-separated, with a header line, source to target" in result.stderr
    assert (tmp_path / "words-model" / "params.best").exists()


def test_two_files_and_their_validation_files(run: Run, tmp_path: Path) -> None:
    for name, pairs in (("train", spelled(40, seed=3)), ("dev", spelled(7, seed=4))):
        for place, side in enumerate(("src", "trg")):
            (tmp_path / f"{name}.{side}").write_text("".join(f"{pair[place]}\n" for pair in pairs))
    files = ["--source", tmp_path / "train.src", "--target", tmp_path / "train.trg"]
    files += ["--validation-source", tmp_path / "dev.src", "--validation-target", tmp_path / "dev.trg"]
    result = run("train", *files, "--size", "small", "--max-num-batches", 2, "--tokens", "character", "--joint")
    assert result.exit_code == 0, result.output
    assert "validation: dev.src and dev.trg: 7 pairs" in result.stderr
    source, target = Seq2Seq.load(tmp_path / "train-model").vocabularies
    assert source == target


def test_each_hyperparameter_is_an_option(run: Run, table: Path, tmp_path: Path) -> None:
    given = {"rnn_num_hidden": 8, "rnn_cell_type": "gru", "bucketing_enabled": "false", "clip_gradient": "2.5"}
    options = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)]
    result = run("train", table, "--output", tmp_path, "--max-num-batches", 1, *options)
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "config").read_text())
    assert {name: config[name] for name in given} == {
        "rnn_num_hidden": 8,
        "rnn_cell_type": "gru",
        "bucketing_enabled": False,
        "clip_gradient": 2.5,
    }


def test_the_weight_of_joint_ngrams_needs_no_order_where_that_is_chosen_anyway(
    run: Run, table: Path, tmp_path: Path
) -> None:
    given = ["--size", "small", "--max-num-batches", 1, "--joint-ngram-weight", 0.3]
    result = run("train", table, "--output", tmp_path / "model", *given)
    assert result.exit_code == 0, result.output
    ngrams = Seq2Seq.load(tmp_path / "model").joint_ngrams
    assert ngrams is not None
    assert ngrams.weight == 0.3
    result = run("train", table, "--output", tmp_path / "none", *given, "--joint-ngram-order", 0)
    assert "joint_ngram_weight is for joint n-grams" in result.stderr


def test_the_help_lists_each_with_what_it_means_its_rule_and_its_default(run: Run) -> None:
    said = run("train", "-h").output
    words = " ".join(said.split())
    for each in fields(Hyperparameters):
        assert f"--{each.name.replace('_', '-')} " in said
    assert "half is for each (an even integer of at least 2). [small 128, medium 256, large 512]" in words
    assert "Cell of recurrent layers (one of lstm, gru). [lstm]" in words
    assert all(f"Hyperparameters: {title}" in said for title in SECTIONS.values())
    assert set(SECTIONS) <= {each.name for each in fields(Hyperparameters)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pairs", [1, 500, 30_000, 5_000_000])
def test_what_is_assumed_are_hyperparameters(size: str, pairs: int) -> None:
    assumed = Hyperparameters.of(hyperparameters(size, pairs, 30, 5000))
    assert assumed.max_seq_len_source == 30
    assert assumed.max_seq_len_target == 400


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["car", "cat", "tapeworm"] * 9, "character"),
        (["K AA1 R", "K AE1 T", "T EY1 P W ER2 M"] * 9, "blank"),
        ([f"It costs {number} euros, {number + 7} cents." for number in range(1000)], "word"),
        (["Grüezi mitenand", "No meh Wörter"], "character"),
    ],
)
def test_what_text_is_made_of_is_guessed(texts: list[str], kind: str) -> None:
    assert kind_of(texts, sentencepiece=True) == kind


def test_long_texts_of_many_words_are_taken_in_pieces() -> None:
    texts = [" ".join(f"word{number * 31 + place}x" for place in range(20)) for number in range(50)]
    letters = str.maketrans("0123456789", "abcdefghij")
    texts = [text.translate(letters) for text in texts]
    assert kind_of(texts, sentencepiece=True) == "sentencepiece"
    assert kind_of(texts, sentencepiece=False) == "word"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pairs.tsv", "--learning-rate", "fast"], "learning_rate has to be a number of at least 0, not 'fast'"),
        (["pairs.tsv", "--rnn-num-hidden", "7"], "rnn_num_hidden has to be an even integer"),
        (["broken.tsv"], "broken.tsv, line 2 has 1 column and the first line has 2"),
        (["one.tsv"], "one.tsv, line 1 has one column and a pair has two"),
        (["pairs.tsv", "--tokens", "character", "--target-tokens", "word", "--joint"], "have no joint vocabulary"),
        (["pairs.tsv", "--columns", "2"], "--columns takes two, as 1,3"),
        (["--source", "one.tsv"], "give a table of pairs, or both --source and --target"),
        ([], "give a table of pairs, or both --source and --target"),
        (["pairs.tsv", "--validation-source", "one.tsv"], "or both --validation-source and --validation-target"),
        (["empty"], "Missing input channels"),
        (["nowhere.tsv"], "'nowhere.tsv' does not exist"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.tsv").write_text("a\tb\nc\td\n")
    Path("broken.tsv").write_text("a\tb\nc\n")
    Path("one.tsv").write_text("a\n")
    Path("empty").mkdir()
    result = run("train", *arguments)
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_writes_a_checkpoint_and_the_same_command_goes_on(table: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "train", str(table), "--output", str(tmp_path / "model"), "--size", "small"]
    command += ["--max-num-epochs", "8", "--checkpoint-frequency-num-batches", "20"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        for line in training.stderr:
            if line.startswith("checkpoint 1"):
                break
        training.send_signal(signal.SIGINT)
        said = training.stderr.read()
        assert training.wait(timeout=300) == 130
    assert "stopping after this batch, with a checkpoint" in said
    assert "the same command goes on from there" in said
    again = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert "going on from update" in again.stderr
    assert "checkpoint 1 ·" not in again.stderr
    assert "entirely right" in again.stdout


def test_without_torch_its_package_is_named(
    run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib.import_module("groundfog.algorithms.seq2seq.command.train"), "_model", without)
    result = run("train", table, "--output", tmp_path)
    assert result.exit_code == 1
    assert "torch is not installed: pip install 'groundfog[seq2seq]'" in result.stderr


def test_help_loads_no_tensor_library() -> None:
    asked = (
        "import sys; from groundfog.cli import main\ntry: main(['seq2seq', 'train', '-h'])\nexcept SystemExit: pass\n"
    )
    asked += "assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, timeout=60)


def test_it_starts_with_a_model_that_it_is_given(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "more.tsv").write_text("".join(f"{word}\t{letters}\n" for word, letters in spelled(40, seed=5)))
    given = [tmp_path / "more.tsv", "--start", model, "--output", tmp_path / "adapted", "--max-num-batches", 1]
    result = run("train", *given)
    assert result.exit_code == 0, result.output
    assert "tokens: characters, 6 different to what stands between blanks, 6 different\n" in result.stderr
    assert "network: that of the model to begin with, rnn to rnn, and joint n-grams; " in result.stderr
    before, after = Seq2Seq.load(model), Seq2Seq.load(tmp_path / "adapted")
    assert after.vocabularies == before.vocabularies
    # Two words to validate on say nothing of how much the n-grams should say.
    assert before.joint_ngrams is not None
    assert after.joint_ngrams is not None
    assert after.joint_ngrams.weight == before.joint_ngrams.weight
    assert after.hyperparameters.rnn_num_hidden == before.hyperparameters.rnn_num_hidden
    assert after.hyperparameters.learning_rate == pytest.approx(before.hyperparameters.learning_rate / 3)
    assert after.translate(["fade"])[0].text == "F A D E"
    refused = run("train", *given[:1], *given[3:], "--tokens", "character")
    assert refused.exit_code == 1
    assert "or from another start" in refused.stderr
    refused = run("train", *given, "--tokens", "word")
    assert refused.exit_code == 2
    assert "--start keeps the tokens of its model: leave out --tokens" in refused.stderr
