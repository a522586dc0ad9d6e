"""groundfog seq2seq translate: lines in, lines out, in order and as they come."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from groundfog.algorithms.seq2seq import InputFault, Seq2Seq
from groundfog.algorithms.seq2seq.command.translate import WINDOW, windows

from .conftest import Run, spelled

WORDS = [word for word, _ in spelled(WINDOW + 200, seed=7)]


def test_each_line_has_its_answer_in_order(run: Run, model: Path, tmp_path: Path) -> None:
    lines = ["", *WORDS, "  ", "fed"]
    expected = [each.text for each in Seq2Seq.load(model).translate(lines)]
    given = "".join(f"{line}\n" for line in lines)
    (tmp_path / "words.txt").write_text(given)
    result = run("translate", model, tmp_path / "words.txt")
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n") == [*expected, ""]
    assert run("translate", model, stdin=given).stdout == result.stdout
    assert run("translate", model, "-", tmp_path / "words.txt", stdin="fed").stdout.startswith("F E D\n\n")


def test_an_answer_comes_before_the_next_question(model: Path) -> None:
    command = [sys.executable, "-m", "groundfog", "seq2seq", "translate", str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as pipe:
        assert pipe.stdin is not None and pipe.stdout is not None
        for word in ("bed", "", "fade"):
            pipe.stdin.write(word + "\n")
            pipe.stdin.flush()
            assert pipe.stdout.readline() == f"{' '.join(word.upper())}\n"
        pipe.stdin.close()
        assert pipe.wait(timeout=30) == 0


def test_what_comes_together_is_taken_together_up_to_a_window() -> None:
    taken = list(windows(str(number) for number in range(3 * WINDOW)))
    assert [line for window in taken for line in window] == [str(number) for number in range(3 * WINDOW)]
    assert max(map(len, taken)) <= WINDOW


def test_a_fault_comes_after_the_answers_to_what_was_before_it(run: Run, model: Path) -> None:
    result = run("translate", model, stdin=b"bed\nfed\n\xff\nbad\n")
    assert result.exit_code == 1
    assert result.stdout == "B E D\nF E D\n"
    assert "standard input, line 3 is not in UTF-8" in result.stderr

    def broken():
        yield "a"
        raise InputFault("here")

    seen = []
    with pytest.raises(InputFault, match="here"):
        seen.extend(windows(broken()))
    assert [line for window in seen for line in window] == ["a"]


def test_nbest_lists_have_line_numbers_and_falling_scores(run: Run, model: Path) -> None:
    result = run("translate", model, "--nbest", 3, stdin="bed\nfade\n")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "2", "2"]
    assert rows[0][2] == "B E D" and rows[3][2] == "F A D E"
    assert float(rows[0][1]) >= float(rows[1][1]) >= float(rows[2][1])


def test_json_has_what_was_asked_for(run: Run, model: Path) -> None:
    plain = json.loads(run("translate", model, "--json", stdin="bed\n").stdout)
    assert plain["source"] == "bed" and plain["target"] == "B E D" and plain["score"] <= 0
    assert set(plain) == {"source", "target", "score"}
    full = json.loads(run("translate", model, "--attention", "--nbest", 2, stdin="bed\n").stdout)
    assert full["source_tokens"] == ["b", "e", "d"] and full["target_tokens"] == ["B", "E", "D"]
    matrix = np.array(full["matrix"])
    assert matrix.shape == (3, 3)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-4)
    assert full["nbest"][0]["target"] == "B E D"


def test_only_what_the_lexicon_has_is_answered(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("F A D E D\nB A D\n")
    result = run("translate", model, "--constrain", tmp_path / "lexicon.txt", stdin="bed\nfade\n")
    assert result.exit_code == 0, result.output
    assert set(result.stdout.splitlines()) <= {"F A D E D", "B A D"}


def test_several_models_and_other_ways_to_choose(run: Run, model: Path) -> None:
    alone = run("translate", model, stdin="bed\n")
    assert run("translate", model, "--ensemble", model, stdin="bed\n").stdout == alone.stdout
    assert run("translate", model, "--minimum-bayes-risk", "--beam", 4, stdin="bed\n").stdout == alone.stdout
    assert run("translate", model, "--length-penalty", 0.5, "--beam", 1, stdin="bed\n").stdout == alone.stdout


def test_the_archive_of_a_job_will_do(run: Run, model: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        for file in model.iterdir():
            archive.add(file, file.name)
    assert run("translate", tmp_path / "model.tar.gz", stdin="bed\n").stdout == "B E D\n"


def test_what_is_no_model_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_text("nothing")
    result = run("translate", tmp_path / "model.tar.gz", stdin="bed\n")
    assert result.exit_code == 1
    assert "model.tar.gz is neither a model's folder nor its model.tar.gz" in result.stderr
    result = run("translate", tmp_path, stdin="bed\n")
    assert result.exit_code == 1
    assert "No seq2seq model: config, params.best" in result.stderr
