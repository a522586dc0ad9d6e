"""groundfog seq2seq export: a model, or several, for programs that have neither torch nor us."""

import subprocess
import sys
from pathlib import Path

import pytest

from groundfog.algorithms.seq2seq import Ensemble, Seq2Seq

from .conftest import Run, spelled


def test_what_is_exported_answers_raw_text_as_the_ensemble_does(run: Run, model: Path, tmp_path: Path) -> None:
    other = Seq2Seq.load(model)
    for weight in other.network.parameters():
        weight.detach().mul_(0.9)
    other.save(tmp_path / "other")
    output = tmp_path / "onnx"
    result = run("export", model, output, "--ensemble", tmp_path / "other")
    assert result.exit_code == 0, result.output
    line = f"Go on, where numpy and onnxruntime are installed: python {output}/translate.py < lines.txt"
    assert result.stdout.splitlines()[-1] == line
    words = [word for word, _ in spelled(50, seed=3)] + ["", "a  b"]
    ran = subprocess.run(
        [sys.executable, "-I", output / "translate.py"], input="\n".join(words), capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    ensemble = Ensemble([Seq2Seq.load(model), other])
    ensemble.joint_ngrams = None
    assert ran.stdout.splitlines() == [each.text for each in ensemble.translate(words, beam_size=1)]


def test_joint_ngrams_that_stay_behind_are_told_of(run: Run, model: Path, tmp_path: Path) -> None:
    for weight, told in ((0.0, False), (0.5, True)):
        one = Seq2Seq.load(model)
        assert one.joint_ngrams is not None
        one.joint_ngrams.weight = weight
        one.save(tmp_path / f"{weight}")
        result = run("export", tmp_path / f"{weight}", tmp_path / f"{weight}-onnx")
        assert result.exit_code == 0, result.output
        assert ("the joint n-grams that have a say in this model stay behind" in result.stdout) is told


def test_a_folder_that_holds_something_is_left_alone(run: Run, model: Path) -> None:
    result = run("export", model, model)
    assert result.exit_code == 2
    assert f"{model} is not empty" in result.stderr


def test_what_is_not_installed_is_named(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundfog.algorithms.seq2seq.export.writing.find_spec", lambda name: None)
    result = run("export", model, tmp_path / "onnx")
    assert result.exit_code == 1
    assert "pip install 'groundfog[onnx]'" in result.stderr
    assert not (tmp_path / "onnx").exists()
