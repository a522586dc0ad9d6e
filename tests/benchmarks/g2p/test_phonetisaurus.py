"""What is taken of Phonetisaurus's candidates."""

import math

from phonetisaurus import _best


def test_the_most_probable_without_stress_wins_over_the_most_probable():
    candidates = [(["EH1"], math.log(0.4)), (["AA1"], math.log(0.35)), (["AA0"], math.log(0.25))]
    assert _best(candidates) == ["AA1"]
    assert _best(candidates[:1]) == ["EH1"]


def test_a_word_without_candidates_is_said_as_nothing():
    assert _best([]) == []
