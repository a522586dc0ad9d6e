"""How pronunciations are scored."""

import pytest
from scoring import score, standard_error

READ = {"READ": [["R", "EH1", "D"], ["R", "IY1", "D"]]}


def test_any_of_a_words_pronunciations_is_right():
    assert score([["R", "IY1", "D"]], READ) == (0, 0, 0, 0)


def test_without_stress_a_wrong_stress_is_no_error():
    scores = score([["R", "IY2", "D"]], READ)
    assert (scores.wer, scores.plain_wer) == (100, 0)
    assert (scores.per, scores.plain_per) == (pytest.approx(100 / 3), 0)


def test_phonemes_are_counted_against_the_nearest_pronunciation():
    entries = {"A": [["AH0"], ["EY1"]], "READ": READ["READ"]}
    scores = score([["EY1"], ["R", "IY1", "D", "Z"]], entries)
    assert scores.wer == 50
    assert scores.per == pytest.approx(100 * 1 / 4)


def test_a_difference_of_a_point_on_this_test_set_is_noise():
    assert standard_error(30, 6247) == pytest.approx(0.58, abs=0.005)
