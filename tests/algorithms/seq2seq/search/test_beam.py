"""Search: against trying everything, and against itself."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Seq2Seq, kernels
from groundfog.algorithms.seq2seq.data.batching import Source
from groundfog.algorithms.seq2seq.data.vocabulary import BEGIN, END, PAD
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.network.network import Network, initialise
from groundfog.algorithms.seq2seq.search.beam import Search, search, search_all

SOURCES = [[4, 5, 6], [6], [5, 4, 4, 6, 5], [4, 4]]


@pytest.fixture(autouse=True, scope="module", params=[True, False], ids=["compiled", "in PyTorch"])
def _both_texts_of_the_search(request: pytest.FixtureRequest) -> Iterator[None]:
    kernels.enabled = request.param
    yield
    kernels.enabled = True


def tiny(seed: int, tokens: int = 6) -> Network:
    options = Hyperparameters.of(
        {"rnn_num_hidden": 8, "num_embed_source": 5, "num_embed_target": 6, "weight_init_scale": 9.0, "seed": seed}
    )
    network = Network(options, 7, tokens)
    initialise(network, options)
    return network.eval()


@torch.no_grad()
def log_probability(network: Network, source: list[int], target: list[int]) -> float:
    memory, state = network.begin(Source.of([source]))
    total, token = 0.0, BEGIN
    for following in target:
        scores, state, _ = network.step(torch.tensor([token]), state, memory)
        scores[:, [PAD, BEGIN]] = -torch.inf
        total += float(torch.log_softmax(scores, 1)[0, following])
        token = following
    return total


@pytest.mark.parametrize("alpha", [0, 0.6, 1])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_wide_enough_finds_what_trying_everything_finds(seed: int, alpha: float) -> None:
    network, longest, words, nbest = tiny(seed), 3, [1, 4, 5], 7
    targets = [[*said, END] for size in range(longest + 1) for said in itertools.product(words, repeat=size)]
    for source in SOURCES:
        totals = {tuple(target[:-1]): log_probability(network, source, target) for target in targets}
        best = sorted(totals, key=lambda ids: totals[ids] / (len(ids) + 1) ** alpha, reverse=True)[:nbest]
        (found,) = search_all(network, [source], width=4**longest, longest=longest, alpha=alpha, nbest=nbest)
        assert [tuple(each.ids) for each in found.alternatives] == best
        for each, ids in zip(found.alternatives, best, strict=True):
            assert each.log_probability == pytest.approx(totals[ids], abs=1e-5)
            assert each.score == pytest.approx(totals[ids] / (len(ids) + 1) ** alpha, abs=1e-5)
        assert (found.ids, found.score) == (found.alternatives[0].ids, found.alternatives[0].score)


def test_the_number_of_alternatives_changes_none_of_them() -> None:
    for seed in range(8):
        for few, many in zip(
            search_all(tiny(seed), SOURCES, width=6, longest=6, nbest=2),
            search_all(tiny(seed), SOURCES, width=6, longest=6, nbest=6),
            strict=True,
        ):
            assert [each.ids for each in few.alternatives] == [each.ids for each in many.alternatives[:2]]
            scores = [each.score for each in many.alternatives]
            assert scores == sorted(scores, reverse=True)
            assert len({tuple(each.ids) for each in many.alternatives}) == len(scores)


def test_a_higher_alpha_has_nothing_against_length() -> None:
    lengths = [
        sum(
            len(found.ids)
            for seed in range(8)
            for found in search_all(tiny(seed), SOURCES, width=8, longest=8, alpha=a)
        )
        for a in (0, 0.5, 1, 2)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_greedy_takes_the_most_probable_token_each_time() -> None:
    network = tiny(5)
    for source in SOURCES:
        said: list[int] = []
        while len(said) < 6 and (not said or said[-1] != END):
            said.append(max([1, END, 4, 5], key=lambda token: log_probability(network, source, [*said, token])))
        (found,) = search(network, Source.of([source]), Search(width=1, longest=6))
        assert found.ids == [token for token in said if token != END]


@settings(max_examples=25, deadline=None)
@given(
    sources=st.lists(st.lists(st.integers(1, 6), max_size=6), min_size=1, max_size=9),
    seed=st.integers(0, 3),
    width=st.integers(1, 4),
    alpha=st.sampled_from([0, 0.6, 1]),
    data=st.data(),
)
def test_neighbours_and_their_order_change_nothing(
    sources: list[list[int]], seed: int, width: int, alpha: float, data: st.DataObject
) -> None:
    network, nbest = tiny(seed, tokens=20), data.draw(st.integers(1, width))
    together = search_all(network, sources, width=width, longest=9, alpha=alpha, nbest=nbest, attention=True)
    order = data.draw(st.permutations(range(len(sources))))
    shuffled = search_all(
        network, [sources[place] for place in order], width=width, longest=9, alpha=alpha, nbest=nbest
    )
    for place, again in zip(order, shuffled, strict=True):
        found = together[place]
        (alone,) = search_all(network, [sources[place]], width=width, longest=9, alpha=alpha, nbest=nbest)
        for first, second, third in itertools.zip_longest(
            [found, *found.alternatives], [alone, *alone.alternatives], [again, *again.alternatives]
        ):
            assert first.ids == second.ids == third.ids
            assert first.score == pytest.approx(second.score, abs=1e-5) == third.score
            assert first.attention is not None
            assert first.attention.shape == (len(first.ids), len(sources[place]))


def test_a_wider_beam_is_no_worse_than_greedy_on_the_whole() -> None:
    greedily = widely = 0.0
    for seed in range(30):
        greedy, wide = (search_all(tiny(seed, tokens=12), SOURCES, width=width, longest=12) for width in (1, 5))
        greedily += sum(found.score for found in greedy)
        widely += sum(found.score for found in wide)
    assert widely > greedily


def test_nothing_that_is_no_word_is_ever_said() -> None:
    for seed in range(10):
        for width in (1, 4):
            for found in search_all(tiny(seed), SOURCES, width=width, longest=7, nbest=width):
                for each in (found, *found.alternatives):
                    assert {PAD, BEGIN, END}.isdisjoint(each.ids)
                    assert len(each.ids) <= 7
                    assert math.isfinite(each.score)


def test_a_target_has_to_end_after_the_longest_and_pays_for_it() -> None:
    for seed in range(10):
        network = tiny(seed)
        for source, found in zip(SOURCES, search_all(network, SOURCES, width=1, longest=1), strict=True):
            assert found.log_probability == pytest.approx(log_probability(network, source, [*found.ids, END]), abs=1e-5)


def test_an_empty_source_has_an_empty_target() -> None:
    found = search_all(tiny(1), [[], [4], []], width=2, longest=5, attention=True)
    assert found[0].ids == found[2].ids == []
    assert found[0].attention is not None
    assert found[0].attention.shape == (0, 0)


def test_the_learnt_model_beams_at_least_as_well_as_greedily(
    reverser: Seq2Seq, held_out: list[tuple[list[str], list[str]]]
) -> None:
    sources = [source for source, _ in held_out]
    greedy, beam = (reverser.translate(sources, beam_size=width) for width in (1, 5))
    assert sum(each.score for each in beam) >= sum(each.score for each in greedy) - 1e-4


def test_with_a_threshold_what_is_far_behind_is_given_up() -> None:
    found = {
        threshold: [
            each.score
            for seed in range(12)
            for each in search_all(tiny(seed), SOURCES, width=4, longest=7, threshold=threshold)
        ]
        for threshold in (0.0, 0.3, 50.0, math.inf)
    }
    assert found[50.0] == found[math.inf]
    # With none within the threshold the best unfinished hypothesis goes on alone.
    assert sum(found[0.0]) < sum(found[0.3]) < sum(found[math.inf])


def test_for_several_answers_none_is_given_up() -> None:
    without, within = (
        search_all(tiny(2), SOURCES, width=4, longest=7, nbest=4, threshold=threshold) for threshold in (math.inf, 0.0)
    )
    assert within == without


def test_what_is_finished_gives_up_nobody() -> None:
    """Since a short target is more probable than a longer one that is better by the mean of a token."""
    for seed in range(12):
        for alone, found in zip(
            search_all(tiny(seed), SOURCES, width=1, longest=7),
            search_all(tiny(seed), SOURCES, width=4, longest=7, threshold=0.0),
            strict=True,
        ):
            assert found.score >= alone.score - 1e-6
