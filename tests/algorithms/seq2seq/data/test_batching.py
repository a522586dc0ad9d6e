import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus, epoch_batches
from groundfog.algorithms.seq2seq.data.vocabulary import BEGIN, END, PAD

IDS = st.lists(st.integers(4, 9), min_size=1, max_size=12)
CORPORA = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=60).map(lambda pairs: Corpus.of(pairs, 100, 100))


@given(CORPORA, st.integers(1, 8), st.sampled_from([None, 1, 4, 10]), st.integers(0, 3))
def test_an_epoch_has_each_pair_once(corpus: Corpus, size: int, width: int | None, epoch: int) -> None:
    batches = epoch_batches(corpus, size, bucket_width=width, seed=1, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(corpus)))
    assert all(1 <= len(batch) <= size for batch in batches)


@given(CORPORA, st.integers(1, 8), st.integers(1, 12))
def test_source_lengths_in_a_batch_are_less_than_the_bucket_width_apart(corpus: Corpus, size: int, width: int) -> None:
    for batch in epoch_batches(corpus, size, bucket_width=width, seed=1, epoch=0):
        lengths = corpus.sources.lengths[batch]
        assert lengths.max() - lengths.min() < width


@given(CORPORA)
def test_the_order_is_that_of_the_seed_and_the_epoch(corpus: Corpus) -> None:
    def plan(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_batches(corpus, 4, bucket_width=10, seed=seed, epoch=epoch)]

    assert plan(1, 0) == plan(1, 0)
    if len(corpus) > 20:
        assert plan(1, 0) != plan(1, 1)
        assert plan(1, 0) != plan(2, 0)


def test_most_batches_have_one_source_length() -> None:
    random = np.random.default_rng(0)
    corpus = Corpus.of([([4] * random.integers(1, 9), [5] * random.integers(1, 9)) for _ in range(3000)], 100, 100)
    batches = [Batch.of(corpus, numbers) for numbers in epoch_batches(corpus, 32, bucket_width=10, seed=1, epoch=0)]
    assert sum(batch.source.ragged for batch in batches) < len(batches) / 10
    wasted = sum(int((batch.outputs == PAD).sum()) for batch in batches) / sum(
        batch.outputs.numel() for batch in batches
    )
    assert wasted < 0.1


def test_long_sequences_are_cut_off() -> None:
    corpus = Corpus.of([([4, 5, 6, 7], [8, 9, 8])], 3, 2)
    assert corpus.sources[0].tolist() == [4, 5, 6]
    assert corpus.targets[0].tolist() == [8, 9]


def test_a_batch_stands_in_columns_with_its_ends() -> None:
    batch = Batch.of(Corpus.of([([4, 5], [6]), ([7], [8, 9])], 100, 100), [0, 1])
    assert batch.source.ids.tolist() == [[4, 7], [5, PAD]]
    assert batch.source.lengths.tolist() == [2, 1]
    assert batch.inputs.tolist() == [[BEGIN, BEGIN], [6, 8], [PAD, 9]]
    assert batch.outputs.tolist() == [[6, 8], [END, 9], [PAD, END]]
