"""What may be said is a lexicon's, or a function's, to decide."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault, Lexicon, Seq2Seq
from groundfog.algorithms.seq2seq.data.tokenizer import Tokenizers

SENTENCES = ["a b c", "d", "a a b b c d"]
Make = Callable[..., Seq2Seq]
target = st.lists(st.sampled_from("xyz"), max_size=4)


@settings(max_examples=30, deadline=None)
@given(
    lexicon=st.lists(target, min_size=1, max_size=12),
    width=st.integers(1, 5),
    seed=st.integers(1, 4),
    sentences=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), min_size=1, max_size=4),
)
def test_what_is_said_is_in_the_lexicon(
    untrained: Make, lexicon: list[list[str]], width: int, seed: int, sentences: list[list[str]]
) -> None:
    for found in untrained(seed).translate(sentences, constraint=Lexicon(lexicon), beam_size=width, nbest=width):
        assert found.tokens in lexicon
        assert all(each.tokens in lexicon for each in found.alternatives)
        assert math.isfinite(found.score)


@settings(max_examples=12, deadline=None)
@given(lexicon=st.sets(target.map(" ".join), min_size=1, max_size=12), seed=st.integers(1, 4))
def test_of_a_lexicon_the_most_probable_target_is_found_by_its_own_probability(
    untrained: Make, lexicon: set[str], seed: int
) -> None:
    model = untrained(seed)
    for sentence in SENTENCES:
        each = {entry: model.translate([sentence], constraint=Lexicon([entry]))[0] for entry in lexicon}
        assert [found.target for found in each.values()] == list(each)
        (found,) = model.translate([sentence], constraint=Lexicon(lexicon), beam_size=40, nbest=len(lexicon))
        assert found.score == pytest.approx(max(one.score for one in each.values()), abs=1e-5)
        assert {one.target: one.score for one in found.alternatives} == {
            entry: pytest.approx(one.score, abs=1e-5) for entry, one in each.items()
        }


def test_all_that_can_be_said_is_no_constraint(untrained: Make) -> None:
    model = untrained(3)
    tokens = ["<unk>", "x", "y", "z"]
    everything = [said for size in range(5) for said in itertools.product(tokens, repeat=size)]
    free, bound = (
        model.translate(SENTENCES, nbest=6, constraint=constraint) for constraint in (None, Lexicon(everything))
    )
    for one, other in zip(free, bound, strict=True):
        assert [each.target for each in one.alternatives] == [each.target for each in other.alternatives]
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_a_lexicon_of_raw_text_is_read_as_the_model_says_it(untrained: Make) -> None:
    model = untrained(2)
    model.tokenizers = Tokenizers.learn("character", [])
    found = model.translate(["abc", "d"], constraint=Lexicon(["xyz", "zz", ["y", "x"]]), nbest=3)
    assert [{each.text for each in one.alternatives} for one in found] == [{"xyz", "zz", "yx"}] * 2


def test_each_sentence_may_have_its_own(untrained: Make) -> None:
    model = untrained(2)
    first, free, last = model.translate(
        SENTENCES, constraint=[Lexicon(["x y", "y x"]), None, lambda said: ["z"] if len(said) < 3 else ["</s>"]]
    )
    assert first.target in ("x y", "y x")
    assert free.target == model.translate(SENTENCES)[1].target
    assert last.target == "z z z"


def test_a_function_says_what_may_follow(untrained: Make) -> None:
    heard: set[tuple[str, ...]] = set()

    def alternating(said: list[str]) -> list[str]:
        heard.add(tuple(said))
        return ["x", "</s>"] if said[-1:] == ["y"] else ["y"]

    for found in untrained(4).translate(SENTENCES, constraint=alternating, nbest=3):
        assert {each.target for each in found.alternatives} <= {"y", "y x y"}
    assert ("y", "x") in heard


def test_where_nothing_may_be_said_nothing_is_and_it_shows(untrained: Make) -> None:
    dead_end, other = untrained().translate(SENTENCES[:2], constraint=[lambda said: [], None], nbest=2, attention=True)
    assert (dead_end.tokens, dead_end.score, dead_end.alternatives) == ([], -math.inf, ())
    assert math.isfinite(other.score)


def test_a_constraint_that_cannot_be_met_is_refused(untrained: Make) -> None:
    model = untrained()
    with pytest.raises(InputFault, match=r"None of the lexicon's 2 targets can be said.*at most 4 tokens"):
        model.translate(SENTENCES, constraint=Lexicon(["x q", "x x x x x"]))
    with pytest.raises(InputFault, match="allows 'q', which the target vocabulary does not have"):
        model.translate(SENTENCES, constraint=lambda said: ["q"])
    with pytest.raises(InputFault, match="1 constraints for 3 sentences"):
        model.translate(SENTENCES, constraint=[None])


def test_what_a_lexicon_has_beyond_the_vocabulary_is_passed_over(untrained: Make) -> None:
    found = untrained().translate(SENTENCES, constraint=Lexicon(["x q", "z y", "x x x x x"]), nbest=5)
    assert [[each.target for each in one.alternatives] for one in found] == [["z y"]] * 3
