import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault, Vocabulary

FIXED = {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3}


def test_frequent_tokens_come_first_after_the_fixed_four() -> None:
    assert Vocabulary.of(["b a b", ["c", "a", "b"]]).tokens == ("<pad>", "<unk>", "<s>", "</s>", "b", "a", "c")


def test_unknown_tokens_are_unk() -> None:
    assert Vocabulary.of(["a"]).encode(["a", "?"]) == [4, 1]


@given(st.lists(st.text(min_size=1), unique=True))
def test_a_vocabulary_comes_back_from_its_file(tokens: list[str]) -> None:
    vocabulary = Vocabulary.of([tokens])
    again = json.loads(vocabulary.text())
    assert again == vocabulary.ids


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "one JSON object"),
        ({"<pad>": "0"}, "whose ids are integers"),
        ({**FIXED, "<pad>": 4}, "<pad> has to have the id 0 and has 4"),
        ({**FIXED, "a": 5}, "no token has 4"),
        ({**FIXED, "a": 4, "b": 4}, "no token has 5"),
        ({**FIXED, "a": 10**30}, "no token has 4"),
    ],
)
def test_a_wrong_vocabulary_is_refused_by_what_is_wrong(document: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "vocab.src.json"
    file.write_text(json.dumps(document))
    with pytest.raises(InputFault) as fault:
        Vocabulary.read(file)
    assert "vocab.src.json" in str(fault.value)
    assert said in str(fault.value)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "vocab.trg.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputFault, match=r"vocab\.trg\.json is no JSON in UTF-8"):
        Vocabulary.read(file)
