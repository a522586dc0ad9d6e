"""What a tokenizer splits it joins again, whatever the text; and a model keeps its tokenizers."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault, Seq2Seq
from groundfog.algorithms.seq2seq.data import tokenizer as tokenizer_module
from groundfog.algorithms.seq2seq.data.tokenizer import BLANKS, FILE, KINDS, Tokenizer, Tokenizers

TEXTS = [
    "The walker was walking, and walked 3.5 km.",
    "It's 17:45; talkers talked & talk: 100 %!",
    "naïve cafés – ½ price für Mädchen",
    "中文字 кириллица ελληνικά",
] * 5


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {kind: Tokenizers.learn(kind, [(text, text) for text in TEXTS], 120).source for kind in KINDS}


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("blank", ["It's", "30", "km/h."]),
        ("character", [*"It's▁30▁km/h."]),
        ("word", ["It", "￭'", "￭s", "3", "￭0", "km", "￭/", "￭h", "￭."]),
    ],
)
def test_what_text_is_made_of(tokenizers: dict[str, Tokenizer], kind: str, tokens: list[str]) -> None:
    assert tokenizers[kind].split("It's  30 km/h. ") == tokens


@pytest.mark.parametrize("kind", ["sentencepiece", "sentencepiece-bpe"])
def test_pieces_are_parts_of_words_that_the_text_has(tokenizers: dict[str, Tokenizer], kind: str) -> None:
    tokens = tokenizers[kind].split("walking talker")
    assert 2 < len(tokens) < len("walking talker")
    assert tokens[0].startswith("▁")


# The signs that stand for a blank and for none are read as what looks like them.
_text = st.text(st.characters(exclude_characters="▁￭", exclude_categories=["Cs", "Cc"]), max_size=30)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blank"])
@settings(max_examples=60, deadline=None)
@given(text=_text | st.sampled_from(TEXTS))
def test_what_is_split_is_joined_again(tokenizers: dict[str, Tokenizer], kind: str, text: str) -> None:
    tokens = tokenizers[kind].split(text)
    assert tokenizers[kind].join(tokens) == plain(text)
    assert all(tokens) and not any(character.isspace() for token in tokens for character in token)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=20))
def test_no_text_is_too_strange(tokenizers: dict[str, Tokenizer], kind: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text in UTF-8, and never comes out of a file
    tokens = tokenizers[kind].split(text)
    assert tokenizers[kind].split(tokenizers[kind].join(tokens)) == tokens


def test_joint_pieces_are_the_same_on_both_sides() -> None:
    pairs = [(text, text.upper()) for text in TEXTS]
    joint = Tokenizers.learn("sentencepiece", pairs, 100, joint=True)
    assert joint.source == joint.target
    assert joint.source != Tokenizers.learn("sentencepiece", pairs, 100).source


def test_what_has_no_text_in_it_teaches_no_pieces() -> None:
    with pytest.raises(InputFault, match="no text that SentencePiece could learn"):
        Tokenizers.learn("sentencepiece", [(" ", "a")])


def test_too_few_pieces_are_refused_in_a_line() -> None:
    with pytest.raises(InputFault, match=r"SentencePiece cannot learn 4 pieces from this text: .*\w") as refused:
        Tokenizers.learn("sentencepiece-bpe", [(text, text) for text in TEXTS], 4)
    assert "\n" not in str(refused.value)


def test_a_kind_that_is_none_is_refused() -> None:
    with pytest.raises(InputFault, match=r"tokens has to be one of blank, character, .*, not 'letters'"):
        Tokenizers.learn("letters", [("a", "b")])
    with pytest.raises(InputFault, match="character and word have no joint vocabulary"):
        Tokenizers.learn(("character", "word"), [("a", "b")], joint=True)


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputFault, match=r"pip install 'groundfog\[sentencepiece\]'"):
        Tokenizers.learn("sentencepiece", [("a", "b")])


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_read_as_they_were_written(tmp_path: Path, kind: str) -> None:
    made = Tokenizers.learn(("character", kind), [(text, text) for text in TEXTS], 120)
    (tmp_path / FILE).write_text(made.text(), encoding="utf-8")
    read = Tokenizers.read(tmp_path)
    assert read == made
    assert read.target.split(TEXTS[0]) == made.target.split(TEXTS[0])


def test_a_folder_without_them_has_blanks_between_tokens(tmp_path: Path) -> None:
    assert Tokenizers.read(tmp_path) is BLANKS


@pytest.mark.parametrize("text", ["", "[]", '{"source": {"kind": "x"}}', '{"source": {"kind": "word"}, "target": 3}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputFault, match=r"tokenizer\.json in .* is unreadable"):
        Tokenizers.read(tmp_path)


def test_pieces_that_are_none_are_named(tmp_path: Path) -> None:
    side = {"kind": "sentencepiece", "model": "AAAA"}
    (tmp_path / FILE).write_text(json.dumps({"source": side, "target": side}))
    with pytest.raises(InputFault, match="no model of SentencePiece"):
        Tokenizers.read(tmp_path).source.split("a")


@pytest.mark.parametrize("tokens", ["character", ("word", "sentencepiece")])
def test_a_model_takes_raw_text_and_says_raw_text(tmp_path: Path, small: dict[str, Any], tokens: Any) -> None:
    pairs = [(f"in {number}, please", f"OUT: {number}!") for number in range(40)] * 2
    model = Seq2Seq(**small, max_num_batches=60)
    model.fit(pairs, pairs[:4], tokens=tokens, vocabulary_size=60)
    model.save(tmp_path)
    loaded = Seq2Seq.load(tmp_path)
    [said] = loaded.translate(["in 7,  please"])
    assert said == model.translate(["in 7, please"])[0]
    assert said.text == loaded.tokenizers.target.join(said.tokens)
    assert said.target == " ".join(said.tokens)
    # Tokens stay tokens: that is how the endpoint asks.
    assert loaded.translate([loaded.tokenizers.source.split("in 7, please")])[0] == said


def test_saved_anew_a_folder_forgets_the_tokenizers_of_before(tmp_path: Path, small: dict[str, Any]) -> None:
    (tmp_path / FILE).write_text("of before")
    Seq2Seq(**small, max_num_batches=1).fit([("a b", "b a")], folder=tmp_path)
    assert not (tmp_path / FILE).exists()
    assert tokenizer_module.Tokenizers.read(tmp_path) is BLANKS


@pytest.mark.parametrize("pair", ["ab", ("a", "b", "c"), ("a",), 5, None])
def test_what_is_no_pair_is_named(pair: Any) -> None:
    with pytest.raises(InputFault, match=r"Pair 2 has to be \(source, target\), and not "):
        Seq2Seq().fit([("a", "b"), pair])
    with pytest.raises(InputFault, match=r"Pair 2 "):
        BLANKS.of_pairs([("a", "b"), pair])


def test_pairs_may_be_rows_of_an_array() -> None:
    rows = np.array([["a b", "c"], ["d", "e"]])
    assert Tokenizers.learn("word", rows).of_pairs(rows) == [(("a", "b"), ("c",)), (("d",), ("e",))]  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["a </s>", ["<pad>"]])
def test_a_target_holds_no_token_that_the_algorithm_adds(target: Any) -> None:
    with pytest.raises(InputFault, match=r"The target of pair 2 holds <pad> or </s>"):
        BLANKS.of_pairs([("<pad> </s>", "<s> <unk>"), ("a", target)])
