"""Alignment is search with the answer given: told its own answer, it has to find the same scores and the same looks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.data.batching import Batch, Source
from groundfog.algorithms.seq2seq.data.vocabulary import BEGIN, END, PAD

Pairs = list[tuple[list[str], list[str]]]


def test_given_its_own_answers_it_finds_what_search_found(reverser: Seq2Seq, held_out: Pairs) -> None:
    sources = [source for source, _ in held_out]
    found = reverser.translate(sources, attention=True)
    aligned = reverser.align([(source, each.tokens) for source, each in zip(sources, found, strict=True)])
    for searched, forced in zip(found, aligned, strict=True):
        assert forced.tokens == searched.tokens
        assert forced.score == pytest.approx(searched.score, abs=1e-4)
        assert forced.log_probability == pytest.approx(searched.log_probability, abs=1e-4)
        np.testing.assert_allclose(forced.attention, searched.attention, atol=1e-4)


def test_a_model_that_reverses_looks_from_the_end_to_the_beginning(reverser: Seq2Seq, held_out: Pairs) -> None:
    right = total = 0
    for each in reverser.align(held_out):
        assert each.attention is not None
        right += int((each.attention.argmax(1) == np.arange(len(each.source))[::-1]).sum())
        total += len(each.tokens)
    assert right / total > 0.9


def test_a_wrong_target_is_less_probable(reverser: Seq2Seq) -> None:
    right, wrong = reverser.align([("1 2 3 4", "4 3 2 1"), ("1 2 3 4", "4 3 3 1")])
    assert right.score > wrong.score


def test_the_probability_is_the_networks_own(reverser: Seq2Seq) -> None:
    """As training scores it: one pass over the whole target."""
    source, target = list("50277"), list("7720")
    sources, targets = reverser.vocabularies
    inputs = torch.tensor([BEGIN, *targets.encode(target)]).unsqueeze(1)
    outputs = torch.tensor([*targets.encode(target), END])
    with torch.no_grad():
        scores = reverser.network(Batch(Source.of([sources.encode(source)]), inputs, outputs.unsqueeze(1)))[:, 0]
    scores[:, [PAD, BEGIN]] = -torch.inf
    expected = float(torch.log_softmax(scores, 1)[torch.arange(len(outputs)), outputs].sum())
    [aligned] = reverser.align([(source, target)])
    assert aligned.log_probability == pytest.approx(expected, abs=1e-4)
    assert aligned.score == pytest.approx(expected / len(outputs), abs=1e-4)


_digits = st.lists(st.sampled_from("0123456789"), max_size=9)


@settings(max_examples=20, deadline=None)
@given(pairs=st.lists(st.tuples(_digits, _digits), max_size=6))
def test_whatever_the_lengths_each_pair_is_as_if_alone(reverser: Seq2Seq, pairs: Pairs) -> None:
    together = reverser.align(pairs)
    for (source, target), each in zip(pairs, together, strict=True):
        [alone] = reverser.align([(source, target)])
        assert each.attention is not None and alone.attention is not None
        assert each.attention.shape == (len(target), len(source))
        assert math.isclose(each.score, alone.score, abs_tol=1e-4)
        np.testing.assert_allclose(each.attention, alone.attention, atol=1e-4)
        if source:
            np.testing.assert_allclose(each.attention.sum(1), np.ones(len(target)), atol=1e-5)


def test_both_sides_are_cut_off_where_the_model_ends(reverser: Seq2Seq) -> None:
    [long] = reverser.align([("1 " * 300, "1 " * 300)])
    assert len(long.source) == reverser.hyperparameters.max_seq_len_source
    assert len(long.tokens) == reverser.hyperparameters.max_seq_len_target
