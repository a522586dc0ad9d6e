import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.learning.scores import Tally, bleu, chrf, edits, error_rates, loss_of

WORDS = st.text("ab", max_size=7)


def test_perplexity_and_accuracy_are_over_the_real_tokens() -> None:
    scores = torch.log(torch.tensor([[[0.25, 0.75]], [[0.5, 0.5]]]))  # [T 2, B 1, V 2]
    outputs = torch.tensor([[1], [0]])  # the second is padding
    tally = Tally()
    tally.add(loss_of(scores, outputs).item(), scores, outputs)
    assert tally.perplexity == pytest.approx(1 / 0.75)
    assert (tally.accuracy, tally.tokens) == (1, 1)


def test_a_hopeless_perplexity_is_infinite() -> None:
    assert Tally(loss=1e6, tokens=1).perplexity == math.inf


def test_bleu_is_between_nothing_and_all() -> None:
    assert bleu(["a b c d e"], ["a b c d e"]) == 1
    assert bleu(["a b c d x"], ["a b c d e"]) == pytest.approx(0.668740, abs=1e-5)
    assert bleu(["x y"], ["a b c d"]) < 0.01
    assert chrf(["a b"], ["a b"]) == pytest.approx(1)


@given(WORDS, WORDS)
def test_edits_are_a_distance(left: str, right: str) -> None:
    assert (edits(left, right) == 0) == (left == right)
    assert edits(left, right) == edits(right, left)
    assert abs(len(left) - len(right)) <= edits(left, right) <= max(len(left), len(right))


def test_edits_are_levenshteins() -> None:
    assert edits("kitten", "sitting") == 3


def test_any_of_several_references_is_right() -> None:
    rates = error_rates([["K", "AA1"], ["T"]], [[["K", "AE1"], ["K", "AA1"]], [["D", "AH0"]]])
    assert rates.sequence == 0.5
    assert rates.token == pytest.approx(2 / 4)
