"""Search: against trying everything, and against itself."""

import itertools

import pytest
import torch

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.batching import Source
from groundfog.algorithms.seq2seq.beam import search, search_all
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.network import Network, initialise
from groundfog.algorithms.seq2seq.vocabulary import BEGIN, END, PAD

SOURCES = [[4, 5, 6], [6], [5, 4, 4, 6, 5], [4, 4]]


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
        scores, state, _ = network.decoder.step(torch.tensor([token]), state, memory)
        scores[:, [PAD, BEGIN]] = -torch.inf
        total += float(torch.log_softmax(scores, 1)[0, following])
        token = following
    return total


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_wide_enough_finds_what_trying_everything_finds(seed: int) -> None:
    network, longest = tiny(seed), 4
    words = [1, 4, 5]
    targets = [[*words_said, END] for size in range(longest) for words_said in itertools.product(words, repeat=size)]
    for source in SOURCES:
        best = max(targets, key=lambda target: log_probability(network, source, target) / len(target))
        (found,) = search(network, Source.of([source]), width=3**longest, longest=longest)
        assert found.ids == best[:-1]
        assert found.score == pytest.approx(log_probability(network, source, best) / len(best), abs=1e-5)


def test_greedy_takes_the_most_probable_token_each_time() -> None:
    network = tiny(5)
    for source in SOURCES:
        said: list[int] = []
        while len(said) < 6 and (not said or said[-1] != END):
            said.append(max([1, END, 4, 5], key=lambda token: log_probability(network, source, [*said, token])))
        (found,) = search(network, Source.of([source]), width=1, longest=6)
        assert found.ids == [token for token in said if token != END]


@pytest.mark.parametrize("width", [1, 3])
def test_neighbours_in_a_batch_change_nothing(width: int) -> None:
    network = tiny(6, tokens=20)
    together = search_all(network, SOURCES, width=width, longest=9, attention=True)
    reverse = search_all(network, SOURCES[::-1], width=width, longest=9)[::-1]
    for source, found, again in zip(SOURCES, together, reverse, strict=True):
        (alone,) = search(network, Source.of([source]), width=width, longest=9)
        assert found.ids == alone.ids == again.ids
        assert found.score == pytest.approx(alone.score, abs=1e-5)
        assert found.attention is not None
        assert found.attention.shape == (len(found.ids), len(source))


def test_a_wider_beam_is_no_worse_than_greedy_on_the_whole() -> None:
    greedily = widely = 0.0
    for seed in range(30):
        greedy, wide = (search_all(tiny(seed, tokens=12), SOURCES, width=width, longest=12) for width in (1, 5))
        # A greedy one that did not come to its end in time has not to pay for it, so it says nothing here.
        ended = [place for place, found in enumerate(greedy) if len(found.ids) < 12]
        greedily += sum(greedy[place].score for place in ended)
        widely += sum(wide[place].score for place in ended)
    assert widely > greedily


def test_nothing_that_is_no_word_is_ever_said() -> None:
    for seed in range(10):
        for width in (1, 4):
            for found in search_all(tiny(seed), SOURCES, width=width, longest=7):
                assert {PAD, BEGIN, END}.isdisjoint(found.ids)
                assert len(found.ids) <= 7


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
