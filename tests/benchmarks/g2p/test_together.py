"""Several systems asked together."""

import math

import pytest
from scoring import without_stress
from together import best, mean


def test_the_mean_is_of_what_each_finds_probable_among_its_own_candidates() -> None:
    one = [(["A"], math.log(0.3)), (["B"], math.log(0.1))]
    other = [(["B"], -200.0)]
    assert mean([one, other, []]) == pytest.approx({"A": 0.375, "B": 0.625})


def test_who_knows_nothing_says_nothing() -> None:
    assert mean([[], []]) == {}
    assert best({}, plain=False) == []


def test_without_stress_what_differs_by_it_counts_together() -> None:
    probabilities = {"EH1": 0.4, "AA1": 0.35, "AA0": 0.25}
    assert best(probabilities, plain=False) == ["EH1"]
    assert best(probabilities, plain=True) == ["AA1"]
    assert without_stress(best(probabilities, plain=True)) == ["AA"]
