"""Translating: many sentences, endless ones, and in any company."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Ensemble, InputFault, Lexicon, Seq2Seq, Translation, edit_distance

Make = Callable[..., Seq2Seq]
sentences = st.lists(st.lists(st.sampled_from("abcd?"), max_size=6), min_size=1, max_size=8)


def told(translation: Translation) -> list[tuple[str, object]]:
    """Targets and scores, as exactly as batches of another shape leave them."""
    return [(each.target, pytest.approx(each.score, abs=1e-5)) for each in (translation, *translation.alternatives)]


@settings(max_examples=25, deadline=None)
@given(
    sentences=sentences,
    order=st.randoms(use_true_random=False),
    options=st.fixed_dictionaries(
        {},
        optional={
            "beam_size": st.integers(1, 6),
            "nbest": st.integers(1, 8),
            "length_penalty_alpha": st.sampled_from([0, 0.6, 1, 2]),
            "beam_threshold": st.sampled_from([0, 0.05, 4]),
            "minimum_bayes_risk": st.just(edit_distance),
            "constraint": st.just(Lexicon(["x", "x y", "z z z", "y x z", ""])),
        },
    ),
    together=st.booleans(),
)
def test_neighbours_their_order_and_the_window_change_no_answer(
    untrained: Make,
    sentences: list[list[str]],
    order: random.Random,
    options: dict[str, object],
    together: bool,
) -> None:
    model = Ensemble([untrained(3), untrained(4)]) if together else untrained(3)
    found = [told(each) for each in model.translate(sentences, **options)]
    assert [told(model.translate([sentence], **options)[0]) for sentence in sentences] == found
    places = list(range(len(sentences)))
    order.shuffle(places)
    shuffled = model.translate([sentences[place] for place in places], **options)
    assert [told(each) for each in shuffled] == [found[place] for place in places]
    assert [told(each) for each in model.stream(iter(sentences), window=3, **options)] == found


def test_the_hyperparameters_are_what_is_searched_by_where_nobody_says_otherwise(untrained: Make) -> None:
    sentences = ["a b c", "d", "c c a"]
    model, chosen = untrained(6), untrained(6, length_penalty_alpha=0.3, beam_size=2, max_seq_len_target=3)
    found = chosen.translate(sentences)
    assert [told(each) for each in found] == [
        told(each)
        for each in untrained(6, max_seq_len_target=3).translate(sentences, length_penalty_alpha=0.3, beam_size=2)
    ]
    assert [each.score for each in found] != [each.score for each in model.translate(sentences)]
    assert max(len(each.tokens) for each in found) <= 3


def test_a_stream_reads_no_further_than_its_window(untrained: Make) -> None:
    read: list[str] = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append("a b c d"[: 1 + 2 * (number % 4)])
            yield read[-1]

    found = list(itertools.islice(untrained().stream(endless(), window=5), 11))
    assert len(read) == 15
    assert [each.target for each in found] == [each.target for each in untrained().translate(read[:11])]


def test_a_stream_of_nothing_says_nothing(untrained: Make) -> None:
    assert list(untrained().stream([])) == []


def test_what_cannot_be_streamed_is_refused_at_once(untrained: Make) -> None:
    with pytest.raises(InputFault, match="window of at least 1"):
        untrained().stream(["a"], window=0)
    with pytest.raises(InputFault, match="one constraint for all"):
        untrained().stream(["a"], constraint=[None])


@pytest.mark.parametrize("sentences", ["a b c", [1], [None], [[4, 5]], [b"a"]])
def test_what_is_no_list_of_sentences_is_refused(untrained: Make, sentences: Any) -> None:
    model = untrained()
    with pytest.raises(InputFault, match="sentence"):
        model.translate(sentences)
    with pytest.raises(InputFault, match="sentence"):
        next(model.stream(sentences))


def test_sentences_may_come_from_anything_that_is_gone_through(untrained: Make) -> None:
    model = untrained()
    assert model.translate(iter(["a b", "c"])) == model.translate(("a b", "c")) == model.translate(["a b", "c"])
