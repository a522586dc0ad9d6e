"""groundfog seq2seq evaluate and align: how often a model is right, and where it looked."""

import json
from pathlib import Path

import numpy as np
import pytest

from groundfog.algorithms.seq2seq import Seq2Seq

from .conftest import Run, spelled


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("held-out") / "held-out.tsv"
    file.write_text("".join(f"{word}\t{letters}\n" for word, letters in spelled(60, seed=9)))
    return file


def test_the_figures_are_those_of_the_answers(run: Run, model: Path, held_out: Path) -> None:
    result = run("evaluate", model, held_out, "--json", "--worst", 3)
    assert result.exit_code == 0, result.output
    assert "held-out.tsv: 60 pairs" in result.stderr
    found = json.loads(result.stdout)
    expected = dict(spelled(60, seed=9))
    said = Seq2Seq.load(model).translate(list(expected))
    wrong = [each for each, right in zip(said, expected.values(), strict=True) if each.text != right]
    assert found["sources"] == len(expected)
    assert found["sequence_error_rate"] == pytest.approx(len(wrong) / len(expected))
    assert len(found["worst"]) == min(3, len(wrong))
    assert 0 <= found["token_error_rate"] <= found["sequence_error_rate"]


def test_wrong_answers_are_shown_as_text(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("bed\tB E D\nfade\tF A D\n")
    result = run("evaluate", model, tmp_path / "pairs.tsv")
    assert "sequence error rate   50.00%" in result.stdout
    assert "  source     fade\n  reference  F A D\n  said       F A D E" in result.stdout


def test_a_source_on_several_lines_has_several_right_answers(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("bed\tB A D\nbed\tB E D\nbed\tF\n")
    found = json.loads(run("evaluate", model, tmp_path / "pairs.tsv", "--json").stdout)
    assert found["sources"] == 1
    assert found["sequence_error_rate"] == found["token_error_rate"] == 0


def test_text_of_other_tokens_than_were_learnt_is_warned_of(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("XYZ\tX\nabq\tA\n")
    said = "warning: the model does not know 67% of the source tokens; it reads characters"
    assert said in run("evaluate", model, tmp_path / "pairs.tsv").stderr
    assert said in run("translate", model, stdin="XYZ\nabq\n").stderr
    assert "warning" not in run("translate", model, stdin="\nabq\n").stderr


def test_a_report_is_written_where_it_is_wanted(run: Run, model: Path, held_out: Path, tmp_path: Path) -> None:
    result = run("evaluate", model, held_out, "--report", tmp_path / "report", "--most", 20)
    assert "sources               20" in result.stdout
    assert (tmp_path / "report" / "report.html").exists()


def test_alignment_says_where_a_given_target_comes_from(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("bed\tB E D\nfade\tF A D E\n")
    result = run("align", model, tmp_path / "pairs.tsv")
    assert result.exit_code == 0, result.output
    assert result.stdout == "0-0 1-1 2-2\n0-0 1-1 2-2 3-3\n"
    chart = run("align", model, tmp_path / "pairs.tsv", "--chart").stdout
    assert chart.startswith("   b e d\nB  ")
    found = [json.loads(line) for line in run("align", model, tmp_path / "pairs.tsv", "--json").stdout.splitlines()]
    assert found[0]["alignment"] == [[0, 0], [1, 1], [2, 2]]
    assert found[1]["target_tokens"] == ["F", "A", "D", "E"]
    np.testing.assert_allclose(np.array(found[1]["matrix"]).sum(1), 1, atol=1e-4)


def test_pairs_may_lie_in_two_files(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("bed\n")
    (tmp_path / "letters").write_text("B E D\n")
    files = ["--source", tmp_path / "words", "--target", tmp_path / "letters"]
    assert run("align", model, *files).stdout == "0-0 1-1 2-2\n"
    assert "sequence error rate   0.00%" in run("evaluate", model, *files).stdout


def test_a_folder_is_no_table(run: Run, model: Path) -> None:
    result = run("evaluate", model, model)
    assert result.exit_code == 2
    assert "is a folder, and a table of pairs is needed here" in " ".join(result.stderr.split())
