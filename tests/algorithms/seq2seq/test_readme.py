"""The README's Python is what a new user copies: all of it runs, from top to bottom, on fewer pairs."""

import re
from pathlib import Path
from typing import Any

import pytest

import groundfog.algorithms.seq2seq as seq2seq

README = Path(seq2seq.__file__).with_name("README.md").read_text(encoding="utf-8")
WORDS = {"C A R": "K AA1 R", "C A T": "K AE1 T", "T E A R": "T EH1 R", "T E A": "T IY1", "P E A R": "P IH1 R"}


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("\n".join(WORDS))
    small = README.replace("rnn_num_hidden=192", "rnn_num_hidden=8, max_num_batches=2, max_seq_len_target=4")
    begin, *others = re.findall(r"```python\n(.*?)```", small, re.DOTALL)
    begin = begin.replace('("C A R", "K AA1 R"), ("C A T", "K AE1 T"), ...', "*pairs")
    # Twice each, so that a pair that is held out takes no token away.
    pairs = [(word + end, said) for word, said in WORDS.items() for end in ("", " S")]
    known: dict[str, Any] = {
        "pairs": pairs,
        "held_out": pairs,
        "words": [word for word, _ in pairs],
        "vowels": ["AA1", "AE1"],
    }
    known["candidates"] = {word: [said] for word, said in pairs}
    for block in (begin, *others):
        exec(block, known)
        for number in (1, 2, 3):
            known["model"].save(f"model-{number}")
    assert (Path("my-model") / "report.html").exists()
    assert seq2seq.load("all-three").translate(["C A R"])
