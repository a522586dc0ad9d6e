"""A network and joint n-grams say a target together."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Ensemble, InputFault, Lexicon, Seq2Seq, edit_distance, load
from groundfog.algorithms.seq2seq.data.batching import Corpus
from groundfog.algorithms.seq2seq.learning.progress import NgramsLearnt, NgramsWeighed, Record, log_lines
from groundfog.algorithms.seq2seq.learning.weight import weigh
from groundfog.algorithms.seq2seq.ngrams.model import FILE, JointNgrams

SAID = {"a": ["x"], "b": ["y", "z"], "c": [], "d": ["z"]}
WORDS = (
    *("a", "b", "d", "ab", "ba", "ad", "da", "dab", "bad", "cab", "abba"),
    *("baba", "abcd", "dcba", "bcd", "cabd", "bac", "dabba", "acab", "add"),
)
PAIRS = [(list(word), [token for letter in word for token in SAID[letter]]) for word in WORDS]

sentences = st.lists(st.lists(st.sampled_from("abcde"), max_size=5), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def together(untrained: Callable[..., Seq2Seq]) -> Seq2Seq:
    """A network that knows nothing, and n-grams that know a good deal."""
    return with_ngrams(untrained(3, weight_init_scale=1.0, max_seq_len_target=8))


def with_ngrams(model: Seq2Seq, weight: float = 0.5) -> Seq2Seq:
    source, target = model.vocabularies
    pairs = Corpus.of(((source.encode(one), target.encode(other)) for one, other in PAIRS), 10, 10)
    model.joint_ngrams, _ = JointNgrams.learn(pairs, len(source), len(target), 4)
    model.joint_ngrams.weight = weight
    return model


def log_of(model: Seq2Seq, source: list[str], target: list[str]) -> float:
    """By the n-grams alone."""
    assert model.joint_ngrams is not None
    ids, said = model.vocabularies[0].encode(source), model.vocabularies[1].encode(target)
    log = model.joint_ngrams.opinions([ids], 1)[0].of(said)
    assert log is not None
    return log


@settings(max_examples=25, deadline=None)
@given(sentences, st.integers(1, 6), st.integers(1, 4), st.sampled_from([0, 1, 0.5]))
def test_a_score_is_what_both_think_of_a_target(
    together: Seq2Seq, asked: list[list[str]], width: int, nbest: int, alpha: float
) -> None:
    alone = Ensemble([together])
    alone.joint_ngrams = None
    found = together.translate(asked, beam_size=width, nbest=nbest, length_penalty_alpha=alpha, attention=True)
    for source, best in zip(asked, found, strict=True):
        scores = [each.score for each in best.alternatives]
        assert scores == sorted(scores, reverse=True)
        assert 1 <= len(scores) <= nbest
        assert len({each.target for each in best.alternatives}) == len(scores)
        assert (best.target, best.score) == (best.alternatives[0].target, best.alternatives[0].score)
        if not source:
            assert (best.target, best.score) == ("", 0.0)
            continue
        for each in best.alternatives:
            [network] = alone.align([(source, each.tokens)])
            expected = network.log_probability
            if "e" not in source:  # which the n-grams never met
                expected = (network.log_probability + log_of(together, source, each.tokens)) / 2
            assert each.log_probability == pytest.approx(expected, abs=1e-4)
            assert each.score == pytest.approx(expected / (len(each.tokens) + 1) ** alpha, abs=1e-4)
            assert each.attention is not None
            assert each.attention.shape == (len(each.tokens), len(source))
            assert each.attention.sum(1) == pytest.approx([1] * len(each.tokens), abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(sentences)
def test_neighbours_change_no_answer(together: Seq2Seq, asked: list[list[str]]) -> None:
    for source, best in zip(asked, together.translate(asked), strict=True):
        [alone] = together.translate([source])
        assert (alone.target, alone.attention) == (best.target, None)
        assert alone.score == pytest.approx(best.score, abs=1e-5)


def test_what_ngrams_know_is_said_though_the_network_names_it_not(untrained: Callable[..., Seq2Seq]) -> None:
    model = with_ngrams(untrained(3, weight_init_scale=1.0, max_seq_len_target=8), weight=0.95)
    [said] = model.translate([list("dabbad")], beam_size=4)
    assert said.target == "z x y z y z x z"
    model.joint_ngrams = None
    [said] = model.translate([list("dabbad")], beam_size=4, nbest=4)
    assert all(each.target != "z x y z y z x z" for each in said.alternatives)


def test_without_weight_they_have_no_say(untrained: Callable[..., Seq2Seq]) -> None:
    asked = [source for source, _ in PAIRS]
    alone, weightless = untrained(3), with_ngrams(untrained(3), weight=0.0)
    assert weightless.translate(asked, nbest=3) == alone.translate(asked, nbest=3)
    assert [each.score for each in weightless.align(PAIRS[:3])] == [each.score for each in alone.align(PAIRS[:3])]


def test_they_keep_to_constraints(together: Seq2Seq) -> None:
    lexicon = Lexicon(["z z z", "x x"])
    assert together.translate([list("ab"), list("dd")], constraint=lexicon)[1].target in ("z z z", "x x")
    # The n-grams' own best target may be said; what differs from it may not.
    [best] = together.translate([list("ab")], constraint=Lexicon(["x y z"]), nbest=5)
    assert [each.target for each in best.alternatives] == ["x y z"]
    nothing = together.translate([list("ab")], constraint=lambda said: [])
    assert nothing[0].score == -math.inf


def test_targets_longer_than_the_longest_are_not_named(untrained: Callable[..., Seq2Seq]) -> None:
    model = with_ngrams(untrained(3, max_seq_len_target=2), weight=1.0)
    assert len(model.translate([list("abba")])[0].tokens) <= 2


def test_least_risk_is_chosen_among_what_both_named(together: Seq2Seq) -> None:
    [said] = together.translate([list("abd")], nbest=4, minimum_bayes_risk=edit_distance)
    assert said.target in {each.target for each in said.alternatives}


def test_alignment_tells_the_probability_that_both_give(together: Seq2Seq) -> None:
    [said] = together.translate([list("bad")])
    [told] = together.align([(list("bad"), said.tokens)])
    assert told.log_probability == pytest.approx(said.log_probability, abs=1e-4)
    assert together.align([([], ["x"])])[0].score == 0.0


def test_an_ensemble_has_the_ngrams_of_a_member(together: Seq2Seq, untrained: Callable[..., Seq2Seq]) -> None:
    other = untrained(5, weight_init_scale=1.0, max_seq_len_target=8)
    ensemble = Ensemble([other, together])
    assert ensemble.joint_ngrams is together.joint_ngrams
    mean = Ensemble([other, together])
    mean.joint_ngrams = None
    [said] = ensemble.translate([list("bad")])
    [network] = mean.align([(list("bad"), said.tokens)])
    expected = (network.log_probability + log_of(together, list("bad"), said.tokens)) / 2
    assert said.log_probability == pytest.approx(expected, abs=1e-4)


OPTIONS: dict[str, Any] = {
    "rnn_num_hidden": 16,
    "num_embed_source": 8,
    "num_embed_target": 8,
    "batch_size": 4,
    "max_num_batches": 20,
    "checkpoint_frequency_num_batches": 10,
    "joint_ngram_order": 3,
}


def test_a_training_learns_them_weighs_them_and_keeps_them(tmp_path: Path) -> None:
    told: list[Record] = []
    model = Seq2Seq(**OPTIONS)
    model.fit(PAIRS, PAIRS, progress=told.append, folder=tmp_path / "model", checkpoints=tmp_path / "checkpoints")
    [learnt] = [record for record in told if isinstance(record, NgramsLearnt)]
    assert (learnt.pairs, learnt.left_out) == (len(PAIRS), 0)
    [weighed] = [record for record in told if isinstance(record, NgramsWeighed)]
    # These are too few to choose a weight by.
    assert weighed.weight == 0.5
    # The network has seen each word four times; they have seen these very words.
    assert weighed.right > weighed.right_alone
    assert weighed.sources == len(PAIRS)
    lines = [line for record in (learnt, weighed) for line in log_lines(record)]
    assert lines[0].startswith("Joint n-grams: ")
    assert lines[1].endswith(f"{weighed.right} are said entirely right, {weighed.right_alone} by the network alone")
    loaded = load(tmp_path / "model")
    assert loaded.joint_ngrams is not None
    assert loaded.joint_ngrams.weight == weighed.weight
    asked = [source for source, _ in PAIRS]
    assert loaded.translate(asked) == model.translate(asked)
    right = sum(said.tokens == target for said, (_, target) in zip(loaded.translate(asked), PAIRS, strict=True))
    assert right == weighed.right
    # What goes on has them already; what is saved without them leaves none behind.
    told.clear()
    Seq2Seq(**OPTIONS).fit(PAIRS, PAIRS, progress=told.append, checkpoints=tmp_path / "checkpoints")
    assert not [record for record in told if isinstance(record, NgramsLearnt)]
    model.joint_ngrams = None
    model.save(tmp_path / "model")
    assert not (tmp_path / "model" / FILE).exists()
    with pytest.raises(InputFault, match="No joint n-grams"):
        Seq2Seq.load(tmp_path / "model")


def test_their_weight_may_be_given() -> None:
    told: list[Record] = []
    Seq2Seq(**OPTIONS, joint_ngram_weight=0.77).fit(PAIRS, PAIRS, progress=told.append)
    assert [record.weight for record in told if isinstance(record, NgramsWeighed)] == [0.77]
    with pytest.raises(InputFault, match="give joint_ngram_order, too"):
        Seq2Seq(joint_ngram_weight=0.5)


def test_they_can_be_added_to_a_training_that_has_ended(tmp_path: Path) -> None:
    without = {name: value for name, value in OPTIONS.items() if name != "joint_ngram_order"}
    Seq2Seq(**without).fit(PAIRS, PAIRS, checkpoints=tmp_path)
    again = Seq2Seq(**OPTIONS)
    finished = again.fit(PAIRS, PAIRS, checkpoints=tmp_path)
    assert finished.updates == 20
    assert again.joint_ngrams is not None


def test_a_model_to_begin_with_gives_its_own() -> None:
    first = Seq2Seq(**OPTIONS)
    first.fit(PAIRS, PAIRS)
    more = Seq2Seq(**OPTIONS)
    more.fit(PAIRS[:4], PAIRS[:4], start=first)
    assert more.joint_ngrams is not first.joint_ngrams
    assert more.joint_ngrams is not None
    assert first.joint_ngrams is not None
    assert more.joint_ngrams.trie is first.joint_ngrams.trie


def test_where_they_do_harm_they_get_little_weight(reverser: Seq2Seq, digits: list[Any], held_out: list[Any]) -> None:
    source, target = reverser.vocabularies

    def corpus(pairs: list[Any]) -> Corpus:
        return Corpus.of(((source.encode(one), target.encode(other)) for one, other in pairs), 10, 12)

    # The network says digits backwards; they were told to say them as they are.
    ngrams, _ = JointNgrams.learn(corpus([(each, each) for each, _ in digits]), len(source), len(target), 3)
    told = weigh(reverser.network, ngrams, corpus(held_out), reverser.hyperparameters)
    assert told.right >= told.right_alone > 0.9 * told.sources
    assert ngrams.weight < 0.4


def test_pairs_that_cannot_be_cut_are_refused_before_anything_is_learnt() -> None:
    with pytest.raises(InputFault, match=r"2 of 3 pairs have more: leave out joint_ngram_order"):
        Seq2Seq(**OPTIONS).fit([("a", "x x x"), ("b", "x x x x"), ("a b", "x")], [("a", "x")])
