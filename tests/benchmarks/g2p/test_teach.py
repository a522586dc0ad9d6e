"""What a model is taught: as often as its teachers find it probable."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from teach import draw, lines

weights = st.lists(st.floats(0.01, 1), min_size=1, max_size=8)


@given(weights, st.integers(1, 20), st.integers(0, 1000))
def test_each_pronunciation_is_drawn_as_often_as_it_is_probable(parts: list[float], times: int, seed: int) -> None:
    probabilities = {f"P{number}": part / sum(parts) for number, part in enumerate(parts)}
    drawn = Counter(draw(probabilities, times, random.Random(seed)))
    for one, probability in probabilities.items():
        assert drawn[one] == pytest.approx(times * probability, abs=1.001)
    assert drawn.total() == pytest.approx(times, abs=1)


def test_the_dictionary_stands_there_as_often_as_asked_for_and_other_words_as_drawn() -> None:
    taught = {"FOX": {"F AA1 K S": 0.75, "F AO1 K S": 0.25}, "ZZZ": {}}
    table = lines([("DOG", "D AO1 G")], taught, copies=3, draws=4)
    assert Counter(table) == {"DOG\tD AO1 G\n": 3, "FOX\tF AA1 K S\n": 3, "FOX\tF AO1 K S\n": 1}
    assert table != sorted(table)
    assert table == lines([("DOG", "D AO1 G")], taught, copies=3, draws=4)
