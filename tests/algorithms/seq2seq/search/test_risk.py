"""Minimum Bayes risk: as its definition says, computed as plainly as can be."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault, Seq2Seq, Translation, differing, edit_distance

SENTENCES = ["a b c", "d", "a a b b c d", ""]
Make = Callable[..., Seq2Seq]
tokens = st.lists(st.sampled_from("xyz"), max_size=6)


def unstressed(said: list[str]) -> list[str]:
    return [token.rstrip("012") for token in said]


def naive_distance(said: list[str], right: list[str]) -> int:
    if not said or not right:
        return len(said) + len(right)
    return min(
        naive_distance(said[1:], right) + 1,
        naive_distance(said, right[1:]) + 1,
        naive_distance(said[1:], right[1:]) + (said[0] != right[0]),
    )


@settings(deadline=None)
@given(said=tokens, right=tokens)
def test_the_edit_distance_is_the_fewest_edits(said: list[str], right: list[str]) -> None:
    assert edit_distance(said, right) == naive_distance(said, right)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(1, 50), nbest=st.integers(1, 9), alpha=st.sampled_from([0, 1]))
def test_what_is_said_has_the_least_expected_loss_of_all_candidates(
    untrained: Make, seed: int, nbest: int, alpha: float
) -> None:
    for found in untrained(seed).translate(
        SENTENCES, nbest=nbest, minimum_bayes_risk=edit_distance, length_penalty_alpha=alpha
    ):
        candidates = found.alternatives

        def risk(said: Translation, candidates: tuple[Translation, ...] = candidates) -> float:
            whole = sum(math.exp(each.log_probability) for each in candidates)
            return sum(
                math.exp(each.log_probability) / whole * naive_distance(said.tokens, each.tokens) for each in candidates
            )

        assert found.target in [each.target for each in candidates]
        assert risk(found) == pytest.approx(min(map(risk, candidates)), abs=1e-9)


def test_of_the_candidates_the_class_of_the_highest_total_probability_is_said(untrained: Make) -> None:
    other = 0
    for seed in range(1, 20):
        model = untrained(seed, target="x0 x1 y0 y1")
        for found in model.translate(SENTENCES[:3], nbest=30, minimum_bayes_risk=differing(unstressed)):
            totals: dict[str, float] = {}
            for each in found.alternatives:
                key = " ".join(unstressed(each.tokens))
                totals[key] = totals.get(key, 0) + math.exp(each.log_probability)
            best = max(totals, key=totals.__getitem__)
            assert " ".join(unstressed(found.tokens)) == best
            # Within its class it is the one that the search likes most.
            of_class = [each for each in found.alternatives if " ".join(unstressed(each.tokens)) == best]
            assert found.target == of_class[0].target
            other += found.target != found.alternatives[0].target
    assert other, "it would say nothing if the most probable one were always the best"


def test_without_a_number_the_candidates_are_the_beam_and_stay_untold(untrained: Make) -> None:
    model = untrained(7)
    plain, told = (
        model.translate(SENTENCES, beam_size=6, nbest=nbest, minimum_bayes_risk=edit_distance) for nbest in (None, 6)
    )
    assert [each.target for each in plain] == [each.target for each in told]
    assert not any(each.alternatives for each in plain)


def test_options_out_of_their_range_are_refused(untrained: Make) -> None:
    not_alphas = ({"length_penalty_alpha": -1}, {"length_penalty_alpha": math.nan})
    for wrong in ({"nbest": 0}, {"beam_size": 0}, *not_alphas, {"beam_threshold": -1}, {"beam_threshold": math.nan}):
        with pytest.raises(InputFault, match="at least"):
            untrained().translate(SENTENCES, **wrong)
