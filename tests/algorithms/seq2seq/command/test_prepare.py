"""groundfog seq2seq prepare: text to the built-in algorithm's channels, and from there to a model."""

import json
from pathlib import Path

import pytest

from groundfog.algorithms.seq2seq import Hyperparameters, Seq2Seq
from groundfog.algorithms.seq2seq.data.channels import read_channels
from groundfog.algorithms.seq2seq.data.recordio import read_pairs
from groundfog.algorithms.seq2seq.data.text import read_table
from groundfog.algorithms.seq2seq.data.vocabulary import Vocabulary

from .conftest import QUICK, Run


@pytest.fixture(scope="module")
def prepared(run: Run, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    result = run("prepare", table, "--output", folder, "--held-out", 0.1)
    assert result.exit_code == 0, result.output
    assert f"Go on: groundfog seq2seq train {folder}" in result.stdout
    return folder


def records(prepared: Path, name: str) -> list[tuple[str, str]]:
    vocabularies = [Vocabulary.read(prepared / "vocab" / file) for file in ("vocab.src.json", "vocab.trg.json")]
    with (prepared / name / f"{name}.rec").open("rb") as stream:
        return [
            ("".join(vocabularies[0].decode(pair.source)), " ".join(vocabularies[1].decode(pair.target)))
            for pair in read_pairs(stream, name)
        ]


def test_the_records_are_the_pairs_and_no_source_is_in_both_parts(prepared: Path, table: Path) -> None:
    learnt, held = records(prepared, "train"), records(prepared, "validation")
    assert sorted(learnt + held) == sorted(read_table(table).pairs)
    assert not {source for source, _ in learnt} & {source for source, _ in held}
    assert read_table(prepared / "held-out.tsv").pairs == held


def test_it_is_what_the_algorithms_channels_hold(prepared: Path) -> None:
    hyperparameters = json.loads((prepared / "hyperparameters.json").read_text())
    assert hyperparameters == {"max_seq_len_source": "5", "max_seq_len_target": "5"}
    channels = read_channels(prepared, Hyperparameters.of(hyperparameters))
    assert channels.train.pairs == len(records(prepared, "train"))


def test_a_model_of_it_takes_raw_text(run: Run, prepared: Path, tmp_path: Path) -> None:
    result = run("train", prepared, "--output", tmp_path / "model", *QUICK, "--max-num-epochs", 1)
    assert result.exit_code == 0, result.output
    model = Seq2Seq.load(tmp_path / "model")
    assert (model.tokenizers.source.kind, model.tokenizers.target.kind) == ("character", "blank")
    assert model.hyperparameters.max_seq_len_source == 5


def test_joint_ngrams_are_learnt_of_it_as_of_the_table(run: Run, prepared: Path, tmp_path: Path) -> None:
    result = run("train", prepared, "--output", tmp_path / "model", *QUICK, "--max-num-epochs", 1)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "model" / "ngrams.safetensors").exists()


def test_the_seed_decides_what_is_held_out(run: Run, table: Path, prepared: Path, tmp_path: Path) -> None:
    run("prepare", table, "--output", tmp_path / "same", "--held-out", 0.1)
    run("prepare", table, "--output", tmp_path / "other", "--held-out", 0.1, "--seed", 2)
    parts = [(folder / "held-out.tsv").read_text() for folder in (prepared, tmp_path / "same", tmp_path / "other")]
    assert parts[0] == parts[1] != parts[2]


def test_pieces_and_a_joint_vocabulary(run: Run, tmp_path: Path) -> None:
    sentences = ["the walker walked", "the talker was talking", "walking and talking"] * 4
    (tmp_path / "pairs.csv").write_text("".join(f"{text},{text.upper().lower()} then\n" for text in sentences))
    options = ["--tokens", "sentencepiece", "--vocabulary-size", 40, "--joint"]
    result = run("prepare", tmp_path / "pairs.csv", "--output", tmp_path / "prepared", *options)
    assert result.exit_code == 0, result.output
    source, target = (
        Vocabulary.read(tmp_path / "prepared" / "vocab" / f"vocab.{side}.json") for side in ("src", "trg")
    )
    assert source == target
    assert len(source) <= 44


def test_a_folder_with_something_in_it_stays_as_it_is(run: Run, table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = run("prepare", table, "--output", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_line_breaks_in_cells_break_no_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text('"a\nb",c\nd,e\n')
    result = run(
        "prepare", tmp_path / "pairs.csv", "--validation", tmp_path / "pairs.csv", "--output", tmp_path / "made"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "made" / "held-out.tsv").read_text() == "a b\tc\nd\te\n"


def test_broken_hyperparameters_are_named(run: Run, prepared: Path) -> None:
    (prepared / "hyperparameters.json").write_text("{")
    result = run("train", prepared)
    assert result.exit_code == 1
    assert "hyperparameters.json is no JSON" in result.stderr
