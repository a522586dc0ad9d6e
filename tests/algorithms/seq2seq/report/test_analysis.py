"""Outputs held against right ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.learning.scores import edits
from groundfog.algorithms.seq2seq.report.analysis import Example, align, analyse

TOKENS = st.lists(st.sampled_from("abcd"), max_size=8)


def example(source: str, said: str, *references: str, score: float = -0.5) -> Example:
    return Example(source.split(), [reference.split() for reference in references], said.split(), score)


@given(TOKENS, TOKENS)
def test_an_alignment_tells_both_sides_in_as_few_edits_as_there_can_be(reference: list[str], said: list[str]) -> None:
    aligned = align(reference, said)
    assert [right for right, _ in aligned if right is not None] == reference
    assert [heard for _, heard in aligned if heard is not None] == said
    assert (None, None) not in aligned
    assert sum(right != heard for right, heard in aligned) == edits(reference, said)


def test_among_as_few_edits_those_are_taken_that_leave_most_tokens_in_place() -> None:
    assert align(["a", "n"], ["n", "d"]) == [("a", None), ("n", "n"), (None, "d")]


def test_what_is_confused_left_out_and_put_in_is_counted_with_its_sources() -> None:
    found = analyse(
        [
            example("c a r", "K EH1 R", "K AA1 R"),
            example("b a r", "B EH1 R", "B AA1 R"),
            example("s t", "S", "S T"),
            example("t o", "T UW1 UW1", "T UW1"),
            example("o k", "OW2", "OW2"),
        ]
    )
    assert (found.sources, found.wrong, found.tokens) == (5, 4, 11)
    assert (found.substitutions, found.deletions, found.insertions, found.edits) == (2, 1, 1, 4)
    first, *others = found.confusions
    assert (first.right, first.said, first.count, first.sources) == ("AA1", "EH1", 2, ["car", "bar"])
    assert {(each.right, each.said) for each in others} == {("T", None), (None, "UW1")}


def test_the_nearest_of_several_references_counts() -> None:
    found = analyse([example("r e a d", "R EH1 D", "R IY1 D", "R EH1 D")])
    assert (found.wrong, found.edits, found.confusions) == (0, 0, [])


def test_the_worst_output_is_the_one_with_the_largest_share_of_errors_and_then_the_surest() -> None:
    found = analyse(
        [
            example("long", "1 2 3 4 6", "1 2 3 4 5"),
            example("unsure", "8 2", "1 2", score=-2.0),
            example("sure", "9 2", "1 2", score=-0.1),
        ]
    )
    assert [outcome.source for outcome in found.worst] == [["sure"], ["unsure"], ["long"]]
    assert found.worst[0].reference == ["1", "2"]
    assert found.worst[0].said == ["9", "2"]


@pytest.mark.parametrize("longest", [3, 12, 40])
def test_every_source_is_in_one_band_of_lengths(longest: int) -> None:
    found = analyse(
        [example(" ".join("x" * length), "1" if length % 2 else "2", "1") for length in range(1, longest + 1)]
    )
    bands = found.by_length
    assert len(bands) <= 13
    assert sum(band.sources for band in bands) == longest
    assert sum(band.wrong for band in bands) == found.wrong == longest // 2
    assert [band.shortest for band in bands[1:]] == [band.longest + 1 for band in bands[:-1]]


def test_nothing_said_and_nothing_to_say_are_analysed_too() -> None:
    found = analyse([example("a", "", "1 2"), example("b", "1", "")])
    assert (found.deletions, found.insertions, found.wrong) == (2, 1, 2)
